"""Redis over TLS, with an authority of its own and a client certificate: histories and plain clients alike."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_service.errors import StoreUnavailableError
from feature_service.stores.layout import StoreLayout
from feature_service.stores.redis_masters import redis_masters
from feature_service.stores.redis_store import RedisHistoryStore
from fraudctl.cluster.ports import free_port
from fraudctl.cluster.redis import RedisServer
from tests.pki import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def address(tmp_path: Path, authority: Authority) -> Iterator[str]:
    """Of the port that asks clients for a certificate."""
    pair, port = authority.issue("redis", dns=["localhost"]), free_port()
    options = {
        "--tls-port": str(port),
        "--tls-cert-file": str(pair.certificate),
        "--tls-key-file": str(pair.key),
        "--tls-ca-cert-file": str(authority.file),
        "--tls-auth-clients": "yes",
    }
    server = RedisServer(tmp_path, port=free_port(), options=[part for option in options.items() for part in option])
    try:
        server.start()
        yield f"localhost:{port}"
    finally:
        server.stop()


def store_at(url: str) -> RedisHistoryStore:
    layout = StoreLayout(shard_count=4, key_fingerprint="0" * 16)
    return RedisHistoryStore(url, layout, retention_ms=10**10, history_ttl_s=10**7)


async def test_a_client_of_the_authority_gets_in(address: str, authority: Authority) -> None:
    pair = authority.issue("client")
    url = f"rediss://{address}/0?ssl_ca_certs={authority.file}&ssl_certfile={pair.certificate}&ssl_keyfile={pair.key}"

    async with store_at(url) as store:
        await store.register_sources("transactions", {"a:0": 0})
        assert await store.sources() == ["a:0"]
    async with redis_masters(url, timeout_ms=5_000) as masters:
        assert await masters.all[0].ping()


async def test_strangers_stay_outside_on_both_sides(address: str, authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    pair, of_stranger = authority.issue("client"), stranger.issue("other")
    queries = (
        f"ssl_ca_certs={authority.file}",
        f"ssl_ca_certs={authority.file}&ssl_certfile={of_stranger.certificate}&ssl_keyfile={of_stranger.key}",
        f"ssl_ca_certs={stranger.file}&ssl_certfile={pair.certificate}&ssl_keyfile={pair.key}",
    )
    for query in queries:
        with pytest.raises(StoreUnavailableError):
            async with store_at(f"rediss://{address}/0?{query}"):
                pass
