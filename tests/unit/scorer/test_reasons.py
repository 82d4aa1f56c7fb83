from dataclasses import replace

import numpy as np
import pytest

from feature_service.errors import CatalogueError
from scorer.reasons import Explainer, rule_reason


def test_reasons_are_the_strongest_that_speak_for_fraud() -> None:
    explainer = Explainer(["amount", "is_night", "is_weekend", "card_count_1h"], [50.0, 0.2, 0.3, 0.3])
    vectors = np.array([[300.0, 1.0, 0.0, 5.0], [20.0, 1.0, np.nan, 0.0]])
    # The expected log-odds last.
    contributions = np.array([[1.5, -2.0, 0.1, 2.5, -4.0], [-1.0, 0.2, -0.1, -2.5, -4.0]])
    found, of_other = explainer.reasons(vectors, contributions, limit=2)
    assert [reason.code for reason in found] == ["CARD_COUNT_1H", "AMOUNT"]
    assert found[0].words == "5 payments with this card in the last hour (usual: 0.3)"
    assert (found[0].feature, found[0].value, found[0].contribution) == ("card_count_1h", 5.0, 2.5)
    assert [reason.code for reason in of_other] == ["IS_NIGHT"]
    found, _ = explainer.reasons(vectors, contributions, limit=9)
    assert [reason.code for reason in found] == ["CARD_COUNT_1H", "AMOUNT", "IS_WEEKEND"]


def test_nothing_that_speaks_for_fraud_gives_no_reasons() -> None:
    explainer = Explainer(["amount"], [50.0])
    assert explainer.reasons(np.array([[1.0]]), np.array([[-0.5, 3.0]]), limit=3) == [()]


def test_an_unknown_name_is_refused_before_scoring() -> None:
    with pytest.raises(CatalogueError, match="card_moon_phase"):
        Explainer(["amount", "card_moon_phase"], [1.0, 1.0])


def test_usual_values_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="usual values"):
        Explainer(["amount"], [1.0, 2.0])


def test_a_rule_is_a_reason_too() -> None:
    reason = rule_reason("large_amount", "the amount is large")
    assert reason == replace(reason, code="LARGE_AMOUNT", words="the amount is large", feature="")
