"""Odd, spoilt and hostile requests for features: each ends with an answer or a refusal, and the server stays well."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import grpc
import pytest
from fraud.v1.features_pb2 import EntityKey, GetFeaturesRequest

from feature_service.catalogue import VIEWS
from feature_service.servicer import SERVICE
from feature_service.settings import StoreSettings, make_redis_store
from fraudctl.cluster.ports import HOST, free_port
from fraudctl.cluster.probes import grpc_health
from fraudctl.cluster.processes import Process, Program
from tests.bundles import World, make_world
from tests.fuzz.cases import Case, Template, cases
from tests.fuzz.drive import Outcome, drive
from tests.fuzz.verdict import CALLS, MARK, SEED, Watched, check_log

COUNT = CALLS // 5
GROWS_MIB = 32.0
MOST_BYTES = 2**20
GET_FEATURES = f"/{SERVICE}/GetFeatures"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), days=3, customers=50, terminals=20)


@pytest.fixture
def server(tmp_path: Path, redis_url: str, world: World) -> Iterator[Process]:
    async def fold() -> None:
        async with make_redis_store(StoreSettings(redis_url=redis_url), world.contract, world.id_key) as store:
            await world.fold_into(store)

    asyncio.run(fold())
    port = free_port()
    address = f"{HOST}:{port}"
    program = Program(
        name=address,
        command=lambda: (sys.executable, "-m", "feature_service"),
        probe=grpc_health(address),
        ports=(port,),
        environment={
            "FRAUD_REDIS_URL": redis_url,
            "FRAUD_ID_HASH_KEY_FILE": str(world.contract.id_hash_key_file),
            "FRAUD_FEATURE_SERVICE_BIND": address,
        },
    )
    started = Process(program, tmp_path)
    try:
        started.start()
        yield started
    finally:
        started.stop()


def questions(world: World) -> Template:
    known = [world.transaction(int(index)) for index in world.last_authorisations(100)]

    def question(random: Random) -> GetFeaturesRequest:
        payment = random.choice(known)
        request = GetFeaturesRequest(view=random.choice(tuple(VIEWS)))
        if random.random() < 0.5:
            request.transaction.CopyFrom(payment)
            request.transaction.device_id = f"{MARK}{random.getrandbits(16):x}"
        else:
            request.as_of_ms = payment.event_time_ms
            request.keys.append(EntityKey(entity="customer", id=payment.customer_id))
            request.keys.append(EntityKey(entity="device", id=f"{MARK}{random.getrandbits(16):x}"))
        return request

    return question


def test_every_request_ends_with_an_answer_or_a_refusal(world: World, server: Process) -> None:
    address = server.program.name
    # As of a time whose records may be gone already.
    allowed = frozenset({grpc.StatusCode.FAILED_PRECONDITION})

    def run(given: list[Case]) -> Outcome:
        return asyncio.run(drive(address, GET_FEATURES, given, in_flight=8, most_bytes=MOST_BYTES, allowed=allowed))

    given = list(cases(SEED, COUNT, questions(world)))
    run(given[: COUNT // 5])
    watched = Watched(server, grows_mib=GROWS_MIB)

    outcome = run(given[COUNT // 5 :])

    print(f"\nGetFeatures: {outcome}\n{watched.check_size()}")
    assert outcome.violations == []
    assert outcome.ends["an answer"] > 0
    server.stop()
    check_log(server.log_path)
