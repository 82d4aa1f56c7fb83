"""All faults, in the order in which they are injected: those of one kind of Redis together."""

import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from loadtests.budgets.fault import Fault
from loadtests.budgets.rig import Rig
from loadtests.context import at_once
from loadtests.figures import BenchError
from loadtests.stalled import stalled
from scorer.errors import BundleHashError
from scorer.manifest import MODEL

_REFUSED_EXIT: Final = 2
_REFUSED_WITHIN_S: Final = 60.0


@contextmanager
def _nothing(_: Rig) -> Iterator[None]:
    yield


@contextmanager
def _slow(rig: Rig, *, hold_ms: float) -> Iterator[None]:
    """Every answer comes so much later: a read and a write make twice that in a call."""
    rig.proxy.hold_back(hold_ms)
    try:
        yield
    finally:
        rig.proxy.hold_back(0.0)


@contextmanager
def _killed(rig: Rig) -> Iterator[None]:
    """Connections break, and are refused from then on."""
    rig.redis_server.kill()
    rig.proxy.stop()
    try:
        yield
    finally:
        rig.redis_server.start()
        rig.proxy.start()


@contextmanager
def _silent(rig: Rig) -> Iterator[None]:
    with stalled(rig.redis_server):
        yield


@contextmanager
def _shards_gone(rig: Rig, *, masters: int) -> Iterator[None]:
    """Masters with their replicas, so that nobody takes over."""
    cluster = rig.redis_cluster
    pairs = [(cluster.replica_of(master), master) for master in cluster.masters()[:masters]]
    for server in (each for pair in pairs for each in pair):
        server.kill()
    try:
        yield
    finally:
        cluster.start()


@contextmanager
def _model_refused(rig: Rig) -> Iterator[None]:
    """A process that is to share the port gets a model whose text is cut off: it must say so, and take no call."""
    name = "scorer-refused"
    bundle = rig.context.scratch / f"{name}-bundle"
    shutil.copytree(rig.given.bundle, bundle)
    text = bundle / MODEL
    text.write_bytes(text.read_bytes()[:-100])
    environment = {
        **rig.context.environment(rig.topics),
        **rig.environment,
        "FRAUD_SCORER_BIND": rig.address,
        "FRAUD_MODEL_DIR": str(bundle),
    }
    with rig.context.running(name, "scorer", environment=environment, probe=at_once) as process:
        yield
        ended, log = process.ended_within(_REFUSED_WITHIN_S), process.log_path.read_text()
        if not ended or process.exit_code != _REFUSED_EXIT or BundleHashError.__name__ not in log:
            raise BenchError(f"a model that is cut off was not refused by name, but with:\n{log}")
    for folder in (bundle, process.log_path.parent):
        shutil.rmtree(folder)


@contextmanager
def _kafka_killed(rig: Rig) -> Iterator[None]:
    """What is answered meanwhile is published when the broker is back."""
    rig.kafka.kill()
    try:
        yield
    finally:
        rig.kafka.start()


def slow_by(hold_ms: float, *, full_from_ms: float) -> Fault:
    inject = partial(_slow, hold_ms=hold_ms)
    return Fault(name=f"Redis slow by {hold_ms:g} ms", inject=inject, full_from_ms=full_from_ms)


def _without_shards(masters: int) -> Fault:
    return Fault(
        name=f"{masters} of 3 shards of a Redis Cluster gone",
        inject=partial(_shards_gone, masters=masters),
        full_from_ms=math.inf,
        redis="cluster",
    )


REDIS_KILLED: Final = Fault(name="Redis killed (SIGKILL)", inject=_killed, full_from_ms=math.inf)
KAFKA_KILLED: Final = Fault(name="Kafka killed (SIGKILL)", inject=_kafka_killed)
FAULTS: Final = (
    Fault(name="none", inject=_nothing),
    slow_by(1, full_from_ms=0),
    slow_by(5, full_from_ms=25),
    slow_by(20, full_from_ms=50),
    slow_by(100, full_from_ms=math.inf),
    REDIS_KILLED,
    Fault(name="Redis silent (SIGSTOP)", inject=_silent, full_from_ms=math.inf),
    Fault(name="a new process's model fails to load", inject=_model_refused),
    KAFKA_KILLED,
    _without_shards(1),
    _without_shards(2),
)
