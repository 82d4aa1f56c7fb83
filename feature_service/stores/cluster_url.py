"""The URL of a Redis Cluster: credentials and options once, and some of its nodes."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from feature_service.errors import StoreError

_SCHEMES: Final = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
_PORT: Final = 6379


class Address(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ClusterUrl:
    """`redis+cluster://user:password@host:port,host:port?option=value`, or `rediss+cluster://` for TLS.

    The scheme says that it is a cluster, so that one host is enough where its name stands for several nodes.
    """

    seeds: tuple[Address, ...]
    before: str = field(repr=False)  # a node's address, credentials included
    after: str

    @classmethod
    def matches(cls, url: str) -> bool:
        return url.partition("://")[0] in _SCHEMES

    @classmethod
    def parse(cls, url: str) -> "ClusterUrl":
        """Raises: StoreError that tells no password."""
        parts = urlsplit(url)
        if parts.path not in ("", "/", "/0"):
            raise StoreError(f"FRAUD_REDIS_URL names database {parts.path[1:]!r}: a Redis Cluster has only database 0")
        credentials, at, hosts = parts.netloc.rpartition("@")
        return cls(
            tuple(parse_address(host) for host in hosts.split(",")),
            f"{_SCHEMES[parts.scheme]}://{credentials}{at}",
            f"/0?{parts.query}" if parts.query else "/0",
        )

    def of(self, node: Address) -> str:
        """The URL of one node, with the same credentials and options."""
        return f"{self.before}{node}{self.after}"


def check_password(url: str) -> None:
    """Of either kind of URL, before a part of its password can be taken for something that is shown.

    Raises: StoreError where one with /, ? or # in it was not written as URLs have it, or the URL is none.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise unreadable_url() from None
    if "@" in parts.path + parts.query + parts.fragment:
        raise StoreError("FRAUD_REDIS_URL: /, ?, # and @ in a password are written %2F, %3F, %23 and %40")


def unreadable_url() -> StoreError:
    """In place of the client library's ValueError, whose words may hold a part of the password."""
    return StoreError(
        "FRAUD_REDIS_URL is neither redis://user:password@host:port/0 nor redis+cluster://user:password@host,host"
    )


def parse_address(text: str) -> Address:
    """`host:port` or `host`; an IPv6 address stands in brackets if a port follows. Raises: StoreError."""
    parts = urlsplit(f"//{text}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise StoreError(f"FRAUD_REDIS_URL: {text!r} is not host:port")
    return Address(host, port or _PORT)
