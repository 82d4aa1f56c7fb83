import io
import json
import logging
import math
import warnings
from collections.abc import Iterator

import pytest
import structlog

from telemetry.logs import configure_logging
from telemetry.redaction import REDACTED, is_card_number

CARD = "4111111111111111"


class Lines(io.StringIO):
    """What was logged: each line parsed, so that a line which is not JSON fails."""

    def parsed(self) -> list[dict[str, object]]:
        return [json.loads(line, parse_constant=_not_json) for line in self.getvalue().splitlines()]

    @property
    def only(self) -> dict[str, object]:
        (line,) = self.parsed()
        return line


def _not_json(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


@pytest.fixture
def lines() -> Iterator[Lines]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = Lines()
    configure_logging("scorer", "info", stream=stream)
    yield stream
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers, root.level = handlers, level
    logging.captureWarnings(capture=False)


def test_a_line_says_when_what_how_bad_and_who(lines: Lines) -> None:
    structlog.get_logger().warning("model refused", model_version="m1")

    assert lines.only | {"timestamp": ""} == {
        "timestamp": "",
        "level": "warning",
        "event": "model refused",
        "service": "scorer",
        "model_version": "m1",
    }
    assert str(lines.only["timestamp"]).endswith("Z")


def test_what_is_bound_to_the_context_is_on_every_line_of_it(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(trace_id="ab" * 16, transaction_id="t-1"):
        structlog.get_logger().info("decided")
        logging.getLogger("aiokafka").info("sent")

    assert [(line["trace_id"], line["transaction_id"]) for line in lines.parsed()] == [("ab" * 16, "t-1")] * 2


def test_the_standard_librarys_loggers_take_the_same_way_out(lines: Lines) -> None:
    logging.getLogger("faust.worker").error("partition %d lost", 3, extra={"topic": "transactions"})

    assert lines.only["event"] == "partition 3 lost"
    assert lines.only["logger"] == "faust.worker"
    assert lines.only["level"] == "error"
    assert lines.only["topic"] == "transactions"
    assert lines.only["service"] == "scorer"


def test_warnings_take_the_same_way_out(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("going away", DeprecationWarning, stacklevel=1)

    assert lines.only["logger"] == "py.warnings"


def test_below_the_level_nothing_is_written(lines: Lines) -> None:
    structlog.get_logger().debug("noise")
    logging.getLogger("aiokafka").debug("noise")

    assert lines.parsed() == []


def test_an_exception_is_one_line_with_its_traceback(lines: Lines) -> None:
    try:
        raise ValueError(f"cannot read {CARD}")
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("grpc").exception("failed")

    for line in lines.parsed():
        assert f"ValueError: cannot read {REDACTED}" in str(line["exception"])


@pytest.mark.parametrize(
    "value",
    [CARD, int(CARD), float(CARD), [CARD], {"nested": {"deep": (int(CARD),)}}, {CARD: 1}, CARD.encode(), {CARD}],
)
def test_a_card_number_never_gets_out(lines: Lines, value: object) -> None:
    structlog.get_logger().info("received", value=value)
    logging.getLogger("aiokafka").info("received %s", value)

    assert CARD not in lines.getvalue()
    assert lines.getvalue().count(REDACTED) >= 2


def test_a_card_number_is_not_hidden_by_the_name_it_goes_under(lines: Lines) -> None:
    log = structlog.get_logger()
    log.info("received", trace_id=CARD, span_id=CARD, event_time_ms=int(CARD), at_us=int(CARD), timestamp=CARD)
    log.info(f"received {CARD}", **{CARD: 1})

    assert CARD not in lines.getvalue()


def test_times_and_trace_ids_are_not_taken_for_card_numbers(lines: Lines) -> None:
    time_ms = next(ms for ms in range(1_700_000_000_000, 1_700_000_000_010) if is_card_number(str(ms)))
    trace_id = f"a{CARD}bcdefabcdefabcd"
    structlog.get_logger().info("received", event_time_ms=time_ms, trace_id=trace_id, other=time_ms)

    assert lines.only["event_time_ms"] == time_ms
    assert lines.only["trace_id"] == trace_id
    assert lines.only["other"] == REDACTED


def test_ordinary_values_keep_their_type(lines: Lines) -> None:
    values = {"count": 3, "share": 0.4111111111111111, "full": True, "none": None, "large": 2**40, "whole": 1e15}
    structlog.get_logger().info("values", **values)

    assert {key: lines.only[key] for key in values} == values


def test_a_number_json_does_not_have_is_written_as_text(lines: Lines) -> None:
    structlog.get_logger().info("values", missing=math.nan, bound=-math.inf)

    assert (lines.only["missing"], lines.only["bound"]) == ("nan", "-inf")
