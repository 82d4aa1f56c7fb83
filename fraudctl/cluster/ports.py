"""TCP ports of 127.0.0.1: which are free, and who holds those that are not."""

import errno
import secrets
import socket
from pathlib import Path
from typing import Final

from fraudctl.cluster.errors import PortInUseError

HOST: Final = "127.0.0.1"
# Below the ports that Linux and macOS give to outgoing connections, so that none of those takes one before it is used.
FREE_FROM: Final = 20_000
FREE_TO: Final = 32_000
LISTEN: Final = "0A"  # the state's number in /proc/net/tcp


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as servers do; connections just closed are no hindrance
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def free_port() -> int:
    """A port nobody listens on now. Nothing keeps it free: use it soon."""
    while True:
        port = FREE_FROM + secrets.randbelow(FREE_TO - FREE_FROM)
        if is_free(port):
            return port


def holder(port: int) -> str | None:
    """The listening process as `name (pid 12)`, or None where the system does not tell."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(link.readlink()) in inodes for link in (directory / "fd").iterdir()):
                return f"{(directory / 'comm').read_text().strip()} (pid {directory.name})"
        except OSError:  # ended meanwhile, or another user's
            continue
    return None


def require_free(port: int, *, name: str, remedy: str) -> None:
    """Raises PortInUseError, saying which port, who has it, and `remedy`: another way than stopping that process."""
    if not is_free(port):
        user = holder(port) or "another process"
        raise PortInUseError(f"port {port}, which {name} needs, is in use by {user}: stop that, or {remedy}")


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if not table.exists():
            continue
        for line in table.read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes
