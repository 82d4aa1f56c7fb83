import numpy as np
import pytest

from feature_service.errors import CatalogueError
from scorer.reasons import Explainer, Reason, rule_reason
from scorer.tree_walk import NO_FEATURE


def test_reasons_say_what_contributes_most() -> None:
    explainer = Explainer(["amount", "is_night", "is_weekend", "card_count_1h"], [50.0, 0.2, 0.3, 0.3])
    nothing = (NO_FEATURE, 0.0, 0.0)
    found, of_other = explainer.reasons(np.array([[(3, 5.0, 2.5), (0, 300.0, 1.5)], [(1, 1.0, 0.2), nothing]]))
    assert [reason.code for reason in found] == ["CARD_COUNT_1H", "AMOUNT"]
    assert found[0].words == "5 payments with this card in the last hour (usual: 0.3)"
    assert (found[0].feature, found[0].value, found[0].contribution) == ("card_count_1h", 5.0, 2.5)
    assert [reason.code for reason in of_other] == ["IS_NIGHT"]


def test_without_contributions_there_are_no_reasons() -> None:
    explainer = Explainer(["amount"], [50.0])
    assert explainer.reasons(np.array([[(NO_FEATURE, 0.0, 0.0)]])) == [()]


def test_an_unknown_name_is_refused_before_scoring() -> None:
    with pytest.raises(CatalogueError, match="card_moon_phase"):
        Explainer(["amount", "card_moon_phase"], [1.0, 1.0])


def test_usual_values_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="usual values"):
        Explainer(["amount"], [1.0, 2.0])


def test_a_rule_is_a_reason_too() -> None:
    reason = rule_reason("large_amount", "the amount is large")
    assert reason == Reason(code="LARGE_AMOUNT", words="the amount is large", feature="", value=0.0, contribution=0.0)
