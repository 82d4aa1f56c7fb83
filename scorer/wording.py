"""Words for what a feature's value says, made from the feature's definition."""

from typing import Final

from feature_service.catalogue.definitions import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    Aggregate,
    Derived,
    Feature,
    Input,
    Operation,
    RequestFeature,
    Statistic,
)
from scorer.phrase import Format, Phrase, duration, money, number, percent


def phrase(feature: Feature) -> Phrase:
    """Raises: ValueError for a definition that there are no words for."""
    if isinstance(feature, RequestFeature):
        return _REQUEST[feature.name]
    return _of_aggregate(feature) if isinstance(feature, Aggregate) else _of_derived(feature)


def _country(code: float) -> str:
    """Undoes 1 + 26 * first + second letter."""
    first, second = divmod(int(code) - 1, 26)
    return chr(ord("A") + first) + chr(ord("A") + second)


_CHANNELS: Final = (
    "an unknown channel",
    "chip",
    "contactless",
    "magnetic stripe",
    "e-commerce",
    "mail or phone",
    "ATM",
)


def _channel(code: float) -> str:
    return _CHANNELS[int(code)] if 0 <= code < len(_CHANNELS) else f"channel {code:.0f}"


def _flag(yes: str, no: str, missing: str) -> Phrase:
    return Phrase(yes, missing, number, has_usual=False, zero=no)


def _category(template: str, missing: str, format: Format) -> Phrase:  # noqa: A002  # the field's name
    return Phrase(template, missing, format, has_usual=False)


_REQUEST: Final = {
    "amount": Phrase("amount {}", "amount not known in the base currency", money),
    "is_weekend": _flag("on a weekend", "not on a weekend", "day not known"),
    "is_night": _flag("at night", "not at night", "time of day not known"),
    "hour": _category("in the hour from {}", "time of day not known", lambda hour: f"{hour:02.0f}:00"),
    "mcc": _category("merchant category {}", "merchant category not known", lambda mcc: f"{mcc:04.0f}"),
    "merchant_country": _category("merchant in {}", "merchant's country not known", _country),
    "card_country": _category("card from {}", "card's country not known", _country),
    "is_cross_border": _flag("abroad for this card", "in the card's own country", "whether abroad not known"),
    "channel": _category("paid by {}", "channel not known", _channel),
}
_BY_ENTITY: Final = {
    "customer": "by this customer",
    "card": "with this card",
    "merchant": "at this merchant",
    "terminal": "at this terminal",
    "device": "from this device",
    "ip": "from this IP address",
}
_BY_COUNTERPART: Final = _BY_ENTITY | {"country": "in this country"}
_PLURAL: Final = {"country": "countries"}
_INPUTS: Final = {
    Input.ATTEMPTS: "payment",
    Input.APPROVED: "approved payment",
    Input.DECLINED: "declined payment",
    Input.CAPTURES: "capture",
    Input.REVERSALS: "reversal",
    Input.REFUNDS: "refund",
}
_AMOUNTS: Final = {
    Statistic.AMOUNT_SUM: "total",
    Statistic.AMOUNT_MEAN: "mean amount",
    Statistic.AMOUNT_STD: "spread of amounts",
    Statistic.AMOUNT_MIN: "smallest amount",
    Statistic.AMOUNT_MAX: "largest amount",
}


def _of_aggregate(feature: Aggregate) -> Phrase:
    one, where = _one(feature), f"{_BY_ENTITY[feature.entity]} {_period(feature)}"
    many = f"{one}s"
    previous = f"since the previous {_INPUTS[feature.input]} {_BY_ENTITY[feature.entity]}"
    match feature.statistic:
        case Statistic.COUNT:
            return _counted(f"{one} {where}", f"{many} {where}")
        case Statistic.FRAUD_COUNT:
            return _counted(f"known fraud {where}", f"known frauds {where}")
        case Statistic.FRAUD_RATE:
            return _valued("fraud rate", f"among {many} {where}", percent)
        case Statistic.DISTINCT:
            several = _PLURAL.get(feature.of, f"{feature.of}s")
            return _counted(f"{feature.of} in {many} {where}", f"different {several} in {many} {where}")
        case Statistic.SAME:
            same = f"{_BY_COUNTERPART[feature.of]} and {where}"
            return _counted(f"{one} {same}", f"{many} {same}")
        case Statistic.SECONDS_SINCE_PREVIOUS:
            return Phrase(f"{{}} {previous}", f"no time known {previous}", duration)
        case Statistic.TRAVEL_SPEED_KMH:
            return Phrase(f"travelling at {{}} km/h {previous}", f"no speed known {previous}", number)
        case _:
            return _valued(_AMOUNTS[feature.statistic], f"of {many} {where}", money)


def _of_derived(feature: Derived) -> Phrase:
    match feature.operation, feature.operands:
        case Operation.RATIO, (RequestFeature("amount"), Aggregate(statistic=Statistic.AMOUNT_MEAN) as mean):
            of = _words_of_mean(mean)
            return Phrase(f"amount is {{}} times the {of}", f"no {of} to compare the amount with", number)
        case Operation.RATIO, (
            Aggregate(statistic=Statistic.COUNT) as part,
            Aggregate(statistic=Statistic.COUNT) as of,
        ):
            all_of = f"{_one(of)}s {_BY_ENTITY[of.entity]} {_period(of)}"
            return Phrase(f"{{}} of the {all_of} came {_period(part)}", f"no {all_of}", percent)
        case Operation.Z_SCORE, (RequestFeature("amount"), Aggregate(statistic=Statistic.AMOUNT_MEAN) as mean, _):
            of = _words_of_mean(mean)
            return Phrase(
                f"amount is {{}} standard deviations from the {of}", f"no {of} to compare the amount with", number
            )
        case Operation.IS_ZERO, (Aggregate(statistic=Statistic.SAME) as same,):
            seen = f"{_one(same)} {_BY_ENTITY[same.entity]} and {_BY_COUNTERPART[same.of]} {_period(same)}"
            return _flag(f"no {seen}", f"some {seen}", f"{same.of} not known")
        case _:
            raise ValueError(f"no words for {feature.definition}")


def _one(feature: Aggregate) -> str:
    """Of the records counted, in the singular."""
    return _INPUTS[feature.input] if feature.include_current else f"other {_INPUTS[feature.input]}"


def _counted(one: str, many: str) -> Phrase:
    return Phrase(f"{{}} {many}", f"{many} not known", number, singular=f"{{}} {one}")


def _valued(what: str, of: str, format: Format) -> Phrase:  # noqa: A002  # the field's name
    return Phrase(f"{what} {{}} {of}", f"{what} {of} not known", format)


def _words_of_mean(mean: Aggregate) -> str:
    return f"mean amount of {_one(mean)}s {_BY_ENTITY[mean.entity]} {_period(mean)}"


def _period(feature: Aggregate) -> str:
    length = _span(feature.window_ms)
    if feature.delay_ms:
        return f"in the {length} up to {_span(feature.delay_ms, one='one ')} ago"
    return f"in the last {length}"


def _span(duration_ms: int, one: str = "") -> str:
    for size_ms, unit in ((DAY_MS, "day"), (HOUR_MS, "hour"), (MINUTE_MS, "minute")):
        if duration_ms % size_ms == 0:
            count = duration_ms // size_ms
            return f"{one}{unit}" if count == 1 else f"{count} {unit}s"
    raise ValueError(f"no words for {duration_ms} ms")
