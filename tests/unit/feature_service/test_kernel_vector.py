import math
from dataclasses import replace

import numpy as np
import pytest

from feature_service.catalogue import REQUEST_FEATURES
from feature_service.catalogue.definitions import DAY_MS, HOUR_MS, MINUTE_MS
from feature_service.kernel import READ_BEFORE_HORIZON
from feature_service.plan import make_plan
from tests.oracle.kernel_calls import kernel_vectors
from tests.oracle.payments import Payment, histories_of

SATURDAY_MS = 1_708_732_800_000  # 2024-02-24, 00:00 UTC
PAYMENT = Payment(transaction=1, time_ms=SATURDAY_MS, amount_minor=1_050, entities={"card": 7})
REQUEST = make_plan(tuple(REQUEST_FEATURES))


def request(payment: Payment) -> dict[str, float]:
    values, _ = kernel_vectors(REQUEST, [payment], {})
    return dict(zip(REQUEST.names, values[0].tolist(), strict=True))


def test_what_is_absent_is_missing() -> None:
    values = request(replace(PAYMENT, amount_minor=None))
    assert {name for name, value in values.items() if math.isnan(value)} == {
        *("amount", "mcc", "merchant_country", "card_country", "is_cross_border", "channel")
    }


def test_codes_and_the_amount_come_as_they_are() -> None:
    values = request(replace(PAYMENT, mcc=5411, merchant_country=83, card_country=676, channel=4))
    assert values["amount"] == 10.5
    assert (values["mcc"], values["merchant_country"], values["card_country"]) == (5411, 83, 676)
    assert (values["channel"], values["is_cross_border"]) == (4, 1)
    assert request(replace(PAYMENT, merchant_country=83, card_country=83))["is_cross_border"] == 0


@pytest.mark.parametrize(
    ("after_ms", "is_weekend"), [(-1, 0), (0, 1), (2 * DAY_MS - 1, 1), (2 * DAY_MS, 0), (-54 * 365 * DAY_MS, 0)]
)
def test_the_weekend_is_saturday_and_sunday(after_ms: int, is_weekend: int) -> None:
    assert request(replace(PAYMENT, time_ms=SATURDAY_MS + after_ms))["is_weekend"] == is_weekend


@pytest.mark.parametrize(("after_ms", "is_night"), [(-1, 0), (0, 1), (7 * HOUR_MS - 1, 1), (7 * HOUR_MS, 0)])
def test_the_night_ends_at_seven(after_ms: int, is_night: int) -> None:
    assert request(replace(PAYMENT, time_ms=SATURDAY_MS + after_ms))["is_night"] == is_night


@pytest.mark.parametrize(("offset_minutes", "hour"), [(None, 0), (0, 0), (90, 1), (-60, 23), (-1, 23), (840, 14)])
def test_the_hour_is_local_where_the_offset_is_known(offset_minutes: int | None, hour: int) -> None:
    values = request(replace(PAYMENT, utc_offset_minutes=offset_minutes))
    assert values["hour"] == hour
    assert values["is_night"] == 1  # in UTC, always


def test_a_read_without_a_transaction_has_no_request_features_and_counts_what_is_stored() -> None:
    plan = make_plan(("amount", "is_weekend", "card_count_1h", "card_new_country"))
    stored = histories_of([PAYMENT])
    values, _ = kernel_vectors(plan, [replace(PAYMENT, transaction=0)], stored)
    np.testing.assert_array_equal(values[0], [math.nan, math.nan, 1.0, math.nan])


def test_an_absent_entity_has_no_features_whatever_is_stored() -> None:
    plan = make_plan(("customer_count_1h", "card_count_1h"))
    values, _ = kernel_vectors(plan, [replace(PAYMENT, entities={"card": 7})], histories_of([PAYMENT]))
    np.testing.assert_array_equal(values[0], [math.nan, 1.0])


def test_a_read_behind_what_may_be_trimmed_is_told() -> None:
    plan = make_plan(("card_count_1h",))
    stored = histories_of([PAYMENT])
    asked = [replace(PAYMENT, transaction=2, time_ms=SATURDAY_MS - MINUTE_MS - late_ms) for late_ms in (0, 1)]
    _, statuses = kernel_vectors(plan, asked, stored, slack_ms=MINUTE_MS)
    assert statuses.tolist() == [0, READ_BEFORE_HORIZON]


def test_only_histories_that_the_plan_reads_can_be_behind() -> None:
    asked = replace(PAYMENT, transaction=2, time_ms=SATURDAY_MS - 1, entities={"card": 7, "customer": 8})
    stored = histories_of([PAYMENT])
    for name, status in (("card_count_1h", READ_BEFORE_HORIZON), ("customer_count_1h", 0), ("amount", 0)):
        assert kernel_vectors(make_plan((name,)), [asked], stored, slack_ms=0)[1].tolist() == [status]
