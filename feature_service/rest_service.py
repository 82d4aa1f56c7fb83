"""What the FeatureService offers by REST."""

from fraud.v1 import features_pb2

from feature_service.feature_calls import FeatureCalls
from feature_service.rest import Call, Endpoint, RestService
from feature_service.servicer import PERMISSIONS

_METHODS = features_pb2.DESCRIPTOR.services_by_name["FeatureService"].methods_by_name


def rest_service(calls: FeatureCalls, *, bind: str) -> RestService:
    async def get_features(call: Call) -> bytes:
        return await calls.get_features(call.request)

    async def describe_catalogue(call: Call) -> bytes:
        return await calls.describe_catalogue(call.request)

    endpoints = [
        Endpoint(
            verb="POST",
            path="/v1/features",
            method=_METHODS["GetFeatures"],
            permission=PERMISSIONS["GetFeatures"],
            answer=get_features,
            example=_example,
        ),
        Endpoint(
            verb="GET",
            path="/v1/features/catalogue",
            method=_METHODS["DescribeCatalogue"],
            permission=PERMISSIONS["DescribeCatalogue"],
            answer=describe_catalogue,
        ),
    ]
    return RestService(bind=bind, title="Fraud features", endpoints=endpoints)


def _example(now_ms: int) -> features_pb2.GetFeaturesRequest:
    customer = features_pb2.EntityKey(entity="customer", id="customer-1")
    return features_pb2.GetFeaturesRequest(view="handbook", keys=[customer], as_of_ms=now_ms)
