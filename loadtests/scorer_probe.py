"""How a scorer is asked whether it serves, where another one may serve on the same port."""

from pathlib import Path

from fraudctl.cluster.errors import NotReadyError
from fraudctl.cluster.probes import grpc_health
from fraudctl.cluster.processes import Probe


def serves(log: Path, address: str) -> Probe:
    """By its own log too: who else is on its port might answer for it."""

    def probe() -> str:
        if '"event": "serving"' not in log.read_text():
            raise NotReadyError("it does not say yet that it serves")
        return grpc_health(address)()

    return probe
