from pathlib import Path

import pytest
from fraud.v1.dead_letter_pb2 import REJECTION_FUTURE, REJECTION_OVERSIZED, REJECTION_UNSPECIFIED, Rejection

from feature_service.contract_settings import ContractSettings
from feature_service.rejections import explain

SETTINGS = ContractSettings(id_hash_key_file=Path("unread"), max_record_bytes=1_234)


@pytest.mark.parametrize("rejection", [number for number in Rejection.values() if number != REJECTION_UNSPECIFIED])
def test_every_rejection_is_one_line_of_words(rejection: int) -> None:
    words = explain(rejection, SETTINGS)
    assert len(words) > 20
    assert "\n" not in words
    assert "{" not in words


def test_the_limits_are_those_of_the_deployment() -> None:
    assert "longer than 1234 bytes" in explain(REJECTION_OVERSIZED, SETTINGS)
    assert "more than 300000 ms" in explain(REJECTION_FUTURE, SETTINGS)


def test_an_accepted_record_has_nothing_to_explain() -> None:
    with pytest.raises(KeyError):
        explain(0, SETTINGS)
