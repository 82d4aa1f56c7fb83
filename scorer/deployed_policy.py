"""The policy that a scorer serves: the deployment's file, or else its bundle's own; kept up to date, and on record."""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from random import Random
from typing import Final

import structlog

from feature_service.identity import IdKey
from scorer.audit import PolicyAudit, RecordPublisher
from scorer.policy import Decider
from scorer.policy_file import LoadedPolicy, load_policy
from scorer.policy_watch import PolicyWatcher, watch_policy
from scorer.serving import CurrentServing
from scorer.settings import ScorerSettings
from telemetry.metrics import Metrics

_PERIOD_S: Final = 1.0

log = structlog.get_logger(__name__)


def first_policy(settings: ScorerSettings, id_key: IdKey, of_bundle: Decider) -> LoadedPolicy:
    """Raises: PolicyError."""
    return LoadedPolicy(of_bundle) if settings.policy_file is None else load_policy(settings.policy_file, id_key)


def serve_policy(
    stack: AsyncExitStack,
    policy: LoadedPolicy,
    current: CurrentServing,
    publisher: RecordPublisher,
    *,
    settings: ScorerSettings,
    id_key: IdKey,
    metrics: Metrics,
    random: Random,
) -> None:
    """From now on, and what its file says later on, until `stack` is left."""
    audit = PolicyAudit(
        publisher,
        metrics,
        random,
        topic=settings.audit_topic,
        instance=settings.instance,
        unix_ms=lambda: time.time_ns() // 1_000_000,
    )
    current.serving = replace(current.serving, decider=policy.decider)
    audit.started(policy)
    if settings.policy_file is not None:
        watcher = PolicyWatcher(settings.policy_file, id_key, policy.decider)
        watching = asyncio.create_task(watch_policy(watcher, current, audit, period_s=_PERIOD_S))
        watching.add_done_callback(_tell_end)
        stack.callback(watching.cancel)


def _tell_end(watching: "asyncio.Task[None]") -> None:
    if not watching.cancelled():
        log.critical("the policy is not looked at any more: restart this scorer", error=repr(watching.exception()))
