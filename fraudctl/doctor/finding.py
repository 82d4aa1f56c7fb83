"""What a check says: in words, and what to do about it."""

from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    subject: str  # what was looked at
    state: State  # wrong: it does not work, or not for long
    says: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def ok(subject: str, says: str) -> Finding:
    return Finding(subject, "ok", says)


def warning(subject: str, says: str, remedy: str) -> Finding:
    return Finding(subject, "warning", says, remedy)


def wrong(subject: str, says: str, remedy: str) -> Finding:
    return Finding(subject, "wrong", says, remedy)
