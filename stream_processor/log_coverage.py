"""Whether files and what is left of the log hold every payment between them. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

from stream_processor.errors import LogGapError
from stream_processor.log_reader import LogHead


def require_coverage(
    transactions: Sequence[LogHead], others: Sequence[LogHead], *, files_until_ms: int | None, allowance_ms: int
) -> None:
    """Raise LogGapError, naming each place, where records may lie in neither; `others`: of labels and decisions.

    `files_until_ms` is the newest event time of the files, None without files. `allowance_ms` is how much later the
    log's first record may be. An overlap does no harm: the kernel drops copies.
    """
    gaps = []
    for head in (*transactions, *others):
        name = f"{head.tp.topic}:{head.tp.partition}"
        if head.start_offset == 0:
            continue
        if files_until_ms is None:
            gaps.append(f"{name} begins at offset {head.start_offset}{_since(head)}, and no file holds what was before")
        elif head.first_timestamp_ms is None:
            gaps.append(
                f"{name} has lost all its {head.start_offset} records, so nothing says how far files must reach"
            )
        elif head.first_timestamp_ms > files_until_ms + allowance_ms:
            gaps.append(f"{name} begins at offset {head.start_offset}{_since(head)}")
    # A log that has lost nothing may still have begun only after the files end.
    whole = [head for head in transactions if head.start_offset == 0 and head.first_timestamp_ms is not None]
    first = min(whole, key=lambda head: head.first_timestamp_ms or 0, default=None)
    if first is not None and files_until_ms is not None:
        assert first.first_timestamp_ms is not None
        if first.first_timestamp_ms > files_until_ms + allowance_ms:
            gaps.append(f"{first.tp.topic} begins{_since(first)}")
    if gaps:
        files = "" if files_until_ms is None else f"the files end at {_time(files_until_ms)}, but "
        raise LogGapError(f"records are missing: {files}{'; '.join(gaps)}. Give files that reach further")


def _since(head: LogHead) -> str:
    return "" if head.first_timestamp_ms is None else f" with {_time(head.first_timestamp_ms)}"


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="seconds")
