"""What must not change a feature by a single bit: order, copies, trimming, company in a batch, the choice of others."""

from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from feature_service.catalogue import VIEWS
from feature_service.catalogue.definitions import HORIZON_MS
from feature_service.plan import make_plan
from tests.oracle.kernel_calls import kernel_vectors
from tests.oracle.payments import Histories
from tests.oracle.worlds import WORLDS, World, questions

EVERY_NAME = tuple(dict.fromkeys(name for view in VIEWS.values() for name in view.names))
EVERYTHING = make_plan(EVERY_NAME)
PROFILE = settings(max_examples=80, derandomize=True, deadline=None)
SEEDS = st.integers(0, 2**32)


def bits(world: World, histories: Histories) -> bytes:
    return kernel_vectors(EVERYTHING, [world.asked], histories)[0].tobytes()


def rearranged(records: NDArray[np.int64], random: Random) -> NDArray[np.int64]:
    """The same set in another order: reversed, in runs as several sources leave them, or any."""
    order = np.array(random.sample(range(records.shape[0]), k=records.shape[0]), dtype=np.int64)
    shape = random.choice(("reversed", "runs", "any"))
    if shape == "reversed":
        order = np.argsort(records[:, 0], kind="stable")[::-1]
    elif shape == "runs":
        runs = np.array_split(order, random.randint(1, 8))
        order = np.concatenate([run[np.argsort(records[run, 0])] for run in runs])
    return records[order]


@given(world=WORLDS, seed=SEEDS)
@PROFILE
def test_order_of_arrival_and_copies_change_nothing(world: World, seed: int) -> None:
    random = Random(seed)
    changed = {}
    for key, records in world.histories.items():
        copies = records[[random.randrange(records.shape[0]) for _ in range(random.randint(0, 2 * records.shape[0]))]]
        changed[key] = rearranged(np.concatenate([records, copies]), random)
    assert bits(world, changed) == bits(world, world.histories)


@given(world=WORLDS, seed=SEEDS)
@PROFILE
def test_trimming_behind_the_horizon_changes_nothing(world: World, seed: int) -> None:
    draw = np.random.default_rng(seed)
    trimmed = {}
    for key, records in world.histories.items():
        old = records[:, 0] <= world.asked.time_ms - HORIZON_MS
        trimmed[key] = records[~old | (draw.random(records.shape[0]) < draw.choice([0.0, 0.5]))]
    assert bits(world, trimmed) == bits(world, world.histories)


@given(world=WORLDS, seed=SEEDS)
@PROFILE
def test_what_comes_later_changes_nothing(world: World, seed: int) -> None:
    """Neither later events nor labels that were not known yet: a feature as of then stays what it was."""
    known = {}
    for key, records in world.histories.items():
        known[key] = records[(records[:, 0] <= world.asked.time_ms) & (records[:, 3] <= world.asked.time_ms)]
    assert bits(world, known) == bits(world, world.histories)


@given(world=WORLDS, seed=SEEDS)
@PROFILE
def test_a_row_alone_is_the_row_in_a_batch(world: World, seed: int) -> None:
    asked = questions(world, Random(seed))
    together, _ = kernel_vectors(EVERYTHING, asked, world.histories)
    for row, question in enumerate(asked):
        alone, _ = kernel_vectors(EVERYTHING, [question], world.histories)
        assert alone.tobytes() == together[row].tobytes()


@given(world=WORLDS, seed=SEEDS)
@PROFILE
def test_a_feature_does_not_depend_on_which_others_are_chosen(world: World, seed: int) -> None:
    random = Random(seed)
    columns = random.sample(range(len(EVERY_NAME)), k=random.randint(1, 12))
    chosen = make_plan([EVERY_NAME[column] for column in columns])
    whole, _ = kernel_vectors(EVERYTHING, [world.asked], world.histories)
    part, _ = kernel_vectors(chosen, [world.asked], world.histories)
    assert part.tobytes() == whole[:, columns].tobytes()
