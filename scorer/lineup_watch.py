"""A line-up that changes while it is served: noticed, loaded, verified, and taken as a whole or refused as a whole."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from scorer.errors import BundleError, LineupError
from scorer.lineup import Lineup, LineupEntry
from scorer.live_models import LiveModels, ModelShelf, Registry
from scorer.serving import CurrentServing, Serving
from scorer.warm_up import warm_models

# What was refused may become good without a new line-up: bundles are copied while it is there already.
_LOOKS_UNTIL_NEXT_TRIAL: Final = 10


@dataclass(frozen=True, slots=True)
class Taken:
    entry: LineupEntry
    live: LiveModels


@dataclass(frozen=True, slots=True)
class Refused:
    entry: LineupEntry | None  # None: it cannot even be read
    error: BundleError | LineupError
    live: LiveModels | None  # what is served of it all the same, where nothing was before


class LineupWatcher:
    """Takes long after a change; for one thread at a time."""

    def __init__(self, registry: Registry, shelf: ModelShelf) -> None:
        self._registry = registry
        self._shelf = shelf
        self._tried: LineupEntry | None = None
        self._refusal: tuple[LineupEntry | None, str] | None = None  # of what was tried last
        self._looks = 0  # since then
        self._served: LiveModels | None = None

    def look(self) -> Taken | Refused | None:
        """A line-up to serve from now on, or why it cannot be served; None where there is nothing new to say."""
        entry: LineupEntry | None = None
        try:
            entry = self._registry.current()
            if entry is None or not self._is_due(entry):
                return None
            self._tried, self._looks = entry, 0
            if self._served is None or self._served.lineup != entry.lineup:
                self._served = self._shelf.load(entry.lineup)
                self._refusal = None
                self._shelf.keep(entry.lineup.versions)
                return Taken(entry, self._served)
            self._refusal = None
            return None
        except (BundleError, LineupError) as error:
            return self._refused(entry, error)

    def _is_due(self, entry: LineupEntry) -> bool:
        self._looks += 1
        return entry != self._tried or (self._refusal is not None and self._looks >= _LOOKS_UNTIL_NEXT_TRIAL)

    def _refused(self, entry: LineupEntry | None, error: BundleError | LineupError) -> Refused | None:
        """None where it was said already."""
        part = None
        if self._served is None and entry is not None:
            part = self._served = self._part_of(entry.lineup)
        self._shelf.keep(self._served.lineup.versions if self._served else frozenset())
        refusal = entry, str(error)
        if refusal == self._refusal and part is None:
            return None
        self._refusal = refusal
        return Refused(entry, error, part)

    def _part_of(self, lineup: Lineup) -> LiveModels | None:
        """Of a line-up that is refused, where nothing else is served: the champion alone, or the one before it."""
        for version in (lineup.champion, lineup.previous):
            if version is not None:
                try:
                    return self._shelf.load(Lineup(champion=version))
                except (BundleError, LineupError):
                    continue
        return None


class LineupLog(Protocol):
    """Who hears of what became of a line-up."""

    def taken(self, old: Serving, new: Serving, taken: Taken) -> None: ...

    def refused(self, old: Serving, new: Serving, refused: Refused) -> None: ...


async def watch_lineup(
    watcher: LineupWatcher,
    current: CurrentServing,
    changes: LineupLog,
    *,
    keeps_policy: bool,
    tell_health: Callable[[bool], Awaitable[None]],
    period_s: float,
) -> None:
    """For ever. Each group of payments is decided by the old line-up or by the new one.

    `keeps_policy`: the deployment has a policy of its own, whoever is champion.
    """
    while True:
        await asyncio.sleep(period_s)
        found = await asyncio.to_thread(watcher.look)
        if found is None:
            continue
        serving = None
        if found.live is not None:
            serving = await asyncio.to_thread(found.live.serving)
            await warm_models(serving)
        old = current.serving  # not earlier: the policy may have changed meanwhile
        if serving is not None:
            current.serving = replace(serving, decider=old.decider) if keeps_policy else serving
            await tell_health(current.serving.has_model)
        if isinstance(found, Taken):
            changes.taken(old, current.serving, found)
        else:
            changes.refused(old, current.serving, found)
