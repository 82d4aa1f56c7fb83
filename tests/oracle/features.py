"""Every feature by brute force, from the definitions and the semantics in design.md: slow, plain, exact.

It looks at all events for each feature, knows no plan, no sorting and no packing, and computes in fractions what
does not stay an integer. Missing is None.

Of several copies of a (kind, id) the one with a known outcome stands, then the earliest, then the one with the larger
words; of records of the same millisecond the one with the larger id is the newer. Where only those last rules decide,
they are arbitrary, and taken from the product.

Of an entity with `exact_members` or more, the newest so many (and those of the same millisecond as the last of them)
are seen as any are; older ones count by boundaries on a grid, their frauds by labels alone, and not at all for what is
no sum.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Final

from feature_service.catalogue.definitions import (
    EXACT_MEMBERS,
    HORIZON_MS,
    Aggregate,
    Derived,
    Feature,
    Input,
    Operation,
    RequestFeature,
    Statistic,
)
from feature_service.records import COUNTERPARTS, MISSING_INT32, MISSING_INT64, Kind, Outcome
from tests.oracle.payments import Label, Payment

MINOR_PER_MAJOR: Final = 100.0
EARTH_RADIUS_KM: Final = 6371.0088


@dataclass(frozen=True, slots=True)
class Member:
    payment: Payment
    is_fraud: bool = False
    is_current: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """Of one entity, as of a question."""

    exact: Sequence[Member]
    older: Sequence[Member] = ()
    older_fraud_times_ms: Sequence[int] = ()
    exact_ms: int | None = None  # of the oldest exact one, where there may be older ones


def feature_vector(
    features: Sequence[Feature],
    asked: Payment,
    payments: Sequence[Payment],
    labels: Sequence[Label],
    exact_members: int = EXACT_MEMBERS,
) -> list[float | None]:
    """Features as of `asked`: of that transaction, or of its entities where its id is 0."""
    return [feature_value(feature, asked, payments, labels, exact_members) for feature in features]


def feature_value(
    feature: Feature,
    asked: Payment,
    payments: Sequence[Payment],
    labels: Sequence[Label],
    exact_members: int = EXACT_MEMBERS,
) -> float | None:
    if isinstance(feature, RequestFeature):
        return request_value(feature.name, asked) if asked.transaction else None
    if isinstance(feature, Derived):
        operands = feature_vector(feature.operands, asked, payments, labels, exact_members)
        return derived_value(feature.operation, operands)
    if feature.entity not in asked.entities:
        return None
    found = members(feature.entity, asked, payments, labels)
    return aggregate_value(feature, asked, history(feature.entity, asked, found, labels, exact_members))


def members(entity: str, asked: Payment, payments: Sequence[Payment], labels: Sequence[Label]) -> list[Member]:
    """What the entity's history holds as of the question."""
    owner = asked.entities[entity]
    winners: dict[tuple[Kind, int], Payment] = {}
    for payment in payments:
        identity = (payment.kind, payment.transaction)
        if payment.entities.get(entity) != owner or not _within_horizon(payment.time_ms, asked.time_ms):
            continue
        if asked.transaction and identity == (Kind.AUTHORISATION, asked.transaction):
            continue
        rival = winners.get(identity)
        if rival is None or _rank(entity, payment) > _rank(entity, rival):
            winners[identity] = payment
    found = [Member(each, is_fraud=_is_fraud(entity, each, asked, labels)) for each in winners.values()]
    if asked.transaction:
        attempt = replace(asked, kind=Kind.AUTHORISATION, outcome=Outcome.UNKNOWN)
        found.append(Member(attempt, is_current=True))
    return found


def history(
    entity: str, asked: Payment, found: Sequence[Member], labels: Sequence[Label], exact_members: int
) -> History:
    if len(found) < exact_members:
        return History(found)
    exact_ms = sorted(each.payment.time_ms for each in found)[-exact_members]
    of_owner = [label for label in labels if label.entities.get(entity) == asked.entities[entity]]
    latest: dict[int, Label] = {}
    for label in of_owner:
        is_known = label.known_at_ms <= asked.time_ms and _within_horizon(label.time_ms, asked.time_ms)
        rival = latest.get(label.transaction)
        if is_known and label.time_ms < exact_ms and (rival is None or _label_rank(label) > _label_rank(rival)):
            latest[label.transaction] = label
    return History(
        [each for each in found if each.payment.time_ms >= exact_ms],
        [each for each in found if each.payment.time_ms < exact_ms],
        [label.time_ms for label in latest.values() if label.is_fraud],
        exact_ms,
    )


