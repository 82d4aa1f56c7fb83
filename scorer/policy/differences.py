"""What one policy says and another does not, in words."""

import json
from collections.abc import Iterator
from typing import Any, Final

# What rules and lists are known by, instead of their place.
_NAMES: Final = ("rule_id", "name")


def differences(old: bytes, new: bytes) -> list[str]:
    """Between two `Decider.content`s, by place: `costs.missed_fraud_fixed_minor: 1500 → 2000`."""
    before, after = json.loads(old), json.loads(new)
    return [*_compared("", before["policy"], after["policy"]), *_compared("ids", before["ids"], after["ids"])]


def _compared(place: str, old: Any, new: Any) -> Iterator[str]:
    if old == new:
        return
    named_old, named_new = _by_name(old), _by_name(new)
    if named_old is not None and named_new is not None:
        yield from _compared(place, named_old, named_new)
        if named_old.keys() == named_new.keys() and [*named_old] != [*named_new]:
            yield f"{place}: in another order"
    elif isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            yield from _compared(f"{place}.{name}" if place else name, old.get(name), new.get(name))
    else:
        yield f"{place}: {_words(old)} → {_words(new)}"


def _by_name(value: Any) -> dict[str, Any] | None:
    """Of rules or lists; None for anything else."""
    if not isinstance(value, list):
        return None
    named = {part[name]: part for part in value if isinstance(part, dict) for name in _NAMES if name in part}
    return named if len(named) == len(value) else None


def _words(value: Any) -> str:
    if value in (None, []):
        return "nothing"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
