"""The callers file at work on a server: every call is judged before its method sees it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, Protocol

import grpc
import structlog

from feature_service import grpc_abort
from feature_service.call_taking import Methods
from feature_service.callers.callers_file import parse_callers, read_callers
from feature_service.callers.gate import Cause, Gate, Tally
from feature_service.callers.known import KnownCallers, Permission
from feature_service.errors import FeatureError
from feature_service.refusal import CallRefusedError, Status
from telemetry.metrics import Metrics

_STATUSES: Final[Mapping[Cause, Status]] = {
    "unknown caller": "UNAUTHENTICATED",
    "permission": "PERMISSION_DENIED",
    # As it stands it will never pass, so nobody should send it again, as RESOURCE_EXHAUSTED would have it.
    "size": "INVALID_ARGUMENT",
    "rate": "RESOURCE_EXHAUSTED",
}
_AUTHORISATION: Final = "authorization"
_SCHEME: Final = "bearer "
_PERIOD_S: Final = 1.0

_caller: ContextVar[str] = ContextVar("caller", default="")

log = structlog.get_logger(__name__)


def current_caller() -> str:
    """Name of whoever made the call that is being served; empty where callers are not told apart."""
    return _caller.get()


class Context(grpc_abort.Context, Protocol):
    """What is used of grpc.aio.ServicerContext."""

    def peer_identities(self) -> Iterable[bytes] | None: ...

    def invocation_metadata(self) -> Iterable[tuple[str, str | bytes]] | None: ...


class Guard:
    """For one event loop. `watch` must run while it guards."""

    def __init__(
        self,
        path: Path,
        metrics: Metrics,
        *,
        check: Callable[[KnownCallers], None],
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`check` raises FeatureError for callers that this server cannot recognise.

        Raises: CallersFileError, and what `check` raises.
        """
        self._path = path
        self._metrics = metrics
        self._check = check
        self._now_ns = monotonic_ns
        self._content = read_callers(path)
        self._gate = Gate(self._parse(self._content), now_ns=monotonic_ns())
        self._unreadable = False
        self._tally = Tally()

    def protect(self, service: str, methods: Methods, permissions: Mapping[str, Permission]) -> Methods:
        """The same methods of the service, for callers with their permission. `permissions`: by the methods' names."""
        return {
            name: (_guarded_stream if handler.response_streaming else _guarded_unary)(
                self, handler, f"/{service}/{name}", permissions[name]
            )
            for name, handler in methods.items()
        }

    async def watch(self) -> None:
        """Until cancelled: each second, take up a changed file, and tell what was let in and what was not."""
        try:
            while True:
                await asyncio.sleep(_PERIOD_S)
                self.reload()
                self.tell()
        finally:
            self.tell()

    def reload(self) -> None:
        """A file that cannot be used changes nothing, and is named in the log, once."""
        try:
            content = read_callers(self._path)
            if content == self._content:
                return
            self._content = content
            known = self._parse(content)
        except FeatureError as error:
            if not self._unreadable:
                log.error("callers stay as they were", error=str(error))
            self._unreadable = True
        else:
            self._gate.admit_these(known, now_ns=self._now_ns())
            self._unreadable = False
            log.info("callers changed", callers=[caller.name for caller in known.callers])

    def tell(self) -> None:
        """One log line for each kind of refusal, however many there were."""
        tally = self._tally.take()
        for (caller, method), count in tally.admitted.items():
            self._metrics.add("fraud.calls.admitted", count, {"caller_name": caller, "method": method})
        for (caller, method, cause), count in tally.refused.items():
            self._metrics.add("fraud.calls.refused", count, {"caller_name": caller, "method": method, "cause": cause})
            log.warning("calls refused", caller=caller, method=method, cause=cause, count=count)

    async def admit(self, context: Context, method: str, permission: Permission, request_bytes: int) -> None:
        """Returns for a caller who may make this call; else the call has ended."""
        names, metadata = context.peer_identities() or (), context.invocation_metadata() or ()
        try:
            self.judge(names, metadata, method, permission, request_bytes)
        except CallRefusedError as refused:
            await grpc_abort.abort(context, refused)

    def judge(
        self,
        certificate_names: Iterable[bytes],
        metadata: Iterable[tuple[str, str | bytes]],
        method: str,
        permission: Permission,
        request_bytes: int,
    ) -> None:
        """Returns for a caller who may make this call, and is the `current_caller` of this task from now on.

        `metadata`: names in lower case. Raises: CallRefusedError.
        """
        gate = self._gate
        known = gate.known
        caller = known.of_certificate(certificate_names)
        if caller is None and known.use_tokens and (token := _token(metadata)) is not None:
            caller = known.of_token(token)
        refusal = gate.judge(caller, permission, request_bytes=request_bytes, now_ns=self._now_ns())
        if refusal is not None:
            self._tally.refused[refusal.caller, method, refusal.cause] += 1
            raise CallRefusedError(_STATUSES[refusal.cause], refusal.words, retry_ms=refusal.retry_ms)
        assert caller is not None
        self._tally.admitted[caller.name, method] += 1
        _caller.set(caller.name)

    def _parse(self, content: bytes) -> KnownCallers:
        known = parse_callers(content, self._path)
        self._check(known)
        return known


def _guarded_unary(
    guard: Guard, handler: Any, method: str, permission: Permission
) -> "grpc.RpcMethodHandler[bytes, bytes]":
    """A method that takes and gives bytes, so that a request is measured before it is read."""
    assert handler.request_deserializer is None, "a request must be judged before it is parsed"

    async def call(request: bytes, context: Any) -> Any:
        await guard.admit(context, method, permission, len(request))
        return await handler.unary_unary(request, context)

    return grpc.unary_unary_rpc_method_handler(call, response_serializer=handler.response_serializer)


def _guarded_stream(
    guard: Guard, handler: Any, method: str, permission: Permission
) -> "grpc.RpcMethodHandler[Any, Any]":
    async def call(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        await guard.admit(context, method, permission, 0)
        async for answer in handler.stream_stream(requests, context):
            yield answer

    return grpc.stream_stream_rpc_method_handler(
        call, request_deserializer=handler.request_deserializer, response_serializer=handler.response_serializer
    )


def _token(metadata: Iterable[tuple[str, str | bytes]]) -> bytes | None:
    for key, value in metadata:
        if key == _AUTHORISATION and isinstance(value, str) and value[: len(_SCHEME)].lower() == _SCHEME:
            return value[len(_SCHEME) :].strip().encode()
    return None
