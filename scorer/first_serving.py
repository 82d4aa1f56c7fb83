"""What a scorer begins with: the best it can serve of what is there, since an answer by rules beats none."""

from dataclasses import dataclass
from pathlib import Path

from scorer.bundle import load_bundle, load_policy_alone
from scorer.errors import BundleError, LineupError
from scorer.lineup import Lineup, LineupEntry
from scorer.lineup_watch import LineupWatcher, Refused, Taken
from scorer.live_models import LiveModels, ModelShelf, Registry
from scorer.policy import Decider
from scorer.serving import Serving, serve_rules_alone


@dataclass(frozen=True, slots=True)
class FirstServing:
    serving: Serving
    found: Taken | Refused
    watcher: LineupWatcher | None  # None: it stays as it is


def of_bundle(path: Path, *, now_ms: int) -> FirstServing:
    """A line-up of one. Raises: BundleError."""
    bundle = load_bundle(path)
    lineup = Lineup(champion=bundle.manifest.model_version)
    entry = LineupEntry(number=1, changed_at_ms=now_ms, words=f"serve {lineup.champion}", lineup=lineup)
    live = LiveModels(lineup, bundle, None, ())
    return FirstServing(live.serving(), Taken(entry, live), None)


def of_registry(registry: Registry, deployment: Decider | None) -> FirstServing:
    """The line-up; where it is refused its champion alone, else the champion before, else rules alone.

    Rules are those of `deployment`, its policy if it has one, else of the champion's bundle or of the one before: a
    policy may be whole where models are not. Raises: LineupError where there is neither a model nor a policy.
    """
    watcher = LineupWatcher(registry, ModelShelf(registry))
    found = watcher.look()
    if found is None:
        raise LineupError(
            "the registry has no line-up: `fraudctl models add` a bundle and `fraudctl models promote` it"
        )
    if found.live is not None:
        return FirstServing(found.live.serving(), found, watcher)
    assert isinstance(found, Refused)
    decider = deployment or _policy_left(registry, found)
    return FirstServing(serve_rules_alone(decider), found, watcher)


def _policy_left(registry: Registry, refused: Refused) -> Decider:
    lineup = None if refused.entry is None else refused.entry.lineup
    for version in () if lineup is None else (lineup.champion, lineup.previous):
        if version is not None:
            try:
                return load_policy_alone(registry.bundle(version))
            except (BundleError, LineupError, OSError):
                continue
    raise LineupError(f"neither a model nor a policy can be served: {refused.error}") from refused.error
