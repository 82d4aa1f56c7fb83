"""The FeatureService as a process: features by name are the offline ones, and what cannot be given is said why."""

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from fraud.v1.features_pb2 import (
    DescribeCatalogueRequest,
    DescribeCatalogueResponse,
    EntityKey,
    GetFeaturesRequest,
    GetFeaturesResponse,
)
from fraud.v1.transaction_pb2 import Transaction

from feature_service.catalogue import VIEWS, feature_set_version
from feature_service.servicer import SERVICE
from feature_service.settings import StoreSettings, make_redis_store
from fraudctl.cluster.ports import HOST, free_port
from fraudctl.cluster.probes import grpc_health
from fraudctl.cluster.processes import Process, Program
from fraudctl.cluster.redis import RedisServer
from tests.bundles import World, a_payment, make_world

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), days=10, customers=200, terminals=50)


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory, world: World) -> Iterator[grpc.Channel]:
    redis = RedisServer(tmp_path_factory.mktemp("redis"), port=free_port())
    port = free_port()
    address = f"{HOST}:{port}"

    async def fold() -> None:
        async with make_redis_store(StoreSettings(redis_url=redis.url), world.contract, world.id_key) as store:
            await world.fold_into(store)

    environment = {
        "FRAUD_REDIS_URL": redis.url,
        "FRAUD_ID_HASH_KEY_FILE": str(world.contract.id_hash_key_file),
        "FRAUD_FEATURE_SERVICE_BIND": address,
    }
    program = Program(
        name="feature-service",
        command=lambda: (sys.executable, "-m", "feature_service"),
        probe=grpc_health(address),
        ports=(port,),
        environment=environment,
    )
    server = Process(program, tmp_path_factory.mktemp("server"))
    try:
        redis.start()
        asyncio.run(fold())
        server.start()
        with grpc.insecure_channel(address) as opened:
            yield opened
    finally:
        server.stop()
        redis.stop()


def get_features(channel: grpc.Channel, request: GetFeaturesRequest) -> GetFeaturesResponse:
    call: Any = channel.unary_unary(
        f"/{SERVICE}/GetFeatures",
        request_serializer=GetFeaturesRequest.SerializeToString,
        response_deserializer=GetFeaturesResponse.FromString,
    )
    answer: GetFeaturesResponse = call(request, timeout=10)
    return answer


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_features_of_a_transaction_are_the_offline_ones(channel: grpc.Channel, world: World, view: Any) -> None:
    chosen = world.last_authorisations(20)
    offline = world.features(view.names, chosen)

    answers = [
        get_features(channel, GetFeaturesRequest(view=view.name, transaction=world.transaction(int(index))))
        for index in chosen
    ]

    assert np.array([answer.values for answer in answers]).tobytes() == offline.tobytes()
    assert all(tuple(answer.names) == view.names for answer in answers)
    assert {answer.feature_set_version for answer in answers} == {feature_set_version(view.names)}


def test_features_of_an_entity_as_of_a_time(channel: grpc.Channel, world: World) -> None:
    payment = world.transaction(int(world.last_authorisations(1)[0]))
    request = GetFeaturesRequest(
        view="handbook",
        keys=[EntityKey(entity="customer", id=payment.customer_id)],
        as_of_ms=payment.event_time_ms,
    )
    with_it = dict(zip(*names_and_values(channel, request), strict=True))
    request.as_of_ms -= 1
    without_it = dict(zip(*names_and_values(channel, request), strict=True))

    assert with_it["customer_count_1d"] == without_it["customer_count_1d"] + 1
    assert np.isnan([with_it["amount"], with_it["terminal_count_1d_delay_7d"]]).all()  # of no payment, no terminal


def names_and_values(channel: grpc.Channel, request: GetFeaturesRequest) -> tuple[list[str], list[float]]:
    answer = get_features(channel, request)
    return list(answer.names), list(answer.values)


def test_now_is_the_time_where_none_is_given(channel: grpc.Channel, world: World) -> None:
    payment = a_payment(world)

    answer = get_features(
        channel, GetFeaturesRequest(view="handbook", keys=[EntityKey(entity="card", id=payment.card_id)])
    )

    assert answer.as_of_ms > payment.event_time_ms
    assert not answer.HasField("freshness_ms")  # nobody folds


def refusals(world: World) -> dict[str, GetFeaturesRequest]:
    customer = EntityKey(entity="customer", id="C1")
    payment = a_payment(world)
    negative = a_payment(world)
    negative.amount_minor = -1
    return {
        "unknown feature view": GetFeaturesRequest(view="none", keys=[customer]),
        "unknown entity": GetFeaturesRequest(view="handbook", keys=[EntityKey(entity="planet", id="C1")]),
        "an id is": GetFeaturesRequest(view="handbook", keys=[EntityKey(entity="card", id="with space")]),
        "card number": GetFeaturesRequest(view="handbook", keys=[EntityKey(entity="card", id="4111111111111111")]),
        "two ids": GetFeaturesRequest(view="handbook", keys=[customer, customer]),
        "name an entity": GetFeaturesRequest(view="handbook"),
        "leave keys and as_of_ms out": GetFeaturesRequest(view="handbook", keys=[customer], transaction=payment),
        "NEGATIVE_AMOUNT": GetFeaturesRequest(view="handbook", transaction=negative),
        "MISSING_ID": GetFeaturesRequest(view="handbook", transaction=Transaction(transaction_id="x")),
    }


def test_requests_that_make_no_sense_are_refused_in_words(channel: grpc.Channel, world: World) -> None:
    for words, request in refusals(world).items():
        with pytest.raises(grpc.RpcError) as refused:
            get_features(channel, request)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert words in (refused.value.details() or "")
        assert "4111111111111111" not in (refused.value.details() or "")


def test_a_time_before_what_is_kept_is_refused(channel: grpc.Channel, world: World) -> None:
    payment = world.transaction(int(world.last_authorisations(1)[0]))
    request = GetFeaturesRequest(
        view="handbook",
        keys=[EntityKey(entity="customer", id=payment.customer_id)],
        as_of_ms=payment.event_time_ms - 60 * DAY_MS,
    )

    with pytest.raises(grpc.RpcError) as refused:
        get_features(channel, request)

    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_the_catalogue_describes_every_feature_of_every_view(channel: grpc.Channel) -> None:
    call: Any = channel.unary_unary(
        f"/{SERVICE}/DescribeCatalogue",
        request_serializer=DescribeCatalogueRequest.SerializeToString,
        response_deserializer=DescribeCatalogueResponse.FromString,
    )

    views = {each.view: each for each in call(DescribeCatalogueRequest(), timeout=10).views}

    assert set(views) == set(VIEWS)
    for name, view in VIEWS.items():
        assert [feature.name for feature in views[name].features] == list(view.names)
        assert views[name].feature_set_version == feature_set_version(view.names)
        assert all(feature.definition and feature.description for feature in views[name].features)
    by_name = {feature.name: feature for feature in views["handbook"].features}
    assert by_name["customer_count_1d"].entity == "customer"
    assert by_name["amount"].entity == ""


@pytest.mark.parametrize("name", ["a" * 70_000, "\U0001f4b3" * 10_000])
def test_what_is_asked_for_does_not_come_back_whole(channel: grpc.Channel, name: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        get_features(channel, GetFeaturesRequest(view=name, keys=[EntityKey(entity="customer", id="c1")]))

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (refused.value.details() or "").startswith("unknown")
