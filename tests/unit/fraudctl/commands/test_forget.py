import pytest

from feature_service.identity import IdKey, TokenError
from fraudctl.commands.forget import _parse, forget
from fraudctl.errors import UserError

ID_KEY = IdKey.from_hex("000102030405060708090a0b0c0d0e0f")


@pytest.mark.parametrize(("entities", "again"), [(None, False), (["customer:C1"], True)])
def test_it_is_somebody_or_all_again(entities: list[str] | None, again: bool) -> None:
    with pytest.raises(UserError, match="say whom"):
        forget(entities, again)


def test_an_ip_address_may_hold_colons() -> None:
    found = _parse("ip:2001:db8::7", ID_KEY, 5)
    assert (found.entity, found.until_ms) == ("ip", 5)
    assert found != _parse("ip:2001:db8::8", ID_KEY, 5)


@pytest.mark.parametrize("text", ["C42", "person:C42", "Customer:C42", ":C42"])
def test_an_entity_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="customer, card, merchant, terminal, device, ip"):
        _parse(text, ID_KEY, 5)


@pytest.mark.parametrize("text", ["card:4111111111111111", "card:4111-1111-1111-1111", "customer:", "customer:a b"])
def test_what_is_no_id_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(TokenError) as raised:
        _parse(text, ID_KEY, 5)
    assert "4111" not in str(raised.value)
