"""One fault under one deadline: calls at a constant rate, the fault among them, the end of it, the outcome."""

import asyncio
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier
from typing import Final

from loadtests.budgets.answers import Answers
from loadtests.budgets.fault import Fault
from loadtests.budgets.outcome import Outcome
from loadtests.budgets.rig import Rig
from loadtests.calls import Calls, call_on_schedule
from loadtests.figures import BenchError
from loadtests.latency import Latencies, Schedule
from loadtests.score_requests import score_requests
from loadtests.topic_keys import ends_of, keys_in
from scorer.settings import ScorerSettings

_ECHO_SHARE: Final = 0.2  # of the rate, called beside
_PREPARED_WITHIN_S: Final = 60.0
_BEFORE_S: Final = 1.0  # calls, before the fault
_PUBLISHED_WITHIN_S: Final = 60.0
DEFAULT_MS: Final[float] = ScorerSettings.model_fields["score_budget_ms"].default


def inject(fault: Fault, rig: Rig, *, deadline_ms: float | None, rate_per_s: float, seconds: float) -> Outcome:
    """`deadline_ms`: of the callers; None leaves it to the scorer.

    The fault lasts for `seconds` of calls; what ends it is not among them, since it takes the processors too.
    Raises: BenchError.
    """
    prefix = f"{fault.name}-{deadline_ms}-".replace(" ", "-")  # of the transactions' ids
    topic, connection = rig.topics.decisions, rig.context.connection
    schedule = Schedule.lasting(_BEFORE_S + seconds, rate_per_s=rate_per_s)
    beside = Schedule.lasting(_BEFORE_S + seconds, rate_per_s=_ECHO_SHARE * rate_per_s)
    timeout_s = None if deadline_ms is None else deadline_ms / 1_000
    requests = score_requests(rig.given, schedule.count, prefix=prefix, timeout_s=timeout_s)
    rig.until_full(f"{prefix}before-")
    published_before = asyncio.run(ends_of(connection, topic))
    with ThreadPoolExecutor(2) as callers, ExitStack() as during:
        together = Barrier(3, timeout=_PREPARED_WITHIN_S)
        calling = callers.submit(call_on_schedule, rig.score, requests, schedule, together=together)
        echoing = callers.submit(call_on_schedule, rig.echo, requests[: beside.count], beside, together=together)
        together.wait()
        time.sleep(_BEFORE_S)
        during.enter_context(fault.inject(rig))
        begun_s = time.monotonic()
        calls, echo = calling.result(), echoing.result()
        during.close()
        ended_s = time.monotonic()
    full_again_s = rig.until_full(f"{prefix}after-") - ended_s
    if not calls.responses:
        raise BenchError(f"no call was answered: {dict(calls.refusals)}")
    answers = Answers.of(calls.responses)
    ids = answers.to_be_published
    looking = keys_in(
        connection, topic, lambda found: found >= ids, patience_s=_PUBLISHED_WITHIN_S, since=published_before
    )
    published = asyncio.run(looking)
    allowed_ms = DEFAULT_MS if deadline_ms is None else deadline_ms
    return Outcome(
        fault=fault.name,
        deadline_ms=allowed_ms,
        of_the_caller=deadline_ms is not None,
        calls=schedule.count,
        refusals=dict(calls.refusals),
        server=Latencies.of(answers.took_s),
        client=Latencies.of(calls.latencies_s),
        echo=Latencies.of(echo.latencies_s),
        echo_refusals=dict(echo.refusals),
        tiers=dict(_tiers_since(begun_s, calls, answers)),
        expected_tier="FULL" if allowed_ms >= fault.full_from_ms else "DEGRADED_NO_FEATURES",
        skipped=dict(answers.skipped),
        contradictions=dict(answers.contradictions),
        unpublished=len(ids - published),
        full_again_s=full_again_s,
    )


def _tiers_since(begun_s: float, calls: Calls, answers: Answers) -> Counter[str]:
    """Of answers to calls made since then."""
    starts_s = calls.started_s[calls.succeeded]
    return Counter(tier for tier, start_s in zip(answers.tiers, starts_s, strict=True) if start_s >= begun_s)
