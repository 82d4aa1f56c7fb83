"""Attempts: what it costs a Score call to leave its payment and see others, and a worker to read decisions past."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import islice
from statistics import median
from typing import Any, Final

import numpy as np
import redis
from fraud.v1.decision_pb2 import Decision, Origin
from numpy.typing import NDArray

from feature_service.catalogue import view
from feature_service.decoding import TransactionDecoder
from feature_service.events import Event
from feature_service.money import RateTable
from feature_service.packing import pack_transactions
from feature_service.plan import make_plan
from feature_service.records import ENTITIES, RECORD_WORDS, Kind
from feature_service.settings import StoreSettings, make_online_features, make_redis_store
from feature_service.stores.attempts import RedisAttempts
from feature_service.stores.fold_batch import plan_fold
from feature_service.stores.layout import RECORD_BYTES
from feature_service.stores.redis_store import RedisHistoryStore
from loadtests.context import Context
from loadtests.cpu_time import CpuTimes, cpu_seconds, process_ids
from loadtests.figures import Result, Value
from loadtests.inputs import simulated, with_entities
from loadtests.topic_input import fill, wait_for
from training.simulator import SimulatorSettings

_FOLD_ROWS: Final = 2_000
_US: Final = 1e6
_VECTOR: Final = np.arange(146.0)  # of the view `production`

Read = Callable[[NDArray[np.void]], Awaitable[None]]


def measure(context: Context) -> list[Result]:
    context.empty_redis()
    return [*asyncio.run(_of_calls(context)), _of_decisions(context)]


async def _of_calls(context: Context) -> list[Result]:
    """Paired: the same payments are read without attempts and with them, in rounds that alternate."""
    rounds, calls = (2, 500) if context.quick else (10, 2_000)
    settings = StoreSettings(redis_url=context.redis.url)
    rows = _rows(context, 8_000 if context.quick else 40_000)
    asked = rows[rows["kind"] == Kind.AUTHORISATION][-rounds * calls :].copy()
    asked["transaction_hash"] = np.arange(rounds * calls) + 1
    asked["event_time_ms"] = rows["event_time_ms"].max()
    async with make_redis_store(settings, context.contract, context.contract.read_id_key()) as store:
        context.say("attempts: folding payments, once from `transactions` and once from `decisions`")
        stored = [await _fold(context, store, rows, source) for source in ("transactions:0", "decisions:0")]
        features = make_online_features(make_plan(view("production").names), store.layout, context.contract)
        attempts = RedisAttempts(store.servers)

        async def read_alone(row: NDArray[np.void]) -> None:
            keys = features.keys(row)
            values = await store.read([*keys.keys, b"no decision"])
            sizes.append(-sum(map(len, filter(None, values))))

        async def read_with_attempts(row: NDArray[np.void]) -> None:
            found = await attempts.read(row, features.keys(row), [b"no decision"])
            sizes.append(sum(map(len, filter(None, found.histories))))

        alone, leaving = _Rounds(context), _Rounds(context)
        sizes: list[int] = []
        used = _used_memory(context)
        for number in range(rounds):
            context.say(f"attempts: round {number + 1} of {rounds}")
            part = asked[number * calls : (number + 1) * calls]
            await alone.run(read_alone, part)
            await leaving.run(read_with_attempts, part)
        kept = (_used_memory(context) - used) / (rounds * calls)
    entities = float((asked["entity_hash"] != 0).sum()) / asked.shape[0]
    return [
        Result("histories and decision of a payment, read", "µs", alone.wall_us, None, alone.details),
        Result(
            "the same, seeing and leaving attempts",
            "µs",
            leaving.wall_us,
            None,
            {
                **leaving.details,
                "redis_bytes_per_payment": round(kept, 1),
                "entities": round(entities, 2),
                "attempts_seen_per_entity": round(sum(sizes) / RECORD_BYTES / len(asked) / entities, 1),
            },
        ),
        Result(
            "attempts, per call, same run",
            "µs",
            leaving.wall_us - alone.wall_us,
            None,
            {
                "redis_bytes_of_a_payment": round(stored[0], 1),
                "more_where_decisions_bring_it_too": round(stored[1], 1),
            },
        ),
    ]


class _Rounds:
    """Calls one after another, and what each took."""

    def __init__(self, context: Context) -> None:
        self._redis = process_ids({"redis": context.redis})["redis"]
        self._wall_us: list[float] = []
        self._client_us: list[float] = []
        self._redis_us: list[float] = []

    async def run(self, read: Read, rows: NDArray[np.void]) -> None:
        redis_s, client_s, begun_s = cpu_seconds(self._redis), time.process_time(), time.perf_counter()
        for index in range(rows.shape[0]):
            await read(rows[index : index + 1])
        each = _US / rows.shape[0]
        self._wall_us.append((time.perf_counter() - begun_s) * each)
        self._client_us.append((time.process_time() - client_s) * each)
        self._redis_us.append((cpu_seconds(self._redis) - redis_s) * each)

    @property
    def wall_us(self) -> float:
        return median(self._wall_us)

    @property
    def details(self) -> dict[str, Value]:
        return {
            "caller_cpu_us": round(median(self._client_us), 1),
            "redis_cpu_us": round(sum(self._redis_us) / len(self._redis_us), 1),  # counted in hundredths of a second
        }


def _of_decisions(context: Context) -> Result:
    """A worker reads past what the stream has decided; its heartbeats meanwhile are counted too."""
    count = 20_000 if context.quick else 200_000
    payments = with_entities(simulated(SimulatorSettings(days=1, customers=400, terminals=800)), ENTITIES)
    brief = Decision(trace_id="0" * 32, model_version="0" * 12, origin=Origin.ORIGIN_STREAM).SerializeToString()
    values = [
        brief + Decision(feature_vector=_VECTOR, transaction=payment).SerializeToString()
        for payment in islice(payments, 500)
    ]
    decisions = [Event("decisions", 0, b"%d" % number, values[number % len(values)]) for number in range(count)]
    topics = context.make_topics("attempts")
    with context.worker("attempts-worker", topics, {"FRAUD_SCORE_STREAM": "false"}) as worker:
        asyncio.run(wait_for(context, asyncio.run(fill(context, topics, decisions[:1]))))  # it is there
        context.say(f"attempts: {count:,} decisions of the stream")
        cpu, begun_s = CpuTimes(process_ids({"worker": worker})), time.monotonic()
        asyncio.run(wait_for(context, asyncio.run(fill(context, topics, decisions))))
        seconds = time.monotonic() - begun_s
        [used_us] = cpu.us_each(count, of="decision").values()
    details: dict[str, Value] = {"bytes": len(values[0]), "decisions": count, "per_s": round(count / seconds)}
    return Result("worker, processor time for each decision of the stream", "µs", used_us, None, details)


def _rows(context: Context, count: int) -> NDArray[np.void]:
    contract = context.contract
    rates = RateTable.load(contract.rates_file, contract.base_currency)
    decoder = TransactionDecoder(contract, rates, contract.read_id_key())
    payments = list(
        islice(simulated(SimulatorSettings(days=1 + count // 1_500, customers=800, terminals=1_600)), count)
    )
    rows = decoder.decode(
        [payment.SerializeToString() for payment in payments], [payment.event_time_ms for payment in payments]
    ).rows
    assert not rows["rejection"].any()
    return rows


async def _fold(context: Context, store: RedisHistoryStore, rows: NDArray[np.void], source: str) -> float:
    """Bytes of Redis for each payment."""
    used = _used_memory(context)
    known = np.full(store.layout.shard_count, -1, dtype=np.int64)
    for first in range(0, rows.shape[0], _FOLD_ROWS):
        part = rows[first : first + _FOLD_ROWS]
        records = np.zeros((part.shape[0], len(ENTITIES), RECORD_WORDS), dtype=np.int64)
        pack_transactions(part, records)
        end = first + part.shape[0] - 1
        batch = plan_fold(
            source=source,
            new=end,
            offsets=np.arange(first, end + 1),
            entity_hashes=part["entity_hash"],
            records=records,
            known=known,
        )
        await store.fold(batch)
        known[batch.shards] = end
    more: float = (_used_memory(context) - used) / rows.shape[0]
    return more


def _used_memory(context: Context) -> int:
    with redis.Redis.from_url(context.redis.url) as client:
        memory: Any = client.info("memory")
        return int(memory["used_memory"])
