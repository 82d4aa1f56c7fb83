from pathlib import Path

import pytest
from pydantic import ValidationError

from feature_service.contract_settings import ContractSettings
from feature_service.identity import IdKey, IdKeyError

HEX = "000102030405060708090a0b0c0d0e0f"


def test_values_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FRAUD_ID_HASH_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("FRAUD_BASE_CURRENCY", "USD")
    monkeypatch.setenv("FRAUD_MAX_RECORD_BYTES", "1000")
    settings = ContractSettings()
    assert (settings.id_hash_key_file, settings.base_currency, settings.max_record_bytes) == (
        tmp_path / "key",
        "USD",
        1000,
    )
    assert settings.rates_file.is_file()


def test_the_key_has_no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRAUD_ID_HASH_KEY_FILE", raising=False)
    with pytest.raises(ValidationError, match="id_hash_key_file"):
        ContractSettings()


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_currency": "eur"},
        {"max_amount_minor": 2**47},
        {"max_amount_minor": 0},
        {"retention_ms": 0},
        {"future_allowance_ms": -1},
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ContractSettings.model_validate({"id_hash_key_file": "key", **wrong})


def test_every_setting_says_what_it_is_for() -> None:
    assert all(field.description for field in ContractSettings.model_fields.values())


def test_the_key_is_read_from_its_file_and_never_repeated(tmp_path: Path) -> None:
    path = tmp_path / "key"
    settings = ContractSettings(id_hash_key_file=path)
    with pytest.raises(IdKeyError, match="cannot be read"):
        settings.read_id_key()
    path.write_text(HEX[:-1], encoding="ascii")
    with pytest.raises(IdKeyError, match="key: the id hash key must be") as refused:
        settings.read_id_key()
    assert HEX[:-1] not in str(refused.value)
    path.write_text(HEX + "\n", encoding="ascii")
    assert settings.read_id_key() == IdKey.from_hex(HEX)
    assert HEX not in repr(settings)
