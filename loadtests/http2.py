"""One HTTP/2 connection that carries unary gRPC calls, as seen by their client: bytes in, bytes out. Pure.

A load test's client works on the processors of what it measures, and grpcio's needs more than twice as much of them:
`python -m loadtests.measure_client`. Frames and windows are those of RFC 9113; headers are packed by hpack before the
measurement, and unpacked after it. What no gRPC server sends (padding, pushes, headers in several frames) is an error.
"""

import struct
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import hpack

from loadtests.figures import BenchError

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME: Final = struct.Struct(">HBBBL")  # length (16 bits and 8), type, flags, stream
_FRAME_BYTES: Final = 9
_SETTING: Final = struct.Struct(">HL")
_UINT32: Final = struct.Struct(">L")
_MESSAGE: Final = struct.Struct(">BL")  # gRPC's own frame: compressed or not, length
_MESSAGE_BYTES: Final = 5
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
_ACK = _END_STREAM = 0x1
_END_HEADERS, _PADDED, _PRIORITY = 0x4, 0x8, 0x20
_TABLE_SIZE, _ENABLE_PUSH, _MAX_STREAMS, _INITIAL_WINDOW, _MAX_FRAME = 1, 2, 3, 4, 5
_CANCEL: Final = 8
_FIRST_WINDOW: Final = 65_535
_LARGEST_WINDOW: Final = 2**31 - 1
_STREAM_MASK: Final = 2**31 - 1


class Answer(NamedTuple):
    """How a call ended. `trailers` are packed: see `unpacked`; None where the server gave the call up without any."""

    stream: int
    message: bytes
    trailers: bytes | None


