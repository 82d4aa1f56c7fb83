"""What is seen of the scorer's work from outside: counts, times, spans, and a log line for what is out of the ordinary."""

from collections import Counter
from collections.abc import Sequence

import structlog

from scorer.decision_writer import StageTimes
from scorer.payments import Marks
from scorer.policy import Tier
from scorer.spans import Scored, ScoreSpans
from telemetry.metrics import Metrics
from telemetry.metric_names import Label

log = structlog.get_logger(__name__)

_US_PER_S = 1_000_000
