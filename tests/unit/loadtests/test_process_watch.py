import os
import subprocess
import sys
import time
from mmap import PAGESIZE, mmap

import pytest

from loadtests.process_watch import ProcessWatch, sample

MIB = 1_048_576


def test_memory_and_open_files_of_a_process_are_seen() -> None:
    before = sample(os.getpid())
    with mmap(-1, 64 * MIB) as held, open(os.devnull) as _, open(os.devnull) as _:  # noqa: PTH123
        for page in range(0, len(held), PAGESIZE):
            held[page] = 1  # never memory that the process had and has freed
        during = sample(os.getpid())
    assert during.rss_bytes - before.rss_bytes == pytest.approx(64 * MIB, rel=0.2)
    assert during.open_files == before.open_files + 2
    assert during.time_s > before.time_s


def test_a_process_is_watched_until_its_end() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        with ProcessWatch(process.pid) as watch:
            while len(watch.samples) < 2:
                time.sleep(0.01)
            process.kill()
            process.wait()
        seen = len(watch.samples)
    assert all(each.rss_bytes > 0 for each in watch.samples)
    assert watch.samples[1].time_s - watch.samples[0].time_s >= 1.0
    with pytest.raises((FileNotFoundError, ProcessLookupError)):
        sample(process.pid)
    assert len(watch.samples) == seen


def test_a_zombie_is_no_process() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(ProcessLookupError):
        sample(process.pid)
    process.wait()
