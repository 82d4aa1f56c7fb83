import pytest

from feature_service.loopback import is_loopback


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:1", "127.1.2.3:1", "[::1]:1", "localhost:1", "dns:///localhost:1", "dns:///127.0.0.1:1", "unix:/a/b"],
)
def test_addresses_of_this_machine_alone(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "scorer:1", "dns:///scorer:1", "localhost.example:1", "127.0.0.1.example:1"],
)
def test_addresses_that_others_may_reach_or_be(address: str) -> None:
    assert not is_loopback(address)
