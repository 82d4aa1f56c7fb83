"""The gRPC services: healthy, and of the features that this version computes."""

import asyncio
from typing import Final

import grpc
from fraud.v1.features_pb2 import DescribeCatalogueRequest, DescribeCatalogueResponse

from feature_service.catalogue import VIEWS, feature_set_version
from feature_service.servicer import SERVICE as FEATURE_SERVICE
from fraudctl.cluster.errors import NotReadyError
from fraudctl.cluster.probes import grpc_health
from fraudctl.doctor.deployment import Deployment
from fraudctl.doctor.finding import Finding, ok, warning, wrong

_TIMEOUT_S: Final = 3.0
_START: Final = "start it, and look into its log: it says what it waits for"


async def check_services(deployment: Deployment) -> list[Finding]:
    if deployment.scorer.tls_certificate_file is not None:
        return [warning("services", "speak TLS, and were not asked", "ask their health with a client of your own")]
    scorer, features = deployment.stream.scorer_address, deployment.features_address
    scoring, serving = await asyncio.gather(_healthy("scorer", scorer), _healthy("feature service", features))
    if serving.state == "ok":
        serving = await asyncio.to_thread(_same_features, features)
    return [scoring, serving]


async def _healthy(name: str, address: str) -> Finding:
    try:
        return ok(name, await asyncio.to_thread(grpc_health(address)))
    except NotReadyError as error:
        return wrong(name, str(error), _START)


def _same_features(address: str) -> Finding:
    with grpc.insecure_channel(address) as channel:
        describe: grpc.UnaryUnaryMultiCallable[DescribeCatalogueRequest, DescribeCatalogueResponse] = (
            channel.unary_unary(
                f"/{FEATURE_SERVICE}/DescribeCatalogue",
                request_serializer=DescribeCatalogueRequest.SerializeToString,
                response_deserializer=DescribeCatalogueResponse.FromString,
            )
        )
        try:
            answer = describe(DescribeCatalogueRequest(), timeout=_TIMEOUT_S)
        except grpc.RpcError as error:
            return wrong("feature service", f"does not describe its catalogue: {error.code().name}", _START)
    theirs = {each.view: each.feature_set_version for each in answer.views}
    ours = {name: feature_set_version(view.names) for name, view in VIEWS.items()}
    if theirs != ours:
        remedy = "run the same version everywhere, and train anew where features have changed"
        return wrong("feature service", f"computes {theirs}, this version {ours}", remedy)
    return ok("feature service", f"gRPC at {address}, features {', '.join(theirs.values())}")
