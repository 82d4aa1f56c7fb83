"""The key that ids are hashed with, on this machine: made once, readable by its owner only."""

import os
import secrets
from pathlib import Path
from typing import Final

KEY_BYTES: Final = 16


def ensure_id_hash_key(path: Path) -> None:
    """A file with 32 hexadecimal digits. One that exists stays: another key would make other Redis keys of all ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")
