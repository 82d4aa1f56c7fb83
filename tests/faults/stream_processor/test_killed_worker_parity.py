"""Laws 1 and 4: a worker killed in the middle of the stream changes no feature of any entity by a bit."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from feature_service.catalogue import view
from feature_service.contract_settings import ContractSettings
from feature_service.decoding import TransactionDecoder
from feature_service.labels import LabelDecoder
from feature_service.money import RateTable, currency_exponents
from feature_service.offline.dataset import decode_events
from feature_service.offline.features import OfflineFeatures
from feature_service.plan import make_plan
from feature_service.settings import StoreSettings, make_online_features, store_layout
from fraudctl.cluster.topics import TopicSpec, ensure_topics
from loadtests.definition_skew import Disorder, measure
from loadtests.replay_parity import ParityRun
from loadtests.workers import running_workers
from stream_processor.kafka_connection import KafkaConnection
from training.simulator import SimulatorSettings, simulate_batches

DAYS = 5  # one stretch of the comparison: all of it is published before anything is compared
RECORDS_AT_ONCE = 25
KILLED_AFTER = 200  # histories


@pytest.fixture
def run(
    kafka_bootstrap: str, redis_url: str, redis_client: redis.Redis, topic_name: Callable[[str], str], tmp_path: Path
) -> ParityRun:
    key_file = tmp_path / "id_hash_key"
    key_file.write_text("000102030405060708090a0b0c0d0e0f")
    return ParityRun(
        kafka_bootstrap=kafka_bootstrap,
        redis_url=redis_url,
        id_hash_key_file=key_file,
        logs=tmp_path,
        topics=(topic_name("transactions"), topic_name("labels")),
        max_batch_records=RECORDS_AT_ONCE,
        disorder=Disorder(shuffled_within_ms=3_600_000, duplicate_share=0.01),
    )


async def test_features_are_the_offline_ones(run: ParityRun, redis_client: redis.Redis) -> None:
    simulated = SimulatorSettings(seed=11, days=DAYS, customers=300, terminals=150, label_delay_median_days=1.0)
    batches = list(simulate_batches(simulated))
    contract = ContractSettings(id_hash_key_file=run.id_hash_key_file)
    id_key = contract.read_id_key()
    rates = RateTable.load(contract.rates_file, contract.base_currency)
    events = decode_events(batches, TransactionDecoder(contract, rates, id_key), LabelDecoder(contract, id_key))
    minor_per_major = 10 ** currency_exponents()[contract.base_currency]
    store_settings = StoreSettings(redis_url=run.redis_url)
    layout = store_layout(store_settings, id_key)
    plans = {name: make_plan(view(name).names) for name in run.views}
    await ensure_topics(run.kafka_bootstrap, [TopicSpec(name, partitions=2) for name in run.topics])

    def histories() -> int:
        keys: list[bytes] = redis_client.keys(layout.prefix + b"*}:[ckmtdi]:*")  # type: ignore[assignment]  # not asyncio's
        return len(keys)

    with running_workers(1, run.worker_environment, run.logs) as [first]:
        comparing = asyncio.create_task(
            measure(
                events,
                batches,
                online={name: make_online_features(plan, layout, contract) for name, plan in plans.items()},
                offline={
                    name: OfflineFeatures(plan, events.rows, events.labels, minor_per_major=minor_per_major)
                    for name, plan in plans.items()
                },
                connection=KafkaConnection(bootstrap_servers=(run.kafka_bootstrap,)),
                store_settings=store_settings,
                contract=contract,
                topics=run.topics,
                disorder=run.disorder,
            )
        )
        async with asyncio.timeout(60):
            while histories() < KILLED_AFTER:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.005)
        first.send_signal(signal.SIGKILL)
        first.wait()
        at_the_kill = histories()
        with running_workers(1, run.worker_environment, run.logs):
            skew = await comparing
    assert at_the_kill < histories() / 2, "it was killed in the middle"
    assert skew.rows > 2_000
    assert skew.mismatched_values == 0, "\n".join(skew.examples)
