"""What it means where Redis refuses a command instead of answering it."""

from typing import Any, Final

from redis.exceptions import ResponseError

from feature_service.errors import StoreUnavailableError

# Nothing was applied, and not for ever: the same call may go through later.
_PASSING: Final = (
    "OOM",
    "LOADING",
    "BUSY",
    "READONLY",
    "MASTERDOWN",
    "NOREPLICAS",
    "MISCONF",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "MOVED",
    "ASK",
)


def is_passing(refusal: ResponseError) -> bool:
    """Whether the same command may go through later; nothing of it was applied."""
    return str(refusal).startswith(_PASSING)


def accepted(answers: list[Any]) -> list[Any]:
    """The same, none of which is a refusal. Raises: StoreUnavailableError."""
    for answer in answers:
        if isinstance(answer, ResponseError):
            raise StoreUnavailableError(f"Redis refused a command: {answer}") from answer
    return answers