class Http2Connection:
    """`outgoing` is what is to be sent; whoever sends it clears it."""

    def __init__(self) -> None:
        # The server packs headers without a table, so that each block can be read by itself, and later.
        ours = ((_TABLE_SIZE, 0), (_ENABLE_PUSH, 0), (_INITIAL_WINDOW, _LARGEST_WINDOW))
        self.outgoing = bytearray(_PREFACE)
        self.outgoing += _frame(_SETTINGS, 0, 0, b"".join(_SETTING.pack(*each) for each in ours))
        self.outgoing += _frame(_WINDOW_UPDATE, 0, 0, _UINT32.pack(_LARGEST_WINDOW - _FIRST_WINDOW))
        self.is_closing = False  # the server takes no more calls on it
        self._received = b""
        self._unread_window = _LARGEST_WINDOW
        self._next_stream = 1
        self._messages: dict[int, list[bytes]] = {}  # by open stream, what came of its answer
        self._trailers: dict[int, bytes] = {}
        self._windows: dict[int, int] = {}  # by stream that has something unsent
        self._unsent: deque[tuple[int, memoryview]] = deque()
        self._window = self._first_window = _FIRST_WINDOW
        self._max_frame = 2**14
        self._max_streams = _LARGEST_WINDOW

    def call(self, headers: bytes, message: bytes) -> int:
        """Begin a call; its stream. `headers` are `packed`, the message is `framed`."""
        if len(self._messages) >= self._max_streams:
            raise BenchError(f"the server takes only {self._max_streams} calls at a time on one connection")
        stream = self._next_stream
        self._next_stream += 2
        self._messages[stream] = []
        self.outgoing += _frame(_HEADERS, _END_HEADERS, stream, headers)
        size = len(message)
        if not self._unsent and size <= self._window and size <= self._first_window and size <= self._max_frame:
            self._window -= size
            self.outgoing += _frame(_DATA, _END_STREAM, stream, message)
        else:
            self._windows[stream] = self._first_window
            self._unsent.append((stream, memoryview(message)))
            self._send_rest()
        return stream

    def cancel(self, stream: int) -> None:
        """Give up an open call: whatever comes of it is passed over."""
        self._forget(stream)
        self.outgoing += _frame(_RST_STREAM, 0, stream, _UINT32.pack(_CANCEL))

    def receive(self, data: bytes) -> Iterator[Answer]:
        """The calls that end with what came. Raises: BenchError."""
        self._unread_window -= len(data)
        if self._unread_window < _LARGEST_WINDOW // 2:
            self.outgoing += _frame(_WINDOW_UPDATE, 0, 0, _UINT32.pack(_LARGEST_WINDOW - self._unread_window))
            self._unread_window = _LARGEST_WINDOW
        received = self._received + data if self._received else data
        at = 0
        while len(received) - at >= _FRAME_BYTES:
            high, low, kind, flags, stream = _FRAME.unpack_from(received, at)
            end = at + _FRAME_BYTES + (high << 8 | low)
            if end > len(received):
                break
            payload = received[at + _FRAME_BYTES : end]
            at = end
            if kind <= _HEADERS:
                if stream in self._messages:
                    yield from self._answered(kind, flags, stream, payload)
            elif kind == _RST_STREAM:
                if stream in self._messages:
                    yield self._ended(stream)
            elif kind == _GOAWAY:
                self.is_closing = True
                last = _UINT32.unpack_from(payload)[0] & _STREAM_MASK
                for unseen in [each for each in self._messages if each > last]:
                    yield self._ended(unseen)
            else:
                self._of_connection(kind, flags, stream, payload)
        self._received = received[at:]

    def _answered(self, kind: int, flags: int, stream: int, payload: bytes) -> Iterator[Answer]:
        if flags & (_PADDED | _PRIORITY if kind == _HEADERS else _PADDED):
            raise BenchError("the server pads its frames, which this client does not read")
        if kind == _DATA:
            self._messages[stream].append(payload)
        elif not flags & _END_HEADERS:
            raise BenchError("the server sends headers in several frames, which this client does not read")
        else:
            self._trailers[stream] = payload
        if flags & _END_STREAM:
            yield self._ended(stream)

    def _ended(self, stream: int) -> Answer:
        message = b"".join(self._messages[stream])[_MESSAGE_BYTES:]
        trailers = self._trailers.get(stream)
        self._forget(stream)
        return Answer(stream, message, trailers)

    def _forget(self, stream: int) -> None:
        del self._messages[stream]
        self._trailers.pop(stream, None)
        if self._windows.pop(stream, None) is not None:
            self._unsent = deque(each for each in self._unsent if each[0] != stream)

    def _of_connection(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            for name, value in _SETTING.iter_unpack(payload):
                self._set(name, value)
            self.outgoing += _frame(_SETTINGS, _ACK, 0, b"")
        elif kind == _PING and not flags & _ACK:
            self.outgoing += _frame(_PING, _ACK, 0, payload)
        elif kind == _WINDOW_UPDATE:
            [more] = _UINT32.unpack(payload)
            if stream == 0:
                self._window += more
            elif stream in self._windows:
                self._windows[stream] += more
            self._send_rest()
        elif kind == _CONTINUATION:
            raise BenchError("the server sends headers in several frames, which this client does not read")

    def _set(self, name: int, value: int) -> None:
        if name == _INITIAL_WINDOW:
            for stream in self._windows:
                self._windows[stream] += value - self._first_window
            self._first_window = value
            self._send_rest()
        elif name == _MAX_FRAME:
            self._max_frame = value
        elif name == _MAX_STREAMS:
            self._max_streams = value

    def _send_rest(self) -> None:
        """As much of each message as the server has room for, in the order of the calls."""
        for _ in range(len(self._unsent)):
            stream, rest = self._unsent.popleft()
            while rest and (size := min(len(rest), self._window, self._windows[stream], self._max_frame)) > 0:
                self._window -= size
                self._windows[stream] -= size
                flags = _END_STREAM if size == len(rest) else 0
                self.outgoing += _frame(_DATA, flags, stream, bytes(rest[:size]))
                rest = rest[size:]
            if rest:
                self._unsent.append((stream, rest))
            else:
                del self._windows[stream]


def framed(message: bytes) -> bytes:
    """As gRPC sends it, not compressed."""
    return _MESSAGE.pack(0, len(message)) + message


def packed(headers: Iterable[tuple[str, str]]) -> bytes:
    """Without use of a table that sender and receiver would share, so that it can be sent any number of times."""
    fields = [hpack.NeverIndexedHeaderTuple(name.encode(), value.encode()) for name, value in headers]
    return hpack.Encoder().encode(fields, huffman=False)


def unpacked(headers: bytes) -> Mapping[str, str]:
    """Of a server that was told to use no table either. The last of several values wins."""
    decoder = hpack.Decoder()
    decoder.max_allowed_table_size = decoder.header_table_size = 0
    return {str(name): str(value) for name, value in decoder.decode(headers)}


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    size = len(payload)
    return _FRAME.pack(size >> 8, size & 0xFF, kind, flags, stream & _STREAM_MASK) + payload
