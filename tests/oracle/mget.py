"""What Redis writes in answer to MGET."""

from collections.abc import Sequence


def mget_answer(values: Sequence[bytes | None]) -> bytes:
    return b"*%d\r\n" % len(values) + b"".join(
        b"$-1\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value) for value in values
    )
