"""What is sent: the same calls for the same seed, each found again by its number."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from google.protobuf.message import Message

from tests.fuzz.odd_messages import make_odd
from tests.fuzz.wire_mutations import mutate

PATIENCE_S: Final = 30.0  # a call that takes longer hangs
_ABSURD_S: Final = (1e-9, 1e-6, 0.001, 0.003)
_TRACES: Final = (
    "",
    "00",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
    "00-00000000000000000000000000000000-0000000000000000-00",
    "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
    "-" * 55,
    "0" * 3_000,
    "00-0af7651916cd43dd8448eb211c80319\u007e-b7ad6b7169203331-01",
)

Template = Callable[[Random], Message]


@dataclass(frozen=True, slots=True)
class Case:
    number: int
    kind: str
    body: bytes
    metadata: tuple[tuple[str, str | bytes], ...]
    timeout_s: float

    @property
    def in_a_hurry(self) -> bool:
        return self.timeout_s < PATIENCE_S


def cases(seed: int, count: int, template: Template) -> Iterator[Case]:
    return (case(seed, number, template) for number in range(count))


def case(seed: int, number: int, template: Template) -> Case:
    """Two thirds are spoilt on the wire, the others odd; `template` makes a good request."""
    random = Random(f"{seed}:{number}")
    message = template(random)
    if random.random() < 0.33:
        kind = "odd values"
        make_odd(random, message, changes=random.choice((1, 1, 2, 6)))
        body = message.SerializeToString()
    else:
        kind, body = mutate(random, message.SerializeToString())
    timeout_s = random.choice(_ABSURD_S) if random.random() < 0.02 else PATIENCE_S
    return Case(number, kind, body, _metadata(random), timeout_s)


def _metadata(random: Random) -> tuple[tuple[str, str | bytes], ...]:
    if random.random() < 0.7:
        return ()
    found: list[tuple[str, str | bytes]] = [("traceparent", random.choice(_TRACES))]
    if random.random() < 0.3:
        found *= random.choice((2, 5))
    if random.random() < 0.3:
        found.append((f"x-{random.getrandbits(32):x}", "v" * random.choice((0, 1, 2_000))))
    if random.random() < 0.3:
        found.append(("odd-bin", random.randbytes(random.choice((0, 1, 500)))))
    if random.random() < 0.3:
        found.append(("authorization", random.choice(("Bearer", "Bearer ", "Bearer x", "Basic eA==", "x" * 1_000))))
    return tuple(found)
