"""One cluster for all tests of this folder: each test has people and cards of its own."""

from collections.abc import AsyncIterator, Iterator

import pytest

from scorer.bundle import load_bundle
from tests.bundles import World, make_world, train_bundle
from tests.e2e.client import ClusterClient
from tests.e2e.cluster import RunningCluster
from tests.otlp_receiver import OtlpReceiver


@pytest.fixture(scope="package")
def backend() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), customers=300, terminals=100)


@pytest.fixture(scope="package")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, kafka_bootstrap: str, backend: OtlpReceiver, world: World
) -> Iterator[RunningCluster]:
    """Its model is trained on the world."""
    directory = tmp_path_factory.mktemp("e2e")
    bundle_path = train_bundle(world, directory)
    running = RunningCluster(
        directory / "cluster",
        kafka_bootstrap=kafka_bootstrap,
        bundle=load_bundle(bundle_path),
        bundle_path=bundle_path,
        id_hash_key_file=world.contract.id_hash_key_file,
        environment={**backend.environment(), "FRAUD_SAMPLED_SHARE": "0"},
    )
    try:
        yield running.__enter__()
    finally:
        running.__exit__()


@pytest.fixture(autouse=True)
def show_logs(request: pytest.FixtureRequest, cluster: RunningCluster) -> Iterator[None]:
    yield
    print(cluster.log_tails())  # shown where a test fails


@pytest.fixture
async def client(cluster: RunningCluster) -> AsyncIterator[ClusterClient]:
    async with ClusterClient(cluster) as client:
        yield client
