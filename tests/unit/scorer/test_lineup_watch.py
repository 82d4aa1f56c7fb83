"""A watcher on a registry in memory: what it takes, what it refuses, and what it keeps."""

import asyncio
import gc
import weakref
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from scorer.bundle import Bundle, load_bundle
from scorer.errors import BundleHashError, BundleMissingError, GoldenRowError, LineupError
from scorer.lineup import CanaryRole, Lineup, LineupEntry
from scorer.lineup_watch import LineupWatcher, Refused, Taken, watch_lineup
from scorer.live_models import ModelShelf
from scorer.policy import Decider
from scorer.serving import CurrentServing, Serving, serve

A, B, C, D = (digit * 12 for digit in "abcd")


@dataclass
class Models:
    """A `Registry`, and what loads its bundles."""

    bundle_read: Bundle
    lineup: Lineup | None = None
    number: int = 0
    faults: dict[str, Exception] = field(default_factory=dict)
    loaded: list[str] = field(default_factory=list)

    def set(self, lineup: Lineup) -> None:
        self.lineup, self.number = lineup, self.number + 1

    def current(self) -> LineupEntry | None:
        if "" in self.faults:
            raise self.faults[""]
        if self.lineup is None:
            return None
        return LineupEntry(number=self.number, changed_at_ms=1, words="as set", lineup=self.lineup)

    def bundle(self, version: str) -> Path:
        return Path(version)

    def load(self, path: Path) -> Bundle:
        self.loaded.append(path.name)
        if path.name in self.faults:
            raise self.faults[path.name]
        manifest = self.bundle_read.manifest.model_copy(update={"model_version": path.name})
        return replace(self.bundle_read, manifest=manifest)


@pytest.fixture
def models(bundle_path: Path) -> Models:
    return Models(load_bundle(bundle_path))


@pytest.fixture
def watcher(models: Models) -> LineupWatcher:
    return LineupWatcher(models, ModelShelf(models, load=models.load))


def taken(watcher: LineupWatcher) -> Taken:
    found = watcher.look()
    assert isinstance(found, Taken)
    return found


def refused(watcher: LineupWatcher) -> Refused:
    found = watcher.look()
    assert isinstance(found, Refused)
    return found


def test_without_a_line_up_there_is_nothing_to_say(watcher: LineupWatcher) -> None:
    assert watcher.look() is None


def test_a_line_up_is_taken_once_with_all_its_models(models: Models, watcher: LineupWatcher) -> None:
    models.set(
        Lineup(champion=A, canary=CanaryRole(version=B, share=0.2, salt="s"), shadows=(C,), previous=D)
    )  # fmt: skip
    serving = taken(watcher).live.serving()
    assert sorted(models.loaded) == [A, B, C, D]
    assert serving.models.full.model_version == A
    assert serving.canary is not None
    assert serving.canary.models.full.model_version == B
    assert serving.canary.split.share == 0.2
    assert [each.model_version for each in serving.challengers] == [C]
    assert watcher.look() is None


def test_the_way_back_loads_nothing(models: Models, watcher: LineupWatcher) -> None:
    models.set(Lineup(champion=A))
    taken(watcher)
    models.set(Lineup(champion=A).promoted(B))
    taken(watcher)
    models.loaded.clear()
    models.set(Lineup(champion=A, previous=B))
    assert taken(watcher).live.champion.manifest.model_version == A
    assert models.loaded == []


def test_models_without_a_role_are_let_go(models: Models, watcher: LineupWatcher) -> None:
    models.set(Lineup(champion=A))
    gone = weakref.ref(taken(watcher).live.champion.manifest)
    models.set(Lineup(champion=C, previous=B))
    taken(watcher)
    gc.collect()
    assert gone() is None


def test_one_bad_model_refuses_the_whole_line_up_and_the_old_one_stays(models: Models, watcher: LineupWatcher) -> None:
    models.set(Lineup(champion=A))
    taken(watcher)
    models.faults[C] = GoldenRowError("golden row 3")
    models.set(Lineup(champion=B, shadows=(C,), previous=A))
    found = refused(watcher)
    assert isinstance(found.error, GoldenRowError)
    assert str(found.error) == f"{C}: golden row 3"
    assert found.live is None
    assert watcher.look() is None


