"""The bundles of a line-up, loaded and verified; those of the one before it stay as long as they have a role."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from scorer.bundle import Bundle
from scorer.bundle_trial import load_after_trial
from scorer.canary import Split
from scorer.errors import BundleError, BundleHashError, BundleMissingError, LineupError
from scorer.lineup import Lineup, LineupEntry
from scorer.serving import Serving, serve

log = structlog.get_logger(__name__)


class Registry(Protocol):
    """Where line-ups and bundles come from. For any thread."""

    def current(self) -> LineupEntry | None:
        """None: there has been none yet. Raises: LineupError."""
        ...

    def bundle(self, version: str) -> Path:
        """A folder of this machine, which may not be there. Raises: LineupError."""
        ...


@dataclass(frozen=True, slots=True)
class LiveModels:
    lineup: Lineup
    champion: Bundle
    canary: Bundle | None
    shadows: tuple[Bundle, ...]

    def serving(self) -> Serving:
        """By the champion's own policy."""
        canary = None
        if self.canary is not None and self.lineup.canary is not None:
            canary = self.canary, Split(self.lineup.canary.share, self.lineup.canary.salt)
        return serve(self.champion, canary=canary, challengers=self.shadows)


class ModelShelf:
    """Not for concurrent use by threads. Loading takes long."""

    def __init__(self, registry: Registry, *, load: Callable[[Path], Bundle] = load_after_trial) -> None:
        self._registry = registry
        self._load = load
        self._loaded: dict[str, Bundle] = {}

    def load(self, lineup: Lineup) -> LiveModels:
        """All of it or nothing. Raises: BundleError, LineupError, whose message names the model's version."""
        canary = None if lineup.canary is None else self._of(lineup.canary.version)
        live = LiveModels(lineup, self._of(lineup.champion), canary, tuple(map(self._of, lineup.shadows)))
        if lineup.previous is not None:
            try:
                self._of(lineup.previous)
            except (BundleError, LineupError) as error:
                # Who is served does not hang on who was: only the way back takes longer, if there is one.
                log.warning("the previous champion is not ready", kind=type(error).__name__, error=str(error))
        return live

    def keep(self, versions: frozenset[str]) -> None:
        """Forget all others: their memory is free when the last payment that they decide is answered."""
        self._loaded = {version: bundle for version, bundle in self._loaded.items() if version in versions}

    def _of(self, version: str) -> Bundle:
        if version not in self._loaded:
            try:
                bundle = self._load(self._registry.bundle(version))
            except BundleError as error:
                raise type(error)(f"{version}: {error}") from error
            except OSError as error:
                raise BundleMissingError(f"{version}: its bundle cannot be read: {error}") from error
            if bundle.manifest.model_version != version:
                raise BundleHashError(f"{version}: its folder holds model_version {bundle.manifest.model_version}")
            self._loaded[version] = bundle
        return self._loaded[version]
