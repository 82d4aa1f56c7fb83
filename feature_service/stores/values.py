"""What Redis answers to one MGET, read into one piece of memory, where compiled code finds every value.

A batch reads megabytes of histories. As objects of their own they are allocated one by one and copied twice more on
their way to the kernel.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Literal, overload

import numpy as np
from hiredis import ProtocolError
from numpy.typing import NDArray
from redis.exceptions import ResponseError

from feature_service.compiled import compiled
from feature_service.wire_writer import write_bytes

ABSENT: Final = -1  # the length of a value that there is not

_WORD_BYTES: Final = 8
_LONGEST_BYTES: Final = 512 * 1024 * 1024  # of a string in Redis
_SPARE: Final = 1.25  # room for more than the last answer's values took
_FIRST_WORDS_AT_MOST: Final = 1 << 21  # of that room: one long value says little of many
_DOLLAR, _MINUS, _ZERO, _CR, _LF = b"$-0\r\n"
_LINE_END_BYTES: Final = 2

# Places in an answer's progress, which is all 0 at first.
_FOUND: Final = 0  # values whose length has been read
_TAKEN: Final = 1  # bytes of memory
_LEFT: Final = 2  # bytes of the last value that are still to come
_SKIPPED: Final = 3  # bytes behind it, likewise
_LINE: Final = 4  # bytes read of the line that tells a length
_NUMBER: Final = 5  # as far as its digits have come
_NEGATIVE: Final = 6  # 1: it is
_PROGRESS: Final = 7

_MORE, _DONE, _ROOM, _BROKEN = range(4)  # what an answer needs to go on


class Values(Sequence[bytes | None]):
    """n values, each from a word of its own on; None where there is none. Equal to a list of the same."""

    __slots__ = ("lengths", "starts", "words")

    def __init__(self, words: NDArray[np.int64], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> None:
        """words: read-only. starts: (n,) words; lengths: (n,) bytes, or ABSENT. One lies right behind the other."""
        self.words = words
        self.starts = starts
        self.lengths = lengths

    @property
    def words_from_first(self) -> NDArray[np.int64]:
        """The memory, from where the first of these is."""
        return self.words[self.starts[0] :] if len(self) else self.words

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, place: int) -> bytes | None: ...

    @overload
    def __getitem__(self, place: slice) -> "Values": ...

    def __getitem__(self, place: int | slice) -> "bytes | Values | None":
        """A slice is some that follow one another, in the same memory."""
        if isinstance(place, slice):
            if place.step not in (None, 1):
                raise ValueError("values can be sliced one after another only")
            return Values(self.words, self.starts[place], self.lengths[place])
        return _value(self.words.data.cast("B"), int(self.starts[place]), int(self.lengths[place]))

    def __iter__(self) -> Iterator[bytes | None]:
        memory = self.words.data.cast("B")
        for start, length in zip(self.starts.tolist(), self.lengths.tolist(), strict=True):
            yield _value(memory, start, length)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of a list


def _value(memory: memoryview, start: int, length: int) -> bytes | None:
    return None if length == ABSENT else bytes(memory[start * _WORD_BYTES : start * _WORD_BYTES + length])


class ValuesReader:
    """Reads answers to MGET, in the place of a `hiredis.Reader`, which reads any."""

    def __init__(self) -> None:
        self._came = b""
        self._read = 0  # bytes of that
        self._progress: NDArray[np.int64] | None = None  # of an answer whose first line has been read
        self._words = self._starts = self._lengths = np.empty(0, dtype=np.int64)
        self._words_each = 1.0  # of the last answer's values, and room for some more

    def feed(self, data: bytes) -> None:
        self._came = self._came[self._read :] + data
        self._read = 0

    def gets(self) -> Values | ResponseError | Literal[False]:
        """The next answer; False where it has not come as a whole. Raises: ProtocolError where it is no such answer."""
        if self._progress is None:
            line_end = self._came.find(b"\r\n", self._read)
            if line_end < 0:
                return False
            line, self._read = self._came[self._read : line_end], line_end + _LINE_END_BYTES
            if line.startswith(b"-"):
                return ResponseError(line[1:].decode())
            if not (line.startswith(b"*") and line[1:].isdigit()):
                raise ProtocolError(f"not an answer to MGET: {line[:32]!r}")
            count = int(line[1:])
            self._words = np.empty(min(int(count * self._words_each) + 1, _FIRST_WORDS_AT_MOST), dtype=np.int64)
            self._starts, self._lengths = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
            self._progress = np.zeros(_PROGRESS, dtype=np.int64)
        return self._go_on(self._progress)

    def _go_on(self, progress: NDArray[np.int64]) -> Values | Literal[False]:
        came = np.frombuffer(self._came, dtype=np.uint8)
        while True:
            memory = self._words.view(np.uint8)
            self._read, needs = _take(came, self._read, progress, memory, self._starts, self._lengths)
            if needs != _ROOM:
                break
            self._grow(int(progress[_TAKEN] + progress[_LEFT]), taken=int(progress[_TAKEN]))
        if needs == _BROKEN:
            raise ProtocolError(f"not a value of an answer to MGET: {self._came[self._read : self._read + 32]!r}")
        if needs == _MORE:
            return False
        self._progress = None
        self._words.flags.writeable = False  # as those of bytes are: code is compiled for each type
        self._words_each = _SPARE * progress[_TAKEN] / _WORD_BYTES / max(1, len(self._lengths))
        return Values(self._words, self._starts, self._lengths)

    def _grow(self, size: int, *, taken: int) -> None:
        """To `size` bytes at least; those that are taken keep their places."""
        words = np.empty(max(2 * len(self._words), size // _WORD_BYTES + 1), dtype=np.int64)
        words[: taken // _WORD_BYTES] = self._words[: taken // _WORD_BYTES]
        self._words = words


@compiled
def _take(
    came: NDArray[np.uint8],
    place: int,
    progress: NDArray[np.int64],
    memory: NDArray[np.uint8],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
) -> tuple[int, int]:
    """Read on in what has come, from `place`. How far that was, and what the answer needs to go on."""
    end = came.shape[0]
    while progress[_FOUND] < lengths.shape[0] or progress[_LEFT] + progress[_SKIPPED] > 0:
        if progress[_TAKEN] + progress[_LEFT] > memory.shape[0]:
            return place, _ROOM
        if place == end:
            return place, _MORE
        if progress[_LEFT] > 0:
            size = min(progress[_LEFT], end - place)
            progress[_TAKEN] = write_bytes(came, place, place + size, progress[_TAKEN], memory)
            progress[_LEFT] -= size
            place += size
            if progress[_LEFT] == 0:
                progress[_TAKEN] += -progress[_TAKEN] % _WORD_BYTES
        elif progress[_SKIPPED] > 0:
            size = min(progress[_SKIPPED], end - place)
            progress[_SKIPPED] -= size
            place += size
        elif not _read_line(came[place], progress, starts, lengths):
            return place, _BROKEN
        else:
            place += 1
    return place, _DONE


@compiled
def _read_line(byte: int, progress: NDArray[np.int64], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> bool:
    """One more byte of the line that tells a value's length; whether it may stand there."""
    read = progress[_LINE]
    progress[_LINE] = read + 1
    digit = byte - _ZERO
    if read == 0:
        progress[_NUMBER] = progress[_NEGATIVE] = 0
        return bool(byte == _DOLLAR)
    if byte == _MINUS:
        progress[_NEGATIVE] = 1
        return bool(read == 1)
    if 0 <= digit <= 9:
        progress[_NUMBER] = 10 * progress[_NUMBER] + digit
        return bool(progress[_NUMBER] <= _LONGEST_BYTES)
    if byte != _LF:
        return byte == _CR
    found = progress[_FOUND]
    progress[_FOUND] = found + 1
    progress[_LINE] = 0
    starts[found] = progress[_TAKEN] // _WORD_BYTES
    lengths[found] = ABSENT if progress[_NEGATIVE] else progress[_NUMBER]
    if lengths[found] != ABSENT:
        progress[_LEFT], progress[_SKIPPED] = lengths[found], _LINE_END_BYTES
    return True