def test_what_was_refused_is_tried_again_and_said_once(models: Models, watcher: LineupWatcher) -> None:
    models.set(Lineup(champion=A))
    taken(watcher)
    models.faults[B] = BundleMissingError("on its way")
    models.set(Lineup(champion=B, previous=A))
    refused(watcher)
    assert [watcher.look() for _ in range(50)] == [None] * 50
    assert models.loaded.count(B) > 2
    del models.faults[B]
    found = [each for each in (watcher.look() for _ in range(20)) if each is not None]
    assert [type(each) for each in found] == [Taken]


def test_a_refused_line_up_that_is_taken_back_is_no_change(models: Models, watcher: LineupWatcher) -> None:
    models.set(Lineup(champion=A))
    taken(watcher)
    models.faults[B] = BundleMissingError("gone")
    models.set(Lineup(champion=B))
    refused(watcher)
    models.set(Lineup(champion=A))
    assert watcher.look() is None


def test_a_bundle_under_another_models_name_is_refused(models: Models) -> None:
    models.set(Lineup(champion=A))
    watcher = LineupWatcher(models, ModelShelf(models, load=lambda path: models.bundle_read))
    found = refused(watcher)
    assert isinstance(found.error, BundleHashError)


def test_a_registry_that_cannot_be_read_changes_nothing(models: Models, watcher: LineupWatcher) -> None:
    models.set(Lineup(champion=A))
    taken(watcher)
    models.faults[""] = LineupError("lineup.json: not JSON")
    assert refused(watcher).entry is None
    assert watcher.look() is None
    del models.faults[""]
    assert watcher.look() is None


def test_a_missing_way_back_does_not_hold_up_who_is_champion(models: Models, watcher: LineupWatcher) -> None:
    models.faults[B] = BundleMissingError("deleted")
    models.set(Lineup(champion=A, previous=B))
    assert taken(watcher).live.champion.manifest.model_version == A


@pytest.mark.parametrize(("bad", "served"), [((B,), A), ((A,), C), ((A, C), None)])
def test_at_the_start_the_best_that_can_be_is_served(
    models: Models, watcher: LineupWatcher, bad: tuple[str, ...], served: str | None
) -> None:
    for version in bad:
        models.faults[version] = BundleMissingError("gone")
    models.set(Lineup(champion=A, shadows=(B,), previous=C))
    live = refused(watcher).live
    assert (None if live is None else live.champion.manifest.model_version) == served
    if live is not None:
        assert not live.shadows
    models.faults.clear()
    found = [each for each in (watcher.look() for _ in range(20)) if each is not None]
    assert [each.entry.lineup.champion for each in found if isinstance(each, Taken)] == [A]


@dataclass
class Heard:
    """`LineupLog`."""

    said: "asyncio.Queue[tuple[Serving, Serving, Taken | Refused]]" = field(default_factory=asyncio.Queue)

    def taken(self, old: Serving, new: Serving, taken: Taken) -> None:
        self.said.put_nowait((old, new, taken))

    def refused(self, old: Serving, new: Serving, refused: Refused) -> None:
        self.said.put_nowait((old, new, refused))


@pytest.mark.parametrize("keeps_policy", [True, False])
async def test_what_is_served_is_replaced_as_a_whole_under_the_policy_of_the_deployment_if_it_has_one(
    models: Models, watcher: LineupWatcher, keeps_policy: bool
) -> None:
    deployed = Decider(models.bundle_read.decider.policy.model_copy(update={"amount_when_missing_minor": 1}))
    models.set(Lineup(champion=A))
    taken(watcher)
    current = CurrentServing(replace(serve(models.bundle_read), decider=deployed))
    heard, health = Heard(), []

    async def tell(is_serving: bool) -> None:
        health.append(is_serving)

    watching = asyncio.create_task(
        watch_lineup(watcher, current, heard, keeps_policy=keeps_policy, tell_health=tell, period_s=0.01)
    )
    try:
        models.set(Lineup(champion=B, previous=A))
        old, new, _ = await heard.said.get()
        assert (old.decider, current.serving) == (deployed, new)
        assert new.models.full.model_version == B
        assert (new.decider is deployed) == keeps_policy
        assert health == [True]
        models.faults[C] = GoldenRowError("off")
        models.set(Lineup(champion=C, previous=B))
        old, new, found = await heard.said.get()
        assert old is new is current.serving
        assert isinstance(found, Refused)
    finally:
        watching.cancel()
