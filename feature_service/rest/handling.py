"""One HTTP request: read, judged, called, answered."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import web

from feature_service.callers import Guard
from feature_service.refusal import CallRefusedError
from feature_service.rest.endpoint import Call, Endpoint
from feature_service.rest.forms import JSON, PROTOBUF, read_json, request_form, response_form, write_json
from feature_service.rest.openapi import DEADLINE_HEADER, DEADLINE_MAX_MS, DOCUMENT_PATH
from feature_service.rest.peer import certificate_names
from feature_service.rest.refusals import HttpRefusedError, tell
from telemetry.kafka_headers import TRACEPARENT

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_BODY_S: Final = 10.0  # for a body to arrive in, where its sender sets no deadline
_MILLISECONDS: Final = re.compile("[0-9]{1,6}")

log = structlog.get_logger(__name__)


def make_handler(endpoint: Endpoint, guard: Guard | None) -> Handler:
    """`guard`: None lets everybody in."""

    async def handle(request: web.Request) -> web.Response:
        arrived_ns = time.monotonic_ns()
        allowed_ms = deadline_ms(request.headers.get(DEADLINE_HEADER))
        sent_form = None if endpoint.verb == "GET" else request_form(request.headers.get("Content-Type"))
        wanted_form = response_form(request.headers.get("Accept"), otherwise=sent_form or JSON)
        try:
            async with asyncio.timeout(None if allowed_ms is None else allowed_ms / 1_000) as deadline:
                body = b"" if sent_form is None else await _body(request)
                if guard is not None:
                    _judge(guard, endpoint, request, len(body))
                sent = read_json(body, endpoint.method.input_type) if sent_form == JSON else body
                call = Call(sent, arrived_ns, allowed_ms, request.headers.get(TRACEPARENT))
                answer = await endpoint.answer(call)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise CallRefusedError("DEADLINE_EXCEEDED", f"no answer within the {allowed_ms} ms given") from error
        if wanted_form == PROTOBUF:
            return web.Response(body=answer, content_type=PROTOBUF)
        return web.Response(body=write_json(answer, endpoint.method.output_type), content_type=JSON)

    return handle


@web.middleware
async def tell_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever ends a call without an answer is told in one form."""
    try:
        return await handler(request)
    except CallRefusedError as error:
        refused = error
    except web.HTTPException as error:
        refused = _known_to_http(error)
    except Exception:
        log.exception("a call failed", path=request.path)
        refused = CallRefusedError("INTERNAL", "the server failed at this call: its log says why")
    told = tell(refused)
    return web.json_response(told.body, status=told.code, headers=told.headers)


def deadline_ms(header: str | None) -> int | None:
    """Raises: CallRefusedError."""
    if header is None:
        return None
    if _MILLISECONDS.fullmatch(header) is None or not 0 < int(header) <= DEADLINE_MAX_MS:
        words = f"{DEADLINE_HEADER} is to be a whole number of milliseconds, 1 to {DEADLINE_MAX_MS}"
        raise CallRefusedError("INVALID_ARGUMENT", words)
    return int(header)


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(_BODY_S) as limit:
            return await request.read()
    except TimeoutError as error:
        if not limit.expired():
            raise
        words = f"the request's body did not arrive within {_BODY_S:g} s"
        raise HttpRefusedError(408, "DEADLINE_EXCEEDED", words) from error
    except web.RequestPayloadError as error:
        raise CallRefusedError("INVALID_ARGUMENT", "the request's body is not written as its headers say") from error


def _judge(guard: Guard, endpoint: Endpoint, request: web.Request, body_bytes: int) -> None:
    transport = request.transport
    certificate = None if transport is None else transport.get_extra_info("peercert")
    metadata = [("authorization", value) for value in request.headers.getall("Authorization", ())]
    guard.judge(certificate_names(certificate), metadata, endpoint.rpc, endpoint.permission, body_bytes)


def _known_to_http(error: web.HTTPException) -> HttpRefusedError:
    match error:
        case web.HTTPNotFound():
            return HttpRefusedError(404, "NOT_FOUND", f"there is nothing at this path: see {DOCUMENT_PATH}")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return HttpRefusedError(405, "UNIMPLEMENTED", f"this path takes {allowed}", headers={"Allow": allowed})
        case web.HTTPRequestEntityTooLarge():
            return HttpRefusedError(413, "INVALID_ARGUMENT", "the request is longer than this server takes")
    return HttpRefusedError(error.status, "INVALID_ARGUMENT", error.reason)
