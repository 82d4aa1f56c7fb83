"""REST beside gRPC: the same calls, callers and limits over HTTP/1.1, and an OpenAPI description of them."""

from feature_service.rest.endpoint import Call, Endpoint, RestService
from feature_service.rest.listener import RestListener

__all__ = ["Call", "Endpoint", "RestListener", "RestService"]
