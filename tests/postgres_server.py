"""A PostgreSQL server of its own, from the programs that the system package brings."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from fraudctl.cluster.errors import NotReadyError
from fraudctl.cluster.ports import HOST, free_port
from fraudctl.cluster.processes import Process, Program

_ROLE: Final = "fraud"
# The server refuses to run as root: then it runs as the user that its package makes.
_AS_ITS_USER: Final = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")


class PostgresServer(Process):
    """`start` makes an empty cluster of databases; `remove` deletes it."""

    def __init__(self, directory: Path) -> None:
        port = free_port()
        # Not below `directory`: its user may not enter what pytest makes for another one.
        self._data = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._prefix = _AS_ITS_USER if os.geteuid() == 0 else ()
        self._address = f"postgresql+psycopg://{_ROLE}@{HOST}:{port}"
        self._port = port
        super().__init__(Program("postgres", command=self._command, probe=self._probe, ports=(port,)), directory)

    def url(self, database: str) -> str:
        """Of a new, empty database, as a person would write it."""
        with create_engine(f"{self._address}/postgres", isolation_level="AUTOCOMMIT").connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{database}"')
        return f"{self._address}/{database}".replace("+psycopg", "")

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._data)

    def _command(self) -> tuple[str, ...]:
        if not (self._data / "PG_VERSION").exists():
            if self._prefix:
                shutil.chown(self._data, "postgres", "postgres")
            initdb = (
                *self._prefix,
                _program("initdb"),
                "-D",
                str(self._data),
                "-U",
                _ROLE,
                "-A",
                "trust",
                "-E",
                "UTF8",
            )
            subprocess.run(initdb, check=True, capture_output=True, cwd="/")
        # fmt: off
        return (
            *self._prefix, _program("postgres"),
            "-D", str(self._data),
            "-h", HOST, "-p", str(self._port), "-k", "",
            "-c", "fsync=off",  # no machine fails in these tests
        )
        # fmt: on

    def _probe(self) -> str:
        try:
            engine = create_engine(f"{self._address}/postgres")
            with engine.connect() as connection:
                return str(connection.exec_driver_sql("SELECT version()").scalar())
        except OperationalError as error:
            raise NotReadyError(str(error.orig)) from error


def _program(name: str) -> str:
    """The newest that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    if not found:
        raise FileNotFoundError(f"no PostgreSQL server is installed: make system installs it ({name} was not found)")
    return str(found[-1])
