"""The view for live traffic: velocities, spending against one's own past, spread, novelty, delayed fraud."""

from collections.abc import Iterator

from feature_service.catalogue.definitions import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    REQUEST_FEATURES,
    Aggregate,
    Derived,
    Feature,
    FeatureView,
    Input,
    Operation,
    RequestFeature,
    Statistic,
    duration_name,
)
from feature_service.records import ENTITIES

_VELOCITY_WINDOWS_MS = (MINUTE_MS, 10 * MINUTE_MS, HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS)
_AMOUNT = RequestFeature("amount")


def _count(entity: str, window_ms: int) -> Aggregate:
    return Aggregate(entity=entity, statistic=Statistic.COUNT, window_ms=window_ms)


def _before(entity: str, statistic: Statistic, window_ms: int) -> Aggregate:
    return Aggregate(entity=entity, statistic=statistic, window_ms=window_ms, include_current=False)


def _declined(entity: str, window_ms: int) -> Aggregate:
    return Aggregate(entity=entity, statistic=Statistic.COUNT, window_ms=window_ms, input=Input.DECLINED)


def _distinct(entity: str, of: str, window_ms: int) -> Aggregate:
    return Aggregate(entity=entity, statistic=Statistic.DISTINCT, of=of, window_ms=window_ms)


def _is_new(entity: str, of: str) -> Derived:
    seen = Aggregate(entity=entity, statistic=Statistic.SAME, of=of, window_ms=30 * DAY_MS, include_current=False)
    return Derived(f"{entity}_new_{of}", Operation.IS_ZERO, (seen,))


def _frauds(entity: str, statistic: Statistic) -> Aggregate:
    return Aggregate(entity=entity, statistic=statistic, window_ms=30 * DAY_MS, delay_ms=7 * DAY_MS)


def _acceleration(entity: str, short_ms: int, long_ms: int) -> Derived:
    name = f"{entity}_count_{duration_name(short_ms)}_over_{duration_name(long_ms)}"
    return Derived(name, Operation.RATIO, (_count(entity, short_ms), _count(entity, long_ms)))


def _velocities() -> Iterator[Feature]:
    for entity in ENTITIES:
        for window_ms in _VELOCITY_WINDOWS_MS:
            yield _count(entity, window_ms)
        yield Aggregate(entity=entity, statistic=Statistic.SECONDS_SINCE_PREVIOUS, include_current=False)
        yield _acceleration(entity, HOUR_MS, 7 * DAY_MS)
        yield _acceleration(entity, DAY_MS, 30 * DAY_MS)
        for window_ms in (HOUR_MS, DAY_MS):
            yield _declined(entity, window_ms)


def _spending() -> Iterator[Feature]:
    for entity in ("customer", "card"):
        for window_ms in (HOUR_MS, DAY_MS, 7 * DAY_MS):
            yield Aggregate(entity=entity, statistic=Statistic.AMOUNT_SUM, window_ms=window_ms)
    for entity in ("customer", "terminal"):
        for window_ms in (DAY_MS, 7 * DAY_MS, 30 * DAY_MS):
            mean = _before(entity, Statistic.AMOUNT_MEAN, window_ms)
            yield mean
            yield Derived(f"amount_over_{mean.name}", Operation.RATIO, (_AMOUNT, mean))
        mean = _before(entity, Statistic.AMOUNT_MEAN, 30 * DAY_MS)
        deviation = _before(entity, Statistic.AMOUNT_STD, 30 * DAY_MS)
        yield deviation
        yield Derived(f"amount_z_score_{entity}_30d", Operation.Z_SCORE, (_AMOUNT, mean, deviation))
    yield _before("customer", Statistic.AMOUNT_MAX, 30 * DAY_MS)
    yield _before("card", Statistic.AMOUNT_MIN, HOUR_MS)
    yield Aggregate(entity="customer", statistic=Statistic.AMOUNT_SUM, window_ms=30 * DAY_MS, input=Input.REFUNDS)
    yield Aggregate(entity="customer", statistic=Statistic.COUNT, window_ms=7 * DAY_MS, input=Input.REVERSALS)


def _spread() -> Iterator[Feature]:
    for entity in ("customer", "card"):
        for of in ("terminal", "merchant", "device", "country"):
            for window_ms in (DAY_MS, 7 * DAY_MS):
                yield _distinct(entity, of, window_ms)
        for of in ("terminal", "merchant", "device", "country"):
            yield _is_new(entity, of)
        yield Aggregate(entity=entity, statistic=Statistic.TRAVEL_SPEED_KMH, include_current=False)
    yield _distinct("card", "merchant", HOUR_MS)
    for entity in ("merchant", "terminal", "device", "ip"):
        for window_ms in (HOUR_MS, DAY_MS):
            yield _distinct(entity, "card", window_ms)
    for entity in ("device", "ip"):
        yield _distinct(entity, "customer", 30 * DAY_MS)


def _known_frauds() -> Iterator[Feature]:
    for entity in ENTITIES:
        yield _frauds(entity, Statistic.FRAUD_COUNT)
    for entity in ("merchant", "terminal"):
        yield _frauds(entity, Statistic.FRAUD_RATE)


PRODUCTION = FeatureView(
    "production",
    (
        *(RequestFeature(name) for name in REQUEST_FEATURES),
        *_velocities(),
        *_spending(),
        *_spread(),
        *_known_frauds(),
    ),
)
