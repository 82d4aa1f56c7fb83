"""Visibility: from when an event was due to be produced until a reader finds it in its entity's history."""

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import numpy as np
import redis
from fraud.v1.transaction_pb2 import Transaction
from numpy.typing import NDArray

from feature_service.decoding import TransactionDecoder
from feature_service.events import Event
from feature_service.money import RateTable
from feature_service.records import ENTITIES
from feature_service.settings import StoreSettings, store_layout
from feature_service.stores.layout import StoreLayout
from loadtests.context import Context, Topics
from loadtests.cpu_time import CpuTimes, process_ids
from loadtests.figures import BenchError, Result, Target, Value
from loadtests.inputs import event_of, simulated, with_entities
from loadtests.latency import Latencies, Schedule
from loadtests.topic_input import fill, wait_for
from training.simulator import SimulatorSettings

_RATE_PER_S: Final = 2_000.0
_SAMPLED_EACH: Final = 20
_POLL_S: Final = 0.002
_TIMEOUT_S: Final = 20.0
_TARGET: Final = Target("150 (best published)", 50.0, "less")
_CUSTOMER: Final = ENTITIES.index("customer")


def measure(context: Context) -> list[Result]:
    seconds = 5 if context.quick else 30
    context.empty_redis()
    topics = context.make_topics("visibility")
    schedule = Schedule.lasting(seconds, rate_per_s=_RATE_PER_S)
    payments = simulated(SimulatorSettings(days=1 + schedule.count // 8_000))
    upcoming = list(islice(with_entities(payments, ("customer", "card", "terminal")), schedule.count))
    with context.worker("visibility", topics, {"FRAUD_SCORE_STREAM": "false"}) as worker:
        warm_up = asyncio.run(fill(context, topics, [event_of(upcoming[0])]))
        asyncio.run(wait_for(context, warm_up))
        context.say(f"publishing {schedule.rate_per_s:,.0f} events a second for {seconds} s")
        cpu = CpuTimes(process_ids({"worker": worker, "redis": context.redis, "kafka": context.kafka}))
        latencies_s = _run(context, topics, schedule, upcoming)
        used = cpu.us_each(schedule.count, of="event")
    found = Latencies.of(latencies_s)
    details: dict[str, Value] = {
        "samples": found.count,
        "poll_ms": _POLL_S * 1_000,
        "p99.9_ms": round(found.p999_ms, 2),
        "max_ms": round(found.max_ms, 2),
        **used,
    }
    return [
        Result("event visible in features at 2,000 events/s, p50", "ms", found.p50_ms),
        Result("event visible in features at 2,000 events/s, p99", "ms", found.p99_ms, _TARGET, details),
    ]


def _run(context: Context, topics: Topics, schedule: Schedule, upcoming: list[Transaction]) -> NDArray[np.float64]:
    """(samples,) seconds."""
    producer = _Producer(context, schedule, upcoming)
    stop = threading.Event()
    poller = threading.Thread(target=_poll, args=(context.redis.url, producer, stop))
    poller.start()
    try:
        asyncio.run(fill(context, topics, producer.events(), rate_per_s=schedule.rate_per_s))
        deadline_s = time.monotonic() + _TIMEOUT_S
        while producer.waiting and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
    finally:
        stop.set()
        poller.join()
    if producer.waiting:
        raise BenchError(f"{len(producer.waiting)} events were not visible within {_TIMEOUT_S} s")
    return np.array(producer.latencies_s)


@dataclass(slots=True)
class _Producer:
    """Events stamped when they are taken. A sampled one is the first of its customer: no history is there before."""

    context: Context
    schedule: Schedule
    upcoming: list[Transaction]
    waiting: dict[bytes, float] = field(default_factory=dict)  # key to when it was due; one thread adds, one removes
    latencies_s: list[float] = field(default_factory=list)

    def events(self) -> Iterator[Event]:
        contract = self.context.contract
        id_key = contract.read_id_key()
        decoder = TransactionDecoder(contract, RateTable.load(contract.rates_file, contract.base_currency), id_key)
        return self._stamped(decoder, store_layout(StoreSettings(), id_key))

    def _stamped(self, decoder: TransactionDecoder, layout: StoreLayout) -> Iterator[Event]:
        # The publisher's clock starts when it asks for the first event, and so does this: nothing may come before.
        due = self.schedule.due_s(time.monotonic()).tolist()
        for number, (payment, due_s) in enumerate(zip(self.upcoming, due, strict=True)):
            now_ms = time.time_ns() // 1_000_000
            payment.event_time_ms = now_ms
            payment.transaction_id = f"V{number}"
            sampled = number % _SAMPLED_EACH == 0
            if sampled:
                payment.customer_id = f"sampled-{number}"
            event = event_of(payment)
            if sampled:
                entity_hash = int(decoder.decode_one(event.value, now_ms)["entity_hash"][0, _CUSTOMER])
                self.waiting[layout.history_key("customer", entity_hash)] = due_s
            yield event


def _poll(url: str, producer: _Producer, stop: threading.Event) -> None:
    """In a thread of its own: ask for the lengths of all histories that are waited for, again and again."""
    with redis.Redis.from_url(url) as client:
        while not stop.is_set():
            begun_s = time.monotonic()
            keys = list(producer.waiting)
            pipeline: Any = client.pipeline(transaction=False)
            for key in keys:
                pipeline.strlen(key)
            lengths = pipeline.execute()
            found_s = time.monotonic()
            for key, length in zip(keys, lengths, strict=True):
                if length > 0:
                    producer.latencies_s.append(found_s - producer.waiting.pop(key))
            time.sleep(max(0.0, begun_s + _POLL_S - time.monotonic()))
