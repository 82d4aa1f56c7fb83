"""Where reading a partition starts: where the index has it, unless the log is another one or lacks that. Pure."""

from typing import Final, Literal, NamedTuple

from decision_index.batch import Stored

Fault = Literal["topic", "log"]

FAULTS: Final[dict[Fault, str]] = {
    "topic": "the topic was deleted and made again: it is read from its start",
    "log": "the log does not have the position, since records were deleted before they were indexed: it is read from "
    "its start",
}


class Start(NamedTuple):
    next_offset: int
    fault: Fault | None


def find_start(known: Stored | None, topic_id: str, *, log_start: int, log_end: int) -> Start:
    """Reading again what is indexed changes nothing, so the start of the log is never wrong."""
    if known is None:
        return Start(log_start, None)
    if known.topic_id not in ("", topic_id):
        return Start(log_start, "topic")
    if not log_start <= known.next_offset <= log_end:
        return Start(log_start, "log")
    return Start(known.next_offset, None)
