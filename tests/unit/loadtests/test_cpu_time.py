import os
import subprocess
import sys
import time

from loadtests.cpu_time import CpuTimes, cpu_seconds


def test_of_this_process_it_is_what_the_process_itself_says() -> None:
    before_s = time.process_time()
    found_s = cpu_seconds(os.getpid())
    assert before_s - 0.03 <= found_s <= time.process_time() + 0.03  # the kernel counts in hundredths


def test_work_is_counted_from_the_start_and_shared_out() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "for _ in range(3_000_000): pass\nprint(flush=True)\ninput()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        times = CpuTimes({"loop": process.pid})
        assert process.stdout is not None
        process.stdout.readline()
        each = times.us_each(1_000, of="event")
        process.communicate(b"\n")
    assert list(each) == ["loop_cpu_us_per_event"]
    assert each["loop_cpu_us_per_event"] > 0
