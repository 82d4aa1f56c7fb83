"""The models that a scorer serves: one bundle, or a registry's line-up; kept up to date, and on record."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

import structlog

from scorer.change_records import ChangeRecords
from scorer.first_serving import FirstServing, of_bundle, of_registry
from scorer.lineup_audit import LineupAudit
from scorer.lineup_watch import watch_lineup
from scorer.policy import Decider
from scorer.policy_watch import PolicyLog
from scorer.registry import FolderRegistry
from scorer.serving import CurrentServing
from scorer.settings import ScorerSettings
from telemetry.metrics import Metrics

_PERIOD_S: Final = 1.0

log = structlog.get_logger(__name__)


def first_models(settings: ScorerSettings, deployment: Decider | None) -> FirstServing:
    """Raises: BundleError, LineupError; only the second may pass by waiting."""
    if settings.models_dir is not None:
        return of_registry(FolderRegistry(settings.models_dir), deployment)
    assert settings.model_dir is not None  # the settings see to it that one is given
    return of_bundle(settings.model_dir, now_ms=time.time_ns() // 1_000_000)


async def serve_models(
    stack: AsyncExitStack,
    first: FirstServing,
    current: CurrentServing,
    records: ChangeRecords,
    policies: PolicyLog,
    *,
    keeps_policy: bool,
    tell_health: Callable[[bool], Awaitable[None]],
    metrics: Metrics,
) -> None:
    """From now on, and what the registry says later on, until `stack` is left. As `watch_lineup`."""
    audit = LineupAudit(records, policies, metrics)
    audit.started(first.serving, first.found)
    await tell_health(first.serving.has_model)
    if first.watcher is not None:
        watching = asyncio.create_task(
            watch_lineup(
                first.watcher,
                current,
                audit,
                keeps_policy=keeps_policy,
                tell_health=tell_health,
                period_s=_PERIOD_S,
            )
        )
        watching.add_done_callback(_tell_end)
        stack.callback(watching.cancel)


def _tell_end(watching: "asyncio.Task[None]") -> None:
    if not watching.cancelled():
        log.critical("the line-up is not looked at any more: restart this scorer", error=repr(watching.exception()))
