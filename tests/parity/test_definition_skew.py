"""Law 2: what is read online, behind a barrier, is what is computed offline, bit for bit, through the real cluster."""

import os
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import pytest
import redis

from feature_service.events import EventBatch
from feature_service.files import load_mapping, read_batches
from fraudctl.cluster.topics import TopicSpec, ensure_topics
from loadtests.definition_skew import Disorder
from loadtests.replay_parity import ParityRun, run_parity
from training.simulator import SimulatorSettings, simulate_batches

HANDBOOK = Path(
    os.environ.get("FRAUD_HANDBOOK_DATA", Path(__file__).parents[3] / "shared" / "data" / "fdh_transactions.parquet")
)
DISORDERED = Disorder(shuffled_within_ms=3_600_000, duplicate_share=0.01)


@pytest.fixture
def make_run(
    kafka_bootstrap: str,
    redis_url: str,
    redis_client: redis.Redis,  # empties the server
    topic_name: Callable[[str], str],
    tmp_path: Path,
) -> Callable[..., ParityRun]:
    def make(**options: object) -> ParityRun:
        key_file = tmp_path / "id_hash_key"
        key_file.write_text("000102030405060708090a0b0c0d0e0f")
        return ParityRun(
            kafka_bootstrap=kafka_bootstrap,
            redis_url=redis_url,
            id_hash_key_file=key_file,
            logs=tmp_path,
            topics=(topic_name("transactions"), topic_name("labels"), topic_name("decisions")),
            **options,  # type: ignore[arg-type]
        )

    return make


def simulated(days: int) -> Sequence[EventBatch]:
    """Every kind of payment and entity, labels and their corrections."""
    settings = SimulatorSettings(seed=7, days=days, customers=60, terminals=120, label_delay_median_days=2.0)
    return list(simulate_batches(settings))


async def skew_of(run: ParityRun, batches: Sequence[EventBatch]) -> None:
    await ensure_topics(run.kafka_bootstrap, [TopicSpec(name, partitions=3) for name in run.topics])
    skew = await run_parity(run, batches)
    assert skew.rows > 0
    assert skew.mismatched_values == 0, "\n".join(skew.examples)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("disorder", [Disorder(), DISORDERED], ids=["in order", "shuffled, with copies"])
async def test_simulated_payments_of_all_entities(
    make_run: Callable[..., ParityRun], workers: int, disorder: Disorder
) -> None:
    await skew_of(make_run(workers=workers, disorder=disorder), simulated(days=20))


async def test_batches_of_one_record(make_run: Callable[..., ParityRun]) -> None:
    await skew_of(make_run(max_batch_records=1, disorder=DISORDERED), simulated(days=10))


@pytest.mark.skipif(not HANDBOOK.exists(), reason=f"no handbook data at {HANDBOOK}: set FRAUD_HANDBOOK_DATA")
async def test_a_slice_of_the_handbooks_payments(make_run: Callable[..., ParityRun]) -> None:
    batches = list(islice(read_batches(HANDBOOK, load_mapping("handbook")), 12))
    assert sum(len(batch.labels) for batch in batches) > 0
    await skew_of(make_run(disorder=DISORDERED), batches)
