"""Processor time of other processes, as the kernel counts it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fraudctl.cluster.processes import Process

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12  # fields after the name in /proc/PID/stat; see proc(5)


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process, those that have ended too; to a hundredth of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # the name may hold blanks
    return (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS_PER_S


class CpuTimes:
    """Of several processes by name, from when this was made."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._begin = {name: cpu_seconds(pid) for name, pid in pids.items()}

    def us_for_each(self, count: int) -> dict[str, float]:
        """Microseconds for each of `count` done since then, by process."""
        return {name: (cpu_seconds(pid) - self._begin[name]) / count * 1e6 for name, pid in self._pids.items()}

    def us_each(self, count: int, *, of: str) -> dict[str, float]:
        """Likewise, rounded, by `{process}_cpu_us_per_{of}`."""
        return {f"{name}_cpu_us_per_{of}": round(us, 2) for name, us in self.us_for_each(count).items()}


def process_ids(processes: Mapping[str, Process]) -> dict[str, int]:
    """Of those that run."""
    return {name: process.pid for name, process in processes.items() if process.pid is not None}
