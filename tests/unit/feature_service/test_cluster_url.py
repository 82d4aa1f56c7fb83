"""A cluster's URL: what it must hold, and what its nodes' URLs take over from it."""

import pytest

from feature_service.errors import StoreError
from feature_service.stores.cluster_url import Address, ClusterUrl, check_password, parse_address


def test_nodes_take_credentials_tls_and_options_from_the_clusters_url() -> None:
    url = ClusterUrl.parse("rediss+cluster://user:p%40ss@a:7001,b?ssl_ca_certs=/ca.pem")
    assert url.seeds == (Address("a", 7001), Address("b", 6379))
    assert url.of(Address("10.0.0.1", 7002)) == "rediss://user:p%40ss@10.0.0.1:7002/0?ssl_ca_certs=/ca.pem"


@pytest.mark.parametrize("path", ["", "/", "/0"])
def test_one_host_is_enough(path: str) -> None:
    url = ClusterUrl.parse(f"redis+cluster://redis{path}")
    assert url.seeds == (Address("redis", 6379),)
    assert url.of(url.seeds[0]) == "redis://redis:6379/0"


def test_ipv6_addresses_stand_in_brackets() -> None:
    url = ClusterUrl.parse("redis+cluster://[::1]:7001,[::2]")
    assert url.seeds == (Address("::1", 7001), Address("::2", 6379))
    assert url.of(url.seeds[0]) == "redis://[::1]:7001/0"


@pytest.mark.parametrize(
    ("url", "matches"),
    [("redis+cluster://a", True), ("rediss+cluster://a", True), ("redis://a", False), ("rediss://a:1/0", False)],
)
def test_the_scheme_tells_a_cluster_from_one_master(url: str, matches: bool) -> None:
    assert ClusterUrl.matches(url) is matches


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("a:7001/1", "'1': a Redis Cluster has only database 0"),
        ("", "'' is not host:port"),
        ("a,", "'' is not host:port"),
        ("a:port", "'a:port' is not host:port"),
        ("a:70000", "'a:70000' is not host:port"),
        ("a:1,redis://b:2", "names database"),
    ],
)
def test_what_is_wrong_with_a_url_is_told_without_its_password(rest: str, message: str) -> None:
    with pytest.raises(StoreError, match=f"FRAUD_REDIS_URL.*{message}") as raised:
        ClusterUrl.parse(f"redis+cluster://user:secret@{rest}")
    assert "secret" not in str(raised.value)
    assert "secret" not in repr(ClusterUrl.parse("redis+cluster://user:secret@a"))


def test_an_address_is_written_as_it_is_read() -> None:
    for text in ("host:1", "[::1]:1"):
        assert str(parse_address(text)) == text


@pytest.mark.parametrize("scheme", ["redis", "rediss", "redis+cluster", "rediss+cluster"])
@pytest.mark.parametrize("password", ["se/cret", "1234/secret", "se?cret", "se#cret", "[secret"])
def test_a_password_that_is_not_written_as_urls_have_it_is_not_shown(scheme: str, password: str) -> None:
    with pytest.raises(StoreError, match="FRAUD_REDIS_URL") as raised:
        check_password(f"{scheme}://user:{password}@host:6379/0")

    assert "cret" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("rest", ["host", "user:se%2Fcret@host:1/0", ":secret@a,b:2", "u:p@h/0?ssl_ca_certs=/ca.pem"])
def test_other_urls_pass(rest: str) -> None:
    check_password(f"redis://{rest}")
