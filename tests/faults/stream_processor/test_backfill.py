"""Histories built anew beside the live ones: from files where the log has lost its start, and from the log."""

import asyncio
import signal
from pathlib import Path

import pytest
import redis

from feature_service.catalogue.definitions import DAY_MS
from feature_service.events import Event
from feature_service.files import load_mapping, read_batches
from tests.faults.stream_processor.operated_world import TIMEOUT_S, OperatedWorld, days, payments
from tests.payment_files import write_payments
from training.simulator import SimulatorSettings, simulate_batches


async def test_the_way_out_when_the_log_has_lost_what_was_not_folded(world: OperatedWorld, tmp_path: Path) -> None:
    with world.worker(1):
        await world.publish(days(0, 1))
        await world.until_folded(1)
    folded = dict(world.ends)
    await world.publish(days(2, 2))
    transactions = world.run.topics[0]
    starts = {tp: (folded[tp] + end) // 2 for tp, end in world.ends.items() if tp.topic == transactions}
    await world.lose_log_before(starts)

    with (
        pytest.raises(RuntimeError, match=r"ended with 2:(.|\n)*FenceBelowLogError") as stopped,
        world.worker(1) as workers,
    ):
        await asyncio.to_thread(workers[0].wait, TIMEOUT_S)
    assert "fraudctl backfill" in str(stopped.value)

    file = tmp_path / "payments.parquet"
    mapping = write_payments(file, payments(days(0, 2)))
    backfilled = asyncio.Event()
    feeding = asyncio.create_task(world.feed(days(3, 3), backfilled))
    code, output = await world.command("backfill", "--input", str(file), "--mapping", str(mapping))
    backfilled.set()
    assert code == 0, output
    lost = [start - folded[tp] for tp, start in starts.items()]
    for count in lost:
        assert f"{count} records of {transactions}" in output, "what is never scored is said"
    with world.worker(2):
        assert await feeding > 0, "it was under load"
        await world.publish(days(4, 4))
        await world.until_folded(2)
    skew = await world.skew(2)
    assert skew.rows > 1_000
    assert skew.mismatched_values == 0, "\n".join(skew.examples)


async def test_files_that_end_before_the_log_begins_are_refused(world: OperatedWorld, tmp_path: Path) -> None:
    await world.publish(days(0, 2))
    late_starts = {tp: end - 20 for tp, end in world.ends.items() if tp.topic == world.run.topics[0]}
    await world.lose_log_before(late_starts)
    file = tmp_path / "payments.parquet"
    mapping = write_payments(file, payments(days(0, 0)))

    code, output = await world.command("backfill", "--input", str(file), "--mapping", str(mapping))
    assert code == 2
    assert "records are missing: the files end at 2025-01-01T" in output
    assert not world.histories(2)

    code, output = await world.command("backfill", "--from-log")
    assert code == 2
    assert "no file holds what was before" in output

    code, output = await world.command("backfill", "--from-log", "--accept-gap")
    assert code == 0, output
    assert world.histories(2)


@pytest.mark.slow
async def test_a_backfill_that_is_killed_goes_on_where_it_stopped(world: OperatedWorld, tmp_path: Path) -> None:
    file = tmp_path / "payments.parquet"
    mapping = write_payments(file, payments(days(0, 4)))
    arguments = ("backfill", "--input", str(file), "--mapping", str(mapping), "--generation")

    killed = world.start_command(*arguments, "2", max_batch_records=25)
    async with asyncio.timeout(TIMEOUT_S):
        while len(world.histories(2)) < 100:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    await asyncio.to_thread(killed.communicate)
    half_way = world.histories(2)
    assert (await world.command(*arguments, "2"))[0] == 0
    assert (await world.command(*arguments, "3"))[0] == 0

    assert 100 <= len(half_way) < len(world.histories(3)) / 2, "it was half-way"
    assert world.histories(2) == world.histories(3)


async def test_a_file_gives_the_features_that_offline_computes_from_it(world: OperatedWorld, tmp_path: Path) -> None:
    settings = SimulatorSettings(seed=6, days=20, customers=60, terminals=15)
    sent = [event for batch in simulate_batches(settings) for event in batch.transactions.events("transactions")]
    of_days = [event for event in sent if event.timestamp_ms < settings.day_start_ms(settings.days)]
    file = tmp_path / "payments.parquet"
    frauds = {payment.transaction_id for payment in payments(of_days)[::20]}
    mapping = write_payments(file, payments(of_days), frauds=frauds)

    delay = ("--label-delay-days", "2")
    code, output = await world.command("backfill", "--input", str(file), "--mapping", str(mapping), *delay)
    assert code == 0, output
    batches = list(read_batches(file, load_mapping(mapping), label_delay_ms=2 * DAY_MS))
    skew = await world.skew(2, batches, decisions=(), from_ms=settings.day_start_ms(settings.days - 6))
    assert skew.rows > 500
    assert skew.mismatched_values == 0, "\n".join(skew.examples)


@pytest.mark.slow
async def test_from_the_log_while_it_grows_and_a_worker_folds_it(world: OperatedWorld) -> None:
    await world.publish([*days(0, 1), Event("transactions", 1_735_689_600_000, b"k", b"broken")])
    with world.worker(1):
        backfilled = asyncio.Event()
        feeding = asyncio.create_task(world.feed(days(2, 2), backfilled))
        code, output = await world.command("backfill", "--from-log")
        backfilled.set()
        assert code == 0, output
        assert await feeding > 0, "it was under load"
        await world.until_folded(1)
    assert await world.count_dead_letters() == 1, "a backfill publishes none"
    with world.worker(2):
        await world.publish(days(3, 4))
        await world.until_folded(2)
    skew = await world.skew(2)
    assert skew.rows > 1_000
    assert skew.mismatched_values == 0, "\n".join(skew.examples)

    built = world.histories(2)
    code, output = await world.command("drop-generation", "2", generation=2)
    assert (code, world.histories(2)) == (2, built)
    assert "is the one in use" in output
    code, output = await world.command("drop-generation", "1", generation=2)
    assert code == 2, "it was folded into less than a minute ago"
    code, output = await world.command("drop-generation", "1", "--yes", generation=2)
    assert code == 0, output
    assert not world.histories(1)
    assert world.histories(2) == built


async def test_who_was_forgotten_stays_forgotten(world: OperatedWorld, tmp_path: Path) -> None:
    file = tmp_path / "payments.parquet"
    events = days(0, 2)
    mapping = write_payments(file, payments(events))
    customer = payments(events)[0].customer_id
    arguments = ("backfill", "--input", str(file), "--mapping", str(mapping), "--generation")
    assert (await world.command(*arguments, "2"))[0] == 0
    known = world.histories(2).keys()

    code, output = await world.command("forget", f"customer:{customer}")
    assert code == 0, output
    assert "generation 2:" in output
    assert customer not in output
    [forgotten] = known - world.histories(2).keys()
    assert b":c:" in forgotten
    code, output = await world.command("forget", f"customer:{customer}")
    assert (code, output) == (0, "generation 2: 0 records deleted, 0 later ones kept\n")

    assert (await world.command(*arguments, "3"))[0] == 0
    assert world.histories(3).keys() == world.histories(2).keys(), "a new backfill brings nothing back"

    with redis.Redis.from_url(world.run.redis_url) as client:  # as a restored backup would
        shard = forgotten.partition(b"}")[0]
        other = next(key for key in world.histories(2) if key.startswith(shard + b"}:c:"))
        client.copy(b"g2:" + other, b"g2:" + forgotten)
    assert forgotten in world.histories(2)
    code, output = await world.command("forget", "--again")
    assert code == 0, output
    assert forgotten not in world.histories(2)
    assert world.histories(2).keys() == world.histories(3).keys()


@pytest.mark.parametrize(
    ("entity", "words"),
    [
        ("card:4111111111111111", "the id is a card number"),
        ("person:P1", "one of: customer, card, merchant, terminal, device, ip"),
        ("4111111111111111", "give ENTITY:ID"),
    ],
)
async def test_what_names_nobody_is_refused_and_not_repeated(world: OperatedWorld, entity: str, words: str) -> None:
    code, output = await world.command("forget", entity)
    assert code == 2
    assert words in output
    assert entity.rpartition(":")[2] not in output
