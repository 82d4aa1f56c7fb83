"""Connections that speak HTTP/2 badly, or not at all."""

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from random import Random
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS, _HEADERS, _DATA, _CONTINUATION, _PING, _WINDOW_UPDATE, _RST_STREAM = 4, 1, 0, 9, 6, 8, 3
_END_STREAM, _END_HEADERS = 0x1, 0x4
_READ_S: Final = 0.05  # how long an answer is looked at, if there is any
_TIMEOUTS: Final = (b"1n", b"0S", b"99999999H", b"999999999999H", b"-1S", b"S", b"1x", b"", b"\xff\xff")

Script = Callable[[Random, bytes], bytes]


def frame(kind: int, flags: int, stream: int, payload: bytes, *, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    return size.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def headers(*pairs: tuple[bytes, bytes]) -> bytes:
    """HPACK: literals that are not indexed, names and values as they are."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in pairs)


def _text(value: bytes) -> bytes:
    if len(value) < 127:
        return bytes([len(value)]) + value
    rest, encoded = len(value) - 127, bytearray([127])
    while rest > 0x7F:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded) + value


def well_formed(path: bytes, body: bytes, *odd: tuple[bytes, bytes]) -> bytes:
    """A gRPC call as a client would make it, but for what is odd: `body` is the length-prefixed message."""
    usual = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"localhost"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    )
    return (
        PREFACE
        + frame(_SETTINGS, 0, 0, b"")
        + frame(_HEADERS, _END_HEADERS, 1, headers(*usual, *odd))
        + frame(_DATA, _END_STREAM, 1, body)
    )


def _request(random: Random, path: bytes, *odd: tuple[bytes, bytes]) -> bytes:
    message = random.randbytes(random.choice((0, 5, 200)))
    length = len(message) if random.random() < 0.5 else random.choice((0, 1, 2**31, 2**32 - 1))
    body = bytes([random.choice((0, 0, 1, 7))]) + length.to_bytes(4, "big") + message
    return well_formed(path, body, *odd)


def _noise(random: Random, _path: bytes) -> bytes:
    return random.randbytes(random.choice((0, 1, 24, 1_000)))


def _noise_after_preface(random: Random, _path: bytes) -> bytes:
    return PREFACE + random.randbytes(random.choice((1, 9, 500)))


def _http_1(_random: Random, path: bytes) -> bytes:
    return b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"


def _tls_hello(random: Random, _path: bytes) -> bytes:
    return b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + random.randbytes(508)


def _odd_frames(random: Random, _path: bytes) -> bytes:
    frames = []
    for _ in range(random.choice((1, 5, 50))):
        payload = random.randbytes(random.choice((0, 4, 8, 100)))
        length = None if random.random() < 0.8 else random.choice((0, 2**14 + 1, 2**24 - 1))
        stream = random.choice((0, 1, 2, 3, 2**31 - 1, 2**32 - 1))
        frames.append(frame(random.randrange(12), random.randrange(256), stream, payload, length=length))
    return PREFACE + frame(_SETTINGS, 0, 0, b"") + b"".join(frames)


def _odd_hpack(random: Random, _path: bytes) -> bytes:
    block = random.choice(
        (random.randbytes(100), b"\xff" * 100, b"\x3f\xff\xff\xff\xff\x0f", b"\0\x7f\xff\xff\xff\x07a")
    )
    return PREFACE + frame(_SETTINGS, 0, 0, b"") + frame(_HEADERS, _END_HEADERS | _END_STREAM, 1, block)


def _odd_timeout(random: Random, path: bytes) -> bytes:
    return _request(random, path, (b"grpc-timeout", random.choice(_TIMEOUTS)))


def _odd_encoding(random: Random, path: bytes) -> bytes:
    return _request(random, path, (b"grpc-encoding", random.choice((b"gzip", b"deflate", b"snappy", b"\0"))))


def _odd_header(random: Random, path: bytes) -> bytes:
    name = random.choice((b"traceparent", b"x\0y", b"UPPER", b"", b":odd", b"a-bin", b"grpc-message"))
    return _request(random, path, (name, random.randbytes(random.choice((0, 10, 10_000)))))


def _odd_path(random: Random, path: bytes) -> bytes:
    return _request(random, random.choice((b"", b"/", path + b"\xff", path * 50, b"/a/b", path[:-1])))


def _flood(random: Random, path: bytes) -> bytes:
    block = headers((b"a", b"b" * 100))
    return PREFACE + random.choice(
        (
            frame(_PING, 0, 0, b"\0" * 8) * 500,
            frame(_SETTINGS, 0, 0, struct.pack(">HI", 4, 2**31 - 1)) * 200,
            frame(_SETTINGS, 0, 0, b"") + frame(_HEADERS, 0, 1, block) + frame(_CONTINUATION, 0, 1, block) * 500,
            b"".join(
                frame(_HEADERS, _END_HEADERS, stream, headers((b":path", path)))
                + frame(_RST_STREAM, 0, stream, b"\0\0\0\x08")
                for stream in range(1, 400, 2)
            ),
            frame(_SETTINGS, 0, 0, b"") + frame(_WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 3,
        )
    )


SCRIPTS: Final[Mapping[str, Script]] = {
    "noise": _noise,
    "noise after the preface": _noise_after_preface,
    "HTTP/1.1": _http_1,
    "TLS": _tls_hello,
    "odd frames": _odd_frames,
    "odd HPACK": _odd_hpack,
    "odd grpc-timeout": _odd_timeout,
    "odd grpc-encoding": _odd_encoding,
    "odd header": _odd_header,
    "odd path": _odd_path,
    "flood": _flood,
}


async def connect_badly(address: str, path: str, *, seed: int, count: int, at_once: int = 16) -> None:
    """So many connections, one script each; some are cut off without a word."""
    numbers = iter(range(count))

    async def connect() -> None:
        for number in numbers:
            random = Random(f"{seed}:{number}")
            script = random.choice(tuple(SCRIPTS.values()))
            await send(address, script(random, path.encode()), abruptly=random.random() < 0.3)

    await asyncio.gather(*(connect() for _ in range(at_once)))


async def send(address: str, words: bytes, *, abruptly: bool = False) -> None:
    """Raises: OSError where nobody listens."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    with suppress(OSError, TimeoutError):  # however the server takes it
        writer.write(words)
        await writer.drain()
        async with asyncio.timeout(_READ_S):
            while await reader.read(65_536):
                pass
    if abruptly:
        own: socket.socket = writer.get_extra_info("socket")
        with suppress(OSError):
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST instead of FIN
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
