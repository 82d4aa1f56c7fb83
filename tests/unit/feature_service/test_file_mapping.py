"""Which mappings are read, and what is said about those that are not."""

from pathlib import Path

import pytest

from feature_service.errors import FileError
from feature_service.file_mapping import built_in_mappings, load_mapping

GOOD = """
time_unit = "epoch_s"
amount_unit = "minor"
[columns]
transaction_id = "id"
event_time = "at"
card_id = "card"
amount = "cents"
[constants]
currency = "USD"
mcc = 5411
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mapping.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_built_in_mapping_is_read() -> None:
    assert built_in_mappings() == ["handbook"]
    assert load_mapping("handbook").columns["customer_id"] == "CUSTOMER_ID"


def test_a_mapping_of_ones_own_is_read(tmp_path: Path) -> None:
    mapping = load_mapping(write(tmp_path, GOOD))
    assert mapping.columns == {"transaction_id": "id", "event_time": "at", "card_id": "card", "amount": "cents"}
    assert mapping.constants == {"currency": "USD", "mcc": 5411}
    assert (mapping.time_unit, mapping.amount_unit) == ("epoch_s", "minor")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[columns]", "[columns", "not TOML"),
        ("[columns]", "[colums]", "unknown entry 'colums'"),
        ('"epoch_s"', '"seconds"', "time_unit must be one of: datetime, epoch_s, epoch_ms"),
        ('amount_unit = "minor"', "", "amount_unit must be one of"),
        ('card_id = "card"', 'card = "card"', r"\[columns\] has 'card'; known are: .*card_id"),
        ('card_id = "card"', "", "no entity"),
        ('"cents"', "7", "amount must be the name of a column"),
        ('event_time = "at"', "", "event_time is missing"),
        ('currency = "USD"', "", "currency is missing"),
        ("mcc = 5411", "amount = 5411", r"\[constants\] has 'amount'"),
        ("mcc = 5411", 'card_id = "same"', "both"),
        ("mcc = 5411", "mcc = 54.11", "mcc must be text or an integer"),
        ('amount = "cents"', 'amount = "cents"\nlatitude = "lat"', "go together"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(FileError, match=words):
        load_mapping(write(tmp_path, GOOD.replace(old, new)))


def test_an_unknown_name_is_answered_with_those_that_exist() -> None:
    with pytest.raises(FileError, match="give a TOML file or one of: handbook"):
        load_mapping("nonexistent")