def moved_boundary(boundary_ms: int, as_of_ms: int, exact_ms: int) -> int:
    """Where a window's boundary lies for records before `exact_ms`."""
    if boundary_ms >= exact_ms:
        return exact_ms - 1
    inside = [point for point in _grid_around(as_of_ms - HORIZON_MS, as_of_ms) if point >= as_of_ms - HORIZON_MS]
    points = _grid_around(boundary_ms, as_of_ms)
    nearest = min(points, key=lambda point: (abs(point - boundary_ms), point))
    return min(max(nearest, min(inside)), exact_ms - 1)


def _grid_around(time_ms: int, as_of_ms: int) -> list[int]:
    """Points of the grid on both sides of a time: multiples of g that are 16 g to 32 g old, any below 16 ms."""
    points = [time_ms] if as_of_ms - time_ms < 16 else []
    for level in range(45):
        length = 1 << level
        near = range(time_ms // length * length - 2 * length, time_ms + 3 * length, length)
        points += [point for point in near if 16 * length <= as_of_ms - point < 32 * length]
    return points


def aggregate_value(feature: Aggregate, asked: Payment, entity_history: History) -> float | None:
    seen = [each for each in entity_history.exact if _is_input(feature.input, each.payment)]
    if feature.statistic in (Statistic.SECONDS_SINCE_PREVIOUS, Statistic.TRAVEL_SPEED_KMH):
        return _from_newest_other(feature.statistic, asked, [each.payment for each in seen if not each.is_current])
    end_ms = asked.time_ms - feature.delay_ms
    window = [
        each
        for each in seen
        if end_ms - feature.window_ms < each.payment.time_ms <= end_ms
        and (feature.include_current or not each.is_current)
    ]
    frauds = sum(each.is_fraud for each in window)
    if entity_history.exact_ms is not None and not feature.of:
        first_ms, last_ms = (
            moved_boundary(boundary_ms, asked.time_ms, entity_history.exact_ms)
            for boundary_ms in (end_ms - feature.window_ms, end_ms)
        )
        of_input = [each for each in entity_history.older if _is_input(feature.input, each.payment)]
        window += [each for each in of_input if first_ms < each.payment.time_ms <= last_ms]
        frauds += sum(first_ms < time_ms <= last_ms for time_ms in entity_history.older_fraud_times_ms)
    if feature.statistic is Statistic.COUNT:
        return float(len(window))
    if feature.statistic is Statistic.FRAUD_COUNT:
        return float(frauds)
    if feature.statistic is Statistic.FRAUD_RATE:
        return frauds / len(window) if window else 0.0
    if feature.of:
        values = [_attribute(feature.of, each.payment) for each in window]
        if feature.statistic is Statistic.DISTINCT:
            return float(len({value for value in values if value}))
        mine = _attribute(feature.of, asked) if asked.transaction else 0
        return float(values.count(mine)) if mine else None
    return _of_amounts(
        feature.statistic, [each.payment.amount_minor for each in window if each.payment.amount_minor is not None]
    )


def derived_value(operation: Operation, operands: Sequence[float | None]) -> float | None:
    known = [operand for operand in operands if operand is not None]
    if len(known) < len(operands):
        return None
    if operation is Operation.IS_ZERO:
        return 1.0 if known[0] == 0 else 0.0
    if known[-1] == 0:
        return None
    return known[0] / known[1] if operation is Operation.RATIO else (known[0] - known[1]) / known[2]


def request_value(name: str, asked: Payment) -> float | None:
    utc = datetime.fromtimestamp(asked.time_ms // 1000, UTC)
    if name == "amount":
        return None if asked.amount_minor is None else asked.amount_minor / MINOR_PER_MAJOR
    if name == "is_weekend":
        return float(utc.strftime("%a") in {"Sat", "Sun"})
    if name == "is_night":
        return float(utc.hour < 7)
    if name == "hour":
        return float((utc + timedelta(minutes=asked.utc_offset_minutes or 0)).hour)
    if name == "is_cross_border":
        if not asked.card_country or not asked.merchant_country:
            return None
        return float(asked.card_country != asked.merchant_country)
    code = {
        "mcc": asked.mcc,
        "merchant_country": asked.merchant_country,
        "card_country": asked.card_country,
        "channel": asked.channel,
    }[name]
    return float(code) if code else None


def _within_horizon(time_ms: int, as_of_ms: int) -> bool:
    return as_of_ms - HORIZON_MS < time_ms <= as_of_ms


def _is_input(wanted: Input, payment: Payment) -> bool:
    if payment.kind is Kind.AUTHORISATION:
        outcomes = {
            Input.APPROVED: (Outcome.APPROVED,),
            Input.DECLINED: (Outcome.DECLINED, Outcome.DECLINED_BY_SCORER),
        }
        return wanted is Input.ATTEMPTS or payment.outcome in outcomes.get(wanted, ())
    kinds = {Input.CAPTURES: Kind.CAPTURE, Input.REVERSALS: Kind.REVERSAL, Input.REFUNDS: Kind.REFUND}
    return kinds.get(wanted) is payment.kind


def _is_fraud(entity: str, payment: Payment, asked: Payment, labels: Sequence[Label]) -> bool:
    known = [
        label
        for label in labels
        if label.transaction == payment.transaction
        and label.entities.get(entity) == asked.entities[entity]
        and _within_horizon(label.time_ms, asked.time_ms)
        and label.known_at_ms <= asked.time_ms
    ]
    if payment.kind is not Kind.AUTHORISATION or not known:
        return False
    return max(known, key=_label_rank).is_fraud


def _label_rank(label: Label) -> tuple[int, int, bool]:
    return label.known_at_ms, label.source, label.is_fraud


def _attribute(of: str, payment: Payment) -> int:
    return payment.merchant_country if of == "country" else payment.entities.get(of, 0)


def _of_amounts(statistic: Statistic, amounts: Sequence[int]) -> float | None:
    if statistic is Statistic.AMOUNT_SUM:
        return sum(amounts) / MINOR_PER_MAJOR
    if statistic is Statistic.AMOUNT_STD:
        if len(amounts) < 2:
            return None
        mean = Fraction(sum(amounts), len(amounts))
        return math.sqrt(sum((amount - mean) ** 2 for amount in amounts) / (len(amounts) - 1)) / MINOR_PER_MAJOR
    if not amounts:
        return None
    if statistic is Statistic.AMOUNT_MEAN:
        return sum(amounts) / (len(amounts) * MINOR_PER_MAJOR)
    return (min if statistic is Statistic.AMOUNT_MIN else max)(amounts) / MINOR_PER_MAJOR


def _from_newest_other(statistic: Statistic, asked: Payment, others: Sequence[Payment]) -> float | None:
    if statistic is Statistic.TRAVEL_SPEED_KMH:
        others = [each for each in others if each.location is not None]
        if not asked.transaction or asked.location is None:
            return None
    if not others:
        return None
    newest = max(others, key=lambda each: (each.time_ms, _signed(each.transaction)))
    seconds = (asked.time_ms - newest.time_ms) / 1000
    if statistic is Statistic.SECONDS_SINCE_PREVIOUS:
        return seconds
    assert asked.location is not None
    assert newest.location is not None
    return distance_km(asked.location, newest.location) / (max(seconds, 1.0) / 3600)


def distance_km(a: tuple[int, int], b: tuple[int, int]) -> float:
    """On the sphere, from the angle between the two directions in space."""
    x, y = _direction(a), _direction(b)
    across = math.hypot(*(x[i] * y[j] - x[j] * y[i] for i, j in ((1, 2), (2, 0), (0, 1))))
    return EARTH_RADIUS_KM * math.atan2(across, x[0] * y[0] + x[1] * y[1] + x[2] * y[2])


def _direction(location: tuple[int, int]) -> tuple[float, float, float]:
    latitude, longitude = (math.radians(microdegrees / 1e6) for microdegrees in location)
    return math.cos(latitude) * math.cos(longitude), math.cos(latitude) * math.sin(longitude), math.sin(latitude)


def _rank(entity: str, payment: Payment) -> tuple[int, int, tuple[int, ...]]:
    latitude, longitude = payment.location or (MISSING_INT32, MISSING_INT32)
    words = (
        MISSING_INT64 if payment.amount_minor is None else payment.amount_minor,
        *(_signed(payment.entities.get(counterpart, 0)) for counterpart in COUNTERPARTS[entity]),
        payment.channel << 48 | payment.outcome << 40 | payment.merchant_country << 16 | payment.mcc,
        longitude << 32 | latitude & 0xFFFFFFFF,
    )
    ascending = (Outcome.UNKNOWN, Outcome.DECLINED_BY_SCORER, Outcome.APPROVED, Outcome.DECLINED)
    told_by = min(ascending.index(payment.outcome), ascending.index(Outcome.APPROVED))  # of the issuer's, none is more
    return told_by, -payment.time_ms, words


def _signed(hashed: int) -> int:
    return hashed - (1 << 64) if hashed >> 63 else hashed
