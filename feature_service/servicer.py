"""fraud.v1.FeatureService over gRPC: calls, and says in gRPC's way what was refused."""

from collections.abc import Mapping
from typing import Final

import grpc
from fraud.v1 import features_pb2

from feature_service import grpc_abort
from feature_service.callers import Permission
from feature_service.feature_calls import FeatureCalls
from feature_service.refusal import CallRefusedError

SERVICE: Final = features_pb2.DESCRIPTOR.services_by_name["FeatureService"].full_name
PERMISSIONS: Final[Mapping[str, Permission]] = {"GetFeatures": "read_features", "DescribeCatalogue": "read_features"}


class FeatureServicer:
    """Requests and responses stay bytes: gRPC calls what its own deserialiser cannot read its server's fault."""

    def __init__(self, calls: FeatureCalls) -> None:
        self._calls = calls

    def methods(self) -> "dict[str, grpc.RpcMethodHandler[bytes, bytes]]":
        return {
            "GetFeatures": grpc.unary_unary_rpc_method_handler(self.get_features),
            "DescribeCatalogue": grpc.unary_unary_rpc_method_handler(self.describe_catalogue),
        }

    async def get_features(self, request: bytes, context: grpc_abort.Context) -> bytes:
        try:
            return await self._calls.get_features(request)
        except CallRefusedError as refused:
            await grpc_abort.abort(context, refused)

    async def describe_catalogue(self, request: bytes, _context: grpc_abort.Context) -> bytes:
        return await self._calls.describe_catalogue(request)
