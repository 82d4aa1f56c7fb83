"""JSON logs on standard output, one object a line: timestamp, level, event, service, and what is bound.

Services bind `trace_id`, `transaction_id` and `model_version` where they know them (`structlog.contextvars` or
`logger.bind`). The standard library's loggers (Faust, aiokafka, gRPC, the OpenTelemetry SDK) take the same way out. No
line leaves with a card number in it, wherever in it that stood: in a key, a value, a message or an exception.
"""

import json
import logging
import math
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from telemetry.redaction import redact_card_numbers

Level = Literal["debug", "info", "warning", "error"]

_encode: Final = json.JSONEncoder().encode  # `json.dumps` with arguments makes an encoder for every line
_REMEMBERED_KEYS: Final = 256
_COLLECTIONS: Final = (list, tuple, set, frozenset)
_ID_KEYS: Final = ("trace_id", "span_id")
_HEXADECIMAL_ID: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{16}")
_TIME_DIGITS: Final = {"_ms": 13, "_us": 16, "_ns": 19}


def configure_logging(service: str, level: Level, *, stream: TextIO | None = None) -> None:
    """Replace every handler of the root logger and structlog's configuration by JSON lines to `stream` (stdout)."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _service_adder(service),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    last: list[Processor] = [redact_event, _render]
    threshold = logging.getLevelNamesMapping()[level.upper()]
    out = stream if stream is not None else sys.stdout
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(threshold)
    logging.captureWarnings(capture=True)


def redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Structlog processor: the same event without card numbers. What JSON does not know becomes its `repr` first."""
    return {
        _redacted_key(key): redact_card_numbers(value)  # without a detour, since most are text
        if type(value) is str and key not in _ID_KEYS
        else _redacted(str(key), value)
        for key, value in event.items()
    }


@lru_cache(_REMEMBERED_KEYS, typed=True)  # lines have the same again and again; typed: True is not 1
def _redacted_key(key: object) -> str:
    return redact_card_numbers(str(key))


def _redacted(key: str, value: object) -> object:
    if isinstance(value, str):
        return value if key in _ID_KEYS and _is_trace_id(value) else redact_card_numbers(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return _redacted_float(value)
    if isinstance(value, int):
        digits = str(value)
        redacted = redact_card_numbers(digits)
        return value if redacted == digits or _is_time(key, digits) else redacted
    if isinstance(value, _COLLECTIONS):
        return [_redacted(key, item) for item in value]
    if isinstance(value, Mapping):
        return {_redacted_key(name): _redacted(str(name), item) for name, item in value.items()}
    return redact_card_numbers(repr(value))


def _redacted_float(value: float) -> float | str:
    if not math.isfinite(value):
        return str(value)  # JSON has no NaN and no infinity
    if not value.is_integer():
        return value  # the digits of a fraction are not a card number
    digits = str(int(value))
    redacted = redact_card_numbers(digits)
    return value if redacted == digits else redacted


def _is_trace_id(value: str) -> bool:
    # One hexadecimal trace id in a thousand holds a run of digits that looks like a card number.
    return _HEXADECIMAL_ID.fullmatch(value) is not None and not value.isdigit()


def _is_time(key: str, digits: str) -> bool:
    # Until 2033 a Unix time begins with 1, and no card number of these lengths does.
    return digits[0] == "1" and len(digits) == _TIME_DIGITS.get(key[-3:])


def _render(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return _encode(event)


def _service_adder(service: str) -> Processor:
    def add_service(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    return add_service
