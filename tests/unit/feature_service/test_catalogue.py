import re

import pytest

from feature_service import catalogue
from feature_service.catalogue import REQUEST_FEATURES, VIEWS, feature_set_version, features, view
from feature_service.catalogue.definitions import (
    DAY_MS,
    HORIZON_MS,
    HOUR_MS,
    MINUTE_MS,
    Aggregate,
    FeatureView,
    Input,
    RequestFeature,
    Statistic,
    duration_name,
)
from feature_service.errors import CatalogueError
from tests.oracle.handbook import FEATURES as HANDBOOK_FEATURES


def test_the_handbook_view_has_the_fifteen_published_features() -> None:
    assert view("handbook").names == HANDBOOK_FEATURES


def test_views_name_their_features_by_one_rule() -> None:
    for each in VIEWS.values():
        for feature in each.features:
            assert re.fullmatch(r"[a-z][a-z0-9_]*", feature.name)
            assert feature.definition.startswith(f"{feature.name} = ")
            assert feature.description


def test_different_features_have_different_definitions() -> None:
    definitions = {feature.definition for each in VIEWS.values() for feature in each.features}
    names = {name for each in VIEWS.values() for name in each.names}
    assert len(definitions) == len(names)


@pytest.mark.parametrize(
    ("aggregate", "name"),
    [
        (
            Aggregate(entity="customer", statistic=Statistic.AMOUNT_MEAN, window_ms=7 * DAY_MS),
            "customer_amount_mean_7d",
        ),
        (
            Aggregate(entity="terminal", statistic=Statistic.FRAUD_RATE, window_ms=DAY_MS, delay_ms=7 * DAY_MS),
            "terminal_fraud_rate_1d_delay_7d",
        ),
        (
            Aggregate(entity="card", statistic=Statistic.COUNT, window_ms=HOUR_MS, input=Input.DECLINED),
            "card_declined_count_1h",
        ),
        (
            Aggregate(entity="ip", statistic=Statistic.DISTINCT, of="card", window_ms=10 * MINUTE_MS),
            "ip_distinct_card_10m",
        ),
        (
            Aggregate(entity="card", statistic=Statistic.AMOUNT_MAX, window_ms=DAY_MS, include_current=False),
            "card_amount_max_1d_before",
        ),
        (
            Aggregate(entity="card", statistic=Statistic.SECONDS_SINCE_PREVIOUS, include_current=False),
            "card_seconds_since_previous",
        ),
    ],
)
def test_a_name_follows_from_the_definition(aggregate: Aggregate, name: str) -> None:
    assert aggregate.name == name


def test_a_definition_says_all_that_the_kernel_is_told() -> None:
    aggregate = Aggregate(entity="card", statistic=Statistic.DISTINCT, of="merchant", window_ms=HOUR_MS)
    assert aggregate.definition == (
        "card_distinct_merchant_1h = distinct of merchant(card attempts, (t-3600000, t-0] ms, current included)"
    )


def test_the_version_is_of_the_chosen_features_and_their_order_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    version = feature_set_version(("amount", "customer_count_1d"))
    assert re.fullmatch("[0-9a-f]{12}", version)
    assert feature_set_version(("customer_count_1d", "amount")) != version
    assert feature_set_version(("amount",)) != version
    monkeypatch.setattr(catalogue, "KERNEL_VERSION", catalogue.KERNEL_VERSION + 1)
    assert feature_set_version(("amount", "customer_count_1d")) != version


def test_the_handbook_version_is_pinned() -> None:
    """It changes with a definition or the kernel's results, and then every trained model is of another feature set."""
    assert feature_set_version(view("handbook").names) == "a734ab8c8a05"


def test_features_come_in_the_order_asked_for() -> None:
    names = ("terminal_count_1d_delay_7d", "amount", "customer_count_1d")
    assert tuple(feature.name for feature in features(names)) == names


def test_unknown_names_are_all_told() -> None:
    with pytest.raises(CatalogueError, match="not in the catalogue: a, b"):
        features(("a", "amount", "b"))
    with pytest.raises(CatalogueError, match="handbook, production"):
        view("handbok")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"entity": "shop", "statistic": Statistic.COUNT}, "unknown entity 'shop'"),
        ({"entity": "card", "statistic": Statistic.COUNT, "of": "device"}, "DISTINCT and SAME only"),
        ({"entity": "card", "statistic": Statistic.DISTINCT}, "DISTINCT and SAME only"),
        ({"entity": "card", "statistic": Statistic.SAME, "of": "ip"}, "not 'ip'"),
        ({"entity": "card", "statistic": Statistic.COUNT, "window_ms": 0}, "within the horizon"),
        ({"entity": "card", "statistic": Statistic.COUNT, "window_ms": HORIZON_MS, "delay_ms": DAY_MS}, "within the"),
        ({"entity": "card", "statistic": Statistic.COUNT, "window_ms": DAY_MS, "delay_ms": -DAY_MS}, "within the"),
        ({"entity": "card", "statistic": Statistic.TRAVEL_SPEED_KMH}, "other records"),
        (
            {"entity": "card", "statistic": Statistic.SECONDS_SINCE_PREVIOUS, "window_ms": DAY_MS},
            "over the whole horizon",
        ),
    ],
)
def test_a_definition_that_means_nothing_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        Aggregate(**arguments)  # type: ignore[arg-type]


def test_a_view_has_no_name_twice() -> None:
    with pytest.raises(CatalogueError, match="defines a name twice"):
        FeatureView("both", (RequestFeature("amount"), RequestFeature("amount")))


def test_durations_are_named_in_the_largest_unit_that_is_exact() -> None:
    assert [duration_name(ms) for ms in (MINUTE_MS, 90 * MINUTE_MS, 36 * HOUR_MS, 7 * DAY_MS)] == [
        *("1m", "90m", "36h", "7d")
    ]
    with pytest.raises(CatalogueError, match="no whole number of minutes"):
        duration_name(1_500)


def test_every_request_feature_is_in_the_production_view() -> None:
    assert set(REQUEST_FEATURES) <= set(view("production").names)
