"""The policy that a scorer serves: the deployment's file, or else its bundle's own; kept up to date, and on record."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

import structlog

from feature_service.identity import IdKey
from scorer.audit import PolicyAudit
from scorer.change_records import ChangeRecords
from scorer.policy_file import LoadedPolicy, load_policy
from scorer.policy_watch import PolicyWatcher, watch_policy
from scorer.serving import CurrentServing
from scorer.settings import ScorerSettings
from telemetry.metrics import Metrics

_PERIOD_S: Final = 1.0

log = structlog.get_logger(__name__)


def deployed_policy(settings: ScorerSettings, id_key: IdKey) -> LoadedPolicy | None:
    """None: it has none of its own. Raises: PolicyError."""
    return None if settings.policy_file is None else load_policy(settings.policy_file, id_key)


def serve_policy(
    stack: AsyncExitStack,
    policy: LoadedPolicy,
    current: CurrentServing,
    records: ChangeRecords,
    *,
    settings: ScorerSettings,
    id_key: IdKey,
    metrics: Metrics,
) -> PolicyAudit:
    """From now on, and what its file says later on, until `stack` is left."""
    audit = PolicyAudit(records, metrics)
    current.serving = replace(current.serving, decider=policy.decider)
    audit.started(policy)
    if settings.policy_file is not None:
        watcher = PolicyWatcher(settings.policy_file, id_key, policy.decider)
        watching = asyncio.create_task(watch_policy(watcher, current, audit, period_s=_PERIOD_S))
        watching.add_done_callback(_tell_end)
        stack.callback(watching.cancel)
    return audit


def _tell_end(watching: "asyncio.Task[None]") -> None:
    if not watching.cancelled():
        log.critical("the policy is not looked at any more: restart this scorer", error=repr(watching.exception()))
