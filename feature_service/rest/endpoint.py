"""One method of the contract, as it is reached by HTTP."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from feature_service.callers import Permission

Verb = Literal["GET", "POST"]


@dataclass(frozen=True, slots=True)
class Call:
    request: bytes  # serialised
    arrived_ns: int  # by the monotonic clock
    allowed_ms: float | None  # from then on; None: the caller sets no deadline
    traceparent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A GET takes no request: what is called is called with an empty one."""

    verb: Verb
    path: str
    method: MethodDescriptor
    permission: Permission
    answer: Callable[[Call], Awaitable[bytes]]  # a serialised response; raises CallRefusedError
    example: Callable[[int], Message] | None = None  # a request that makes sense at that time, ms

    @property
    def rpc(self) -> str:
        """As gRPC names the method: `/service/method`."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestService:
    """What a server offers by REST, and where."""

    bind: str  # host:port
    title: str
    endpoints: Sequence[Endpoint]
