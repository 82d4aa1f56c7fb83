"""A process is found again by its pid file, ends with a clear word when it cannot start, and is never another's."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fraudctl.cluster.errors import NotReadyError, PortInUseError, StartError
from fraudctl.cluster.ports import free_port, holder, is_free
from fraudctl.cluster.processes import Process, Program, running_pid

SLEEP = "import time; time.sleep(600)"
DEAF_TO_SIGTERM = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); {SLEEP}"
WITH_A_CHILD = f"""
import subprocess, sys
print("grandchild", subprocess.Popen([sys.executable, "-c", {SLEEP!r}]).pid, flush=True)
{SLEEP}
"""

Start = Callable[..., Process]


def ready() -> str:
    return "ready"


def never_ready() -> str:
    raise NotReadyError("it only sleeps")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Start]:
    made: list[Process] = []

    def make(
        code: str = SLEEP, *, probe: Callable[[], str] = ready, timeout_s: float = 30, **options: object
    ) -> Process:
        program = Program(
            "child",
            command=lambda: (sys.executable, "-c", code),
            probe=probe,
            start_timeout_s=timeout_s,
            stop_timeout_s=timeout_s,
            **options,  # type: ignore[arg-type]  # the tests' own keywords
        )
        made.append(Process(program, tmp_path))
        return made[-1]

    yield make
    for one in made:
        one.kill()


def said(child: Process, word: str) -> Callable[[], str]:
    def probe() -> str:
        if word not in child.log_path.read_text():
            raise NotReadyError("it has not said so")
        return word

    return probe


def is_running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_a_second_start_leaves_the_running_process_alone(process: Start) -> None:
    child = process()
    child.start()
    pid = child.pid
    child.start()
    assert child.pid == pid is not None


def test_a_later_command_finds_and_stops_what_an_earlier_one_started(process: Start) -> None:
    earlier, later = process(), process()
    earlier.start()
    assert later.pid == earlier.pid is not None
    later.stop()
    assert earlier.pid is None
    assert later.pid is None


def test_a_process_that_ends_while_starting_is_reported_with_the_end_of_its_log(process: Start) -> None:
    child = process("print('no licence to run'); raise SystemExit(3)", probe=never_ready)
    with pytest.raises(StartError, match=r"child ended while starting(?s:.*)no licence to run"):
        child.start()
    assert child.pid is None


def test_a_process_that_is_not_ready_in_time_is_killed_and_the_reason_told(process: Start) -> None:
    child = process(probe=never_ready, timeout_s=0.2)
    with pytest.raises(StartError, match="child was not ready within 0 s: it only sleeps"):
        child.start()
    assert child.pid is None


def test_a_process_deaf_to_sigterm_is_killed(process: Start, tmp_path: Path) -> None:
    child = process(DEAF_TO_SIGTERM)
    child.launch()
    child = process(DEAF_TO_SIGTERM, probe=said(child, "deaf"), timeout_s=1)
    child.wait_until_ready()
    child.stop()
    assert child.pid is None


def test_the_children_of_a_killed_process_die_with_it(process: Start) -> None:
    child = process(WITH_A_CHILD)
    child.launch()
    process(probe=said(child, "grandchild")).wait_until_ready()
    grandchild = int(child.log_path.read_text().split()[1])
    child.kill()
    deadline_s = time.monotonic() + 30
    while is_running(grandchild):  # it has been sent the signal, and is nobody's to wait for
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_a_pid_file_whose_number_now_belongs_to_another_process_names_none(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEP]) as other:
        pid_path = tmp_path / "child.pid"
        pid_path.write_text(f"{other.pid} 1")
        assert running_pid(pid_path) is None
        os.kill(other.pid, signal.SIGKILL)


def test_the_log_of_the_run_before_is_kept(process: Start) -> None:
    child = process("print('the first run'); raise SystemExit(1)", probe=never_ready)
    for _ in range(2):
        with pytest.raises(StartError):
            child.start()
    assert "the first run" in child.log_path.with_suffix(".previous.log").read_text()


def test_a_port_in_use_is_named_with_its_holder_before_anything_starts(process: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        child = process(ports=(port,))
        with pytest.raises(
            PortInUseError, match=rf"port {port}, which child needs, .* \(pid {os.getpid()}\): stop that"
        ):
            child.start()
        assert child.pid is None


def test_a_port_is_free_until_somebody_listens() -> None:
    port = free_port()
    assert is_free(port)
    assert holder(port) is None
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)
        assert f"(pid {os.getpid()})" in str(holder(port))
