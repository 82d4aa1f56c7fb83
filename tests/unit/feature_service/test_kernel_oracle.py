"""The kernel gives what the definitions say, for every feature of every view."""

import math

import pytest
from hypothesis import given, settings

from feature_service.catalogue import VIEWS
from feature_service.catalogue.definitions import Aggregate, Derived, Feature, Statistic
from feature_service.plan import Plan, make_plan
from tests.oracle.features import feature_vector
from tests.oracle.kernel_calls import kernel_vectors
from tests.oracle.worlds import LARGE_WORLDS, SMALL_WORLDS, World

PLANS = {name: make_plan(view.names) for name, view in VIEWS.items()}
PROFILE = settings(max_examples=60, derandomize=True, deadline=None)


def tolerance(feature: Feature) -> tuple[float, float]:
    """Relative and absolute. Squares and trigonometry are floating point; everything else is exact."""
    if isinstance(feature, Derived):
        return max(tolerance(operand) for operand in feature.operands)
    if isinstance(feature, Aggregate):
        inexact = {Statistic.AMOUNT_STD: (1e-9, 0.0), Statistic.TRAVEL_SPEED_KMH: (1e-8, 1e-6)}
        return inexact.get(feature.statistic, (0.0, 0.0))
    return 0.0, 0.0


def check(name: str, world: World) -> None:
    plan: Plan = PLANS[name]
    values, statuses = kernel_vectors(plan, [world.asked], world.histories)
    assert statuses.tolist() == [0]
    expected = feature_vector(VIEWS[name].features, world.asked, world.payments, world.labels)
    for feature, value, right in zip(VIEWS[name].features, values[0].tolist(), expected, strict=True):
        if right is None:
            assert math.isnan(value), f"{feature.name} is missing, not {value}"
        else:
            relative, absolute = tolerance(feature)
            assert abs(value - right) <= max(relative * abs(right), absolute), f"{feature.name} is {right}, not {value}"


@pytest.mark.parametrize("name", VIEWS)
@given(world=SMALL_WORLDS)
@PROFILE
def test_of_few_records_every_feature_is_what_its_definition_says(name: str, world: World) -> None:
    check(name, world)


@pytest.mark.parametrize("name", VIEWS)
@given(world=LARGE_WORLDS)
@PROFILE
def test_of_many_records_every_feature_is_what_its_definition_says(name: str, world: World) -> None:
    check(name, world)
