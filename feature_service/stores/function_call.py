"""A Function of Redis called for several keys: at once, or one by one where they live in different slots."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from feature_service.stores.redis_pipe import encode_command


class FunctionCall(NamedTuple):
    """Of a Function that takes any number of keys, arguments that all share, and then one for each key.

    It answers with a list. Done again, it does no harm.
    """

    name: bytes
    keys: Sequence[bytes]  # (k,)
    shared: Sequence[bytes]
    arguments: Sequence[bytes]  # (k,)

    def together(self) -> bytes:
        """Encoded, as one command."""
        return encode_command(b"FCALL", self.name, b"%d" % len(self.keys), *self.keys, *self.shared, *self.arguments)

    def one_by_one(self) -> list[bytes]:
        """Encoded, (k,)"""
        return [
            FunctionCall(self.name, (key,), self.shared, (argument,)).together()
            for key, argument in zip(self.keys, self.arguments, strict=True)
        ]


NO_CALL: Final = FunctionCall(b"", (), (), ())
