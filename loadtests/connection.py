"""A socket of a load test's client: calls go out on it, answers come back."""

import socket
from typing import Final

from loadtests.http2 import Answer, Http2Connection

_CONNECT_TIMEOUT_S: Final = 10.0
_RECEIVED_BYTES: Final = 2**18


class Connection:
    """Never waits, but for being connected."""

    def __init__(self, address: str) -> None:
        """`address`: host:port. Raises: OSError."""
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._http2 = Http2Connection()
        self._numbers: dict[int, int] = {}  # of open calls, by stream
        self._lost = False

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def is_closing(self) -> bool:
        """It takes no more calls; those under way may still be answered."""
        return self._lost or self._http2.is_closing

    @property
    def is_over(self) -> bool:
        """Nothing comes on it any more."""
        return self._lost or (self._http2.is_closing and not self._numbers)

    @property
    def has_unsent(self) -> bool:
        return bool(self._http2.outgoing)

    def call(self, number: int, headers: bytes, message: bytes) -> int:
        """The stream, to `cancel` the call by; `number` is what it is told by when it ends. To be sent by `flush`."""
        stream = self._http2.call(headers, message)
        self._numbers[stream] = number
        return stream

    def cancel(self, stream: int) -> bool:
        """Whether the call was still open."""
        if self._numbers.pop(stream, None) is None:
            return False
        self._http2.cancel(stream)
        return True

    def flush(self) -> None:
        """As much as the socket takes now."""
        outgoing = self._http2.outgoing
        try:
            while outgoing:
                del outgoing[: self._socket.send(outgoing)]
        except BlockingIOError:
            pass
        except OSError:  # `receive` comes to know of it too, and ends the calls
            outgoing.clear()

    def receive(self) -> list[tuple[int, Answer]]:
        """The calls that have ended, by number. With the connection all of them end."""
        try:
            data = self._socket.recv(_RECEIVED_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if data:
            answers = list(self._http2.receive(data))
        else:
            self._lost = True
            answers = [Answer(stream, b"", None) for stream in self._numbers]
        return [(self._numbers.pop(answer.stream), answer) for answer in answers]

    def close(self) -> None:
        self._socket.close()
