"""One child process: started with a log file and a pid file, asked by its own protocol whether it is ready, stopped.

Processes outlive the command that starts them. The pid file, which holds the process's start time too, lets a later
command find, probe and stop exactly that process, and never another one that was given its number since.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fraudctl.cluster.errors import NotReadyError, StartError
from fraudctl.cluster.ports import require_free

POLL_S: Final = 0.05
TAIL_LINES: Final = 20

Probe = Callable[[], str]
"""Asks a process, by the protocol it serves, whether it can work: a few words on it, or NotReadyError."""


@dataclass(frozen=True, slots=True)
class Program:
    name: str  # of the log and pid files, and in messages
    command: Callable[[], Sequence[str]]  # makes ready what a start needs, and gives the argument list
    probe: Probe
    ports: tuple[int, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)  # added to this process's own
    working_directory: Path | None = None
    start_timeout_s: float = 60.0
    stop_timeout_s: float = 15.0


class Process:
    def __init__(self, program: Program, directory: Path) -> None:
        self.program = program
        self.log_path = directory / f"{program.name}.log"
        self._pid_path = directory / f"{program.name}.pid"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the running process, whoever started it; None where it does not run."""
        if self._child is not None:
            self._child.poll()  # reaps it, if it has ended
        return running_pid(self._pid_path)

    @property
    def exit_code(self) -> int | None:
        """Of the process, where this object started it and it has ended; below 0, the signal that ended it."""
        return None if self._child is None else self._child.poll()

    def start(self) -> None:
        """Launched, and ready. Raises ClusterError; a process that runs already stays as it is."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Started, not waited for, so that several can get ready side by side."""
        if self.pid is not None:
            return
        for port in self.program.ports:
            require_free(port, name=self.program.name, remedy="choose another port")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        command = self.program.command()
        if self.log_path.exists():  # one run back is kept: a process is often started again before its end is looked at
            self.log_path.replace(self.log_path.with_suffix(".previous.log"))
        with self.log_path.open("wb") as log:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.program.environment},
                cwd=self.program.working_directory,
                start_new_session=True,  # Ctrl-C at the terminal is for the command, which then stops this in order
            )
        self._pid_path.write_text(f"{self._child.pid} {_start_time(self._child.pid)}")

    def wait_until_ready(self) -> None:
        """Raises StartError, with the end of the log, if the process ends or is not ready in time."""
        deadline_s = time.monotonic() + self.program.start_timeout_s
        while True:
            if self.pid is None:
                self._pid_path.unlink(missing_ok=True)
                raise StartError(f"{self.program.name} ended while starting{self._exit_code()}\n{self._log_tail()}")
            try:
                self.program.probe()
            except NotReadyError as reason:
                if time.monotonic() > deadline_s:
                    self.kill()
                    waited = f"{self.program.start_timeout_s:.0f} s"
                    message = f"{self.program.name} was not ready within {waited}: {reason}"
                    raise StartError(f"{message}\n{self._log_tail()}") from reason
                time.sleep(POLL_S)
            else:
                return

    def ended_within(self, timeout_s: float) -> bool:
        """Whether it has, by itself or by what was sent to it."""
        deadline_s = time.monotonic() + timeout_s
        while self.pid is not None:
            if time.monotonic() > deadline_s:
                return False
            time.sleep(POLL_S)
        return True

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for it and its children once `stop_timeout_s` has passed."""
        pid = self.pid
        if pid is None:
            self._pid_path.unlink(missing_ok=True)
            return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        if not self.ended_within(self.program.stop_timeout_s):
            self.kill()
        self._pid_path.unlink(missing_ok=True)

    def kill(self) -> None:
        """SIGKILL for the process and its children: a crash. Files and ports stay as they were."""
        pid = self.pid
        if pid is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        if not self.ended_within(self.program.stop_timeout_s):
            raise StartError(f"{self.program.name} (pid {pid}) does not end on SIGKILL")
        self._pid_path.unlink(missing_ok=True)

    def _exit_code(self) -> str:
        return f" (exit code {self._child.returncode})" if self._child is not None else ""

    def _log_tail(self) -> str:
        lines = self.log_path.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join([f"the end of {self.log_path}:", *(f"  {line}" for line in lines)])


def running_pid(pid_path: Path) -> int | None:
    """Of the process that the file was written for; None where there is no file, or that process has ended."""
    try:
        pid, started = pid_path.read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid) if _start_time(int(pid)) == started else None


def _start_time(pid: int) -> str | None:
    """When the process started, in the kernel's ticks since boot; None where it has ended, reaped or not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold blanks and brackets
    # A zombie with threads is still dying: they hold its ports and files.
    ended = fields[0] in {"Z", "X"} and threads <= 1
    return None if ended else fields[19]
