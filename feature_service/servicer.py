"""fraud.v1.FeatureService over gRPC: converts in, looks up, converts out."""

import time
from collections.abc import Mapping
from typing import Final, NoReturn, Protocol

import grpc
from fraud.v1 import dead_letter_pb2 as dead_letter
from fraud.v1 import features_pb2
from google.protobuf.message import DecodeError

from feature_service.callers import Permission
from feature_service.catalogue import VIEWS, feature_set_version
from feature_service.catalogue.definitions import Aggregate
from feature_service.contract_settings import ContractSettings
from feature_service.decoding import TransactionDecoder
from feature_service.errors import CatalogueError, HistoryFormatError, HorizonError, StoreUnavailableError
from feature_service.identity import TokenError
from feature_service.lookup import FeatureLookup, NamedFeatures
from feature_service.rejections import explain

SERVICE: Final = features_pb2.DESCRIPTOR.services_by_name["FeatureService"].full_name
PERMISSIONS: Final[Mapping[str, Permission]] = {"GetFeatures": "read_features", "DescribeCatalogue": "read_features"}

# Messages name what was asked for, and a client takes no more than 8 kB of them.
_DETAIL_CHARACTERS: Final = 500


class Context(Protocol):
    """What is used of grpc.aio.ServicerContext."""

    async def abort(self, code: grpc.StatusCode, details: str) -> NoReturn: ...


class _RequestError(Exception):
    """A request that contradicts itself."""


class FeatureServicer:
    def __init__(self, lookup: FeatureLookup, decoder: TransactionDecoder, contract: ContractSettings) -> None:
        """`decoder`: without limits on event times, since any past transaction may be asked about."""
        self._lookup = lookup
        self._decoder = decoder
        self._contract = contract

    def handler(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "GetFeatures": grpc.unary_unary_rpc_method_handler(
                    self.get_features,
                    response_serializer=features_pb2.GetFeaturesResponse.SerializeToString,
                ),
                "DescribeCatalogue": grpc.unary_unary_rpc_method_handler(
                    self.describe_catalogue,
                    response_serializer=features_pb2.DescribeCatalogueResponse.SerializeToString,
                ),
            },
        )

    async def get_features(self, request: bytes, context: Context) -> features_pb2.GetFeaturesResponse:
        try:
            found = await self._find(_parse(request))
        except (_RequestError, CatalogueError, TokenError) as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error)[:_DETAIL_CHARACTERS])
        except HorizonError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except StoreUnavailableError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except HistoryFormatError as error:
            await context.abort(grpc.StatusCode.DATA_LOSS, str(error))
        return features_pb2.GetFeaturesResponse(
            names=found.names,
            values=found.values,
            feature_set_version=found.feature_set_version,
            as_of_ms=found.as_of_ms,
            freshness_ms=found.freshness_ms,
            approximate_entities=found.approximate_entities,
        )

    async def describe_catalogue(self, _request: bytes, _context: Context) -> features_pb2.DescribeCatalogueResponse:
        return features_pb2.DescribeCatalogueResponse(
            views=[
                features_pb2.FeatureViewDescription(
                    view=view.name,
                    feature_set_version=feature_set_version(view.names),
                    features=[
                        features_pb2.FeatureDescription(
                            name=feature.name,
                            entity=feature.entity if isinstance(feature, Aggregate) else "",
                            definition=feature.definition,
                            description=feature.description,
                        )
                        for feature in view.features
                    ],
                )
                for view in VIEWS.values()
            ]
        )

    async def _find(self, request: features_pb2.GetFeaturesRequest) -> NamedFeatures:
        now_ms = time.time_ns() // 1_000_000
        if not request.HasField("transaction"):
            if not request.keys:
                raise _RequestError("name an entity in keys, or send a transaction")
            return await self._lookup.of_entities(
                request.view,
                [(key.entity, key.id) for key in request.keys],
                as_of_ms=request.as_of_ms if request.HasField("as_of_ms") else now_ms,
                now_ms=now_ms,
            )
        if request.keys or request.HasField("as_of_ms"):
            raise _RequestError("a transaction names its entities and its time itself: leave keys and as_of_ms out")
        row = self._decoder.decode_one(request.transaction.SerializeToString(), now_ms)
        if rejection := int(row["rejection"][0]):
            name = dead_letter.Rejection.Name(dead_letter.Rejection.ValueType(rejection))
            raise _RequestError(f"{name}: {explain(rejection, self._contract)}")
        return await self._lookup.of_row(request.view, row, now_ms=now_ms)


def _parse(request: bytes) -> features_pb2.GetFeaturesRequest:
    # Here and not in gRPC's deserialiser, whose failures are its server's fault and not the caller's.
    try:
        return features_pb2.GetFeaturesRequest.FromString(request)
    except DecodeError as error:
        raise _RequestError("the request is not a fraud.v1.GetFeaturesRequest") from error
