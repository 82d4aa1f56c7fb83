"""A client's files are read at its start and when it asks again; a token never travels, or is shown, in plain text."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from feature_service.client_identity import ClientIdentity, ClientIdentityError
from feature_service.client_settings import ClientSettings
from tests.pki import Authority

ELSEWHERE = "dns:///scorer:50051"
HERE = "127.0.0.1:50051"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("secret-token\n")
    return path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_without_files_calls_are_plain_and_nobodys() -> None:
    identity = ClientIdentity(ClientSettings(), ELSEWHERE)

    assert identity.channel_credentials is None
    assert identity.metadata == ()
    assert not identity.refresh()


def test_a_token_goes_with_each_call(token_file: Path, authority: Authority) -> None:
    identity = ClientIdentity(ClientSettings(ca_file=authority.file, token_file=token_file), ELSEWHERE)

    assert identity.channel_credentials is not None
    assert identity.metadata == (("authorization", "Bearer secret-token"),)


def test_a_token_does_not_leave_the_machine_in_plain_text(token_file: Path) -> None:
    settings = ClientSettings(token_file=token_file)

    assert ClientIdentity(settings, HERE).metadata
    with pytest.raises(ClientIdentityError, match="FRAUD_CLIENT_CA_FILE"):
        ClientIdentity(settings, ELSEWHERE)


def test_changed_files_are_noticed_once(token_file: Path, authority: Authority) -> None:
    pair = authority.issue("client")
    settings = ClientSettings(
        ca_file=authority.file, certificate_file=pair.certificate, key_file=pair.key, token_file=token_file
    )
    identity = ClientIdentity(settings, ELSEWHERE)
    assert not identity.refresh()

    token_file.write_text("another")
    assert identity.refresh()
    assert identity.metadata == (("authorization", "Bearer another"),)
    assert not identity.refresh()

    authority.issue("client")
    assert identity.refresh()
    assert not identity.refresh()


def test_files_that_go_away_leave_the_identity_as_it_was(token_file: Path) -> None:
    identity = ClientIdentity(ClientSettings(token_file=token_file), HERE)
    token_file.unlink()

    assert not identity.refresh()
    assert identity.metadata == (("authorization", "Bearer secret-token"),)


@pytest.mark.parametrize("content", ["", " \n", "two words", "secret\x00", "gehe\u00fcim", "se\ncret"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(token_file: Path, content: str) -> None:
    token_file.write_text(content)

    with pytest.raises(ClientIdentityError, match=str(token_file)) as refused:
        ClientIdentity(ClientSettings(token_file=token_file), HERE)

    assert not content.strip() or content.strip() not in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClientIdentityError, match="nowhere"):
        ClientIdentity(ClientSettings(ca_file=tmp_path / "nowhere"), HERE)


@pytest.mark.parametrize(
    "given",
    [
        {"certificate_file": Path("c")},
        {"key_file": Path("k"), "ca_file": Path("a")},
        {"certificate_file": Path("c"), "key_file": Path("k")},
    ],
)
def test_half_an_identity_is_named(given: dict[str, Path]) -> None:
    with pytest.raises(ValidationError, match="FRAUD_CLIENT_CERTIFICATE_FILE"):
        ClientSettings.model_validate(given)
