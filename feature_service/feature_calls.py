"""Calls for features, by whatever transport they come: looked up, or refused in words."""

import time
from typing import Final

from fraud.v1 import dead_letter_pb2 as dead_letter
from fraud.v1 import features_pb2
from google.protobuf.message import DecodeError

from feature_service.catalogue import VIEWS, feature_set_version
from feature_service.catalogue.definitions import Aggregate
from feature_service.contract_settings import ContractSettings
from feature_service.decoding import TransactionDecoder
from feature_service.errors import CatalogueError, HistoryFormatError, HorizonError, StoreUnavailableError
from feature_service.identity import TokenError
from feature_service.lookup import FeatureLookup, NamedFeatures
from feature_service.refusal import CallRefusedError
from feature_service.rejections import explain

# Messages name what was asked for, and a gRPC client takes no more than 8 kB of them.
_DETAIL_CHARACTERS: Final = 500


class _RequestError(Exception):
    """A request that contradicts itself."""


class FeatureCalls:
    """Requests and responses are serialised messages."""

    def __init__(self, lookup: FeatureLookup, decoder: TransactionDecoder, contract: ContractSettings) -> None:
        """`decoder`: without limits on event times, since any past transaction may be asked about."""
        self._lookup = lookup
        self._decoder = decoder
        self._contract = contract

    async def get_features(self, request: bytes) -> bytes:
        """A GetFeaturesResponse for a GetFeaturesRequest. Raises: CallRefusedError."""
        try:
            found = await self._find(_parse(request))
        except (_RequestError, CatalogueError, TokenError) as error:
            raise CallRefusedError("INVALID_ARGUMENT", str(error)[:_DETAIL_CHARACTERS]) from error
        except HorizonError as error:
            raise CallRefusedError("FAILED_PRECONDITION", str(error)) from error
        except StoreUnavailableError as error:
            raise CallRefusedError("UNAVAILABLE", str(error)) from error
        except HistoryFormatError as error:
            raise CallRefusedError("DATA_LOSS", str(error)) from error
        response = features_pb2.GetFeaturesResponse(
            names=found.names,
            values=found.values,
            feature_set_version=found.feature_set_version,
            as_of_ms=found.as_of_ms,
            freshness_ms=found.freshness_ms,
            approximate_entities=found.approximate_entities,
        )
        return response.SerializeToString()

    async def describe_catalogue(self, _request: bytes) -> bytes:
        """A DescribeCatalogueResponse."""
        response = features_pb2.DescribeCatalogueResponse(
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
        return response.SerializeToString()

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
    try:
        return features_pb2.GetFeaturesRequest.FromString(request)
    except DecodeError as error:
        raise _RequestError("the request is not a fraud.v1.GetFeaturesRequest") from error
