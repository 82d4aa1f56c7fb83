"""What a process holds of the machine."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessSize:
    open_files: int
    threads: int
    resident_mib: float

    @classmethod
    def of(cls, pid: int) -> "ProcessSize":
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        return cls(
            open_files=len(list(Path(f"/proc/{pid}/fd").iterdir())),
            threads=int(status["Threads"]),
            resident_mib=int(status["VmRSS"].split()[0]) / 1024,
        )
