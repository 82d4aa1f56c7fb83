import pytest

from feature_service.catalogue import REQUEST_FEATURES, VIEWS, features
from feature_service.catalogue.definitions import Aggregate, Derived, Operation, RequestFeature, Statistic
from feature_service.records import COUNTERPARTS, ENTITIES
from scorer.wording import phrase

NAN = float("nan")
ALL_NAMES = sorted({name for view in VIEWS.values() for name in view.names} | set(REQUEST_FEATURES))


def words(name: str, value: float, usual: float = NAN) -> str:
    found = phrase(features([name])[0])
    return found.words(value, found.usual(usual))


@pytest.mark.parametrize("name", ALL_NAMES)
def test_every_feature_of_the_catalogue_has_words_for_every_kind_of_value(name: str) -> None:
    for value in (NAN, 0.0, 1.0, 2.0, 0.123, 148.0, 86_400.0):
        said = words(name, value, 1.5)
        assert said.strip() == said
        assert "{" not in said
        assert "_" not in said
        assert "nan" not in said


def test_different_features_never_say_the_same() -> None:
    said = [words(name, 148.0) for name in ALL_NAMES]
    assert len(set(said)) == len(said)


@pytest.mark.parametrize("entity", ENTITIES)
@pytest.mark.parametrize("statistic", Statistic)
def test_every_statistic_of_every_entity_has_words(entity: str, statistic: Statistic) -> None:
    of = COUNTERPARTS[entity][0] if statistic in (Statistic.DISTINCT, Statistic.SAME) else ""
    feature = Aggregate(entity=entity, statistic=statistic, of=of, include_current=False)
    assert phrase(feature).words(2.0, "")


@pytest.mark.parametrize(
    ("name", "value", "usual", "expected"),
    [
        ("card_count_1h", 5.0, 0.3, "5 payments with this card in the last hour (usual: 0.3)"),
        ("card_count_1h", 1.0, 0.3, "1 payment with this card in the last hour (usual: 0.3)"),
        ("card_declined_count_1d", 4.0, 0.02, "4 declined payments with this card in the last day (usual: 0.02)"),
        ("amount", 1250.0, 53.2, "amount 1,250.00 (usual: 53.20)"),
        ("amount", 1250.0, NAN, "amount 1,250.00"),
        ("is_night", 1.0, 0.2, "at night"),
        ("is_night", 0.0, 0.2, "not at night"),
        ("mcc", 742.0, 5000.0, "merchant category 0742"),
        ("merchant_country", 1 + 26 * 5 + 17, 80.0, "merchant in FR"),
        ("channel", 5.0, 2.0, "paid by mail or phone"),
        (
            "customer_amount_mean_7d",
            80.5,
            53.0,
            "mean amount 80.50 of payments by this customer in the last 7 days (usual: 53.00)",
        ),
        (
            "terminal_fraud_rate_7d_delay_7d",
            0.125,
            0.008,
            "fraud rate 12.5 % among payments at this terminal in the 7 days up to 7 days ago (usual: 0.8 %)",
        ),
        (
            "amount_over_customer_amount_mean_7d_before",
            5.2,
            1.1,
            "amount is 5.2 times the mean amount of other payments by this customer in the last 7 days (usual: 1.1)",
        ),
        (
            "customer_count_1h_over_7d",
            0.8,
            0.1,
            "80 % of the payments by this customer in the last 7 days came in the last hour (usual: 10 %)",
        ),
        ("card_seconds_since_previous", 12.0, 90_000.0, "12 s since the previous payment with this card (usual: 25 h)"),
        (
            "customer_new_device",
            1.0,
            0.1,
            "no other payment by this customer and from this device in the last 30 days",
        ),
        ("card_count_1h", NAN, 0.3, "payments with this card in the last hour not known"),
    ],
)
def test_words(name: str, value: float, usual: float, expected: str) -> None:
    assert words(name, value, usual) == expected


def test_a_derived_feature_without_words_is_refused() -> None:
    odd = Derived("odd", Operation.IS_ZERO, (RequestFeature("amount"),))
    with pytest.raises(ValueError, match="no words for odd"):
        phrase(odd)
