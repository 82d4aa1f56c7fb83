"""The gRPC services: healthy, and of the features that this version computes."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import grpc
from fraud.v1.features_pb2 import DescribeCatalogueRequest, DescribeCatalogueResponse
from grpc_health.v1 import health_pb2, health_pb2_grpc

from feature_service.catalogue import VIEWS, feature_set_version
from feature_service.client_identity import ClientIdentity
from feature_service.errors import FeatureError
from feature_service.servicer import SERVICE as FEATURE_SERVICE
from fraudctl.doctor.deployment import Deployment
from fraudctl.doctor.finding import Finding, ok, wrong

_TIMEOUT_S: Final = 3.0
_REMEDY: Final = "start it, or mend its address or FRAUD_CLIENT_*; its log says what it waits for"


async def check_services(deployment: Deployment) -> list[Finding]:
    scorer, features = deployment.stream.scorer_address, deployment.features_address
    try:
        scorers, serving = ClientIdentity(deployment.client, scorer), ClientIdentity(deployment.client, features)
    except FeatureError as error:
        return [wrong("services", str(error), "mend FRAUD_CLIENT_*")]
    return list(
        await asyncio.gather(
            asyncio.to_thread(_check_scorer, scorer, scorers),
            asyncio.to_thread(_check_features, features, serving),
        )
    )


def _check_scorer(address: str, identity: ClientIdentity) -> Finding:
    with _channel(address, identity) as channel:
        return _health("scorer", address, channel)


def _check_features(address: str, identity: ClientIdentity) -> Finding:
    subject = "feature service"
    with _channel(address, identity) as channel:
        health = _health(subject, address, channel)
        if health.state != "ok":
            return health
        describe: grpc.UnaryUnaryMultiCallable[DescribeCatalogueRequest, DescribeCatalogueResponse]
        describe = channel.unary_unary(
            f"/{FEATURE_SERVICE}/DescribeCatalogue",
            request_serializer=DescribeCatalogueRequest.SerializeToString,
            response_deserializer=DescribeCatalogueResponse.FromString,
        )
        try:
            answer = describe(DescribeCatalogueRequest(), timeout=_TIMEOUT_S, metadata=identity.metadata)
        except grpc.RpcError as error:
            return wrong(subject, f"does not describe its catalogue: {error.code().name}", _REMEDY)
    theirs = {each.view: each.feature_set_version for each in answer.views}
    ours = {name: feature_set_version(view.names) for name, view in VIEWS.items()}
    if theirs != ours:
        remedy = "run the same version everywhere, and train anew where features have changed"
        return wrong(subject, f"computes {theirs}, this version {ours}", remedy)
    return ok(subject, f"serves at {address}, features {', '.join(theirs.values())}")


@contextmanager
def _channel(address: str, identity: ClientIdentity) -> Iterator[grpc.Channel]:
    credentials = identity.channel_credentials
    with (
        grpc.insecure_channel(address) if credentials is None else grpc.secure_channel(address, credentials)
    ) as channel:
        yield channel


def _health(subject: str, address: str, channel: grpc.Channel) -> Finding:
    try:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT_S)
    except grpc.RpcError as error:
        return wrong(subject, f"no answer from {address}: {error.code().name}", _REMEDY)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        return wrong(
            subject, f"its health is {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}", _REMEDY
        )
    return ok(subject, f"serves at {address}")
