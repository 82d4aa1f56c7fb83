"""Feature definitions as the arrays that the kernel walks: one pass per lane, snapshots where windows end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue import features
from feature_service.catalogue.definitions import (
    EXACT_MEMBERS,
    REQUEST_FEATURES,
    Aggregate,
    Derived,
    Feature,
    RequestFeature,
    Statistic,
)
from feature_service.records import COUNTERPARTS, ENTITIES, ENTITY_INDEX

COUNTRY_ATTRIBUTE: Final = 3  # after the three counterpart slots


class LaneKind(IntEnum):
    MOMENTS = 0
    DISTINCT = 1
    SAME = 2
    PREVIOUS = 3
    SPEED = 4


_LANE_KINDS: Final = {
    Statistic.DISTINCT: LaneKind.DISTINCT,
    Statistic.SAME: LaneKind.SAME,
    Statistic.SECONDS_SINCE_PREVIOUS: LaneKind.PREVIOUS,
    Statistic.TRAVEL_SPEED_KMH: LaneKind.SPEED,
}

_WINDOWED: Final = (LaneKind.MOMENTS, LaneKind.DISTINCT, LaneKind.SAME)  # the others look for one record
_NO_EDGE: Final = -1


class _Lane(NamedTuple):
    """Aggregates that one walk over an entity's records serves."""

    entity: int
    kind: LaneKind
    input: int
    attribute: int
    include_current: int
    delay_ms: int


class PlanArrays(NamedTuple):
    """What the kernel reads. All int64; L lanes, W windows, E edges, O outputs, D derived, F features.

    lanes: (L, 8) kind, input, attribute, include_current, delay_ms, first window, last window + 1, edge of the delay.
    entity_lanes: (6, 2) first lane, last lane + 1.
    windows: (W, 4) width_ms ascending within a lane, first output, last output + 1, edge of the start.
    edges: (E,) age_ms at which windows start or end, ascending within an entity; those of lanes with windows only.
    entity_edges: (6, 2) first edge, last edge + 1. An edge's index counts from its entity's first.
    outputs: (O, 2) statistic, slot.
    derived: (D, 5) operation, slot, operand slots.
    chosen: (F,) slots of the vector's features, in order.
    most_edges: of one entity.
    exact_members: how many of an entity's newest are seen exactly.
    """

    lanes: NDArray[np.int64]
    entity_lanes: NDArray[np.int64]
    windows: NDArray[np.int64]
    edges: NDArray[np.int64]
    entity_edges: NDArray[np.int64]
    outputs: NDArray[np.int64]
    derived: NDArray[np.int64]
    chosen: NDArray[np.int64]
    slot_count: int
    most_edges: int
    exact_members: int = EXACT_MEMBERS


@dataclass(frozen=True, slots=True)
class Plan:
    """An ordered choice of features, ready for the kernel."""

    names: tuple[str, ...]
    entities: tuple[int, ...]  # indices of the entities whose histories it reads
    arrays: PlanArrays


def make_plan(names: Sequence[str]) -> Plan:
    """The plan for these features of the catalogue, in their order. Raises: CatalogueError."""
    wanted = features(names)
    slots = {name: index for index, name in enumerate(REQUEST_FEATURES)}
    lanes: dict[_Lane, list[Aggregate]] = {}
    derived: list[Derived] = []
    for feature in wanted:
        _collect(feature, slots, lanes, derived)

    lane_rows: list[list[int]] = []
    entity_rows: list[list[int]] = []
    window_rows: list[list[int]] = []
    edge_rows: list[int] = []
    entity_edge_rows: list[list[int]] = []
    output_rows: list[list[int]] = []
    for entity in range(len(ENTITIES)):
        first_lane = len(lane_rows)
        own_lanes = sorted(key for key in lanes if key.entity == entity)
        edges = _edges({lane: lanes[lane] for lane in own_lanes})
        for lane in own_lanes:
            first_window = len(window_rows)
            for width_ms in sorted({aggregate.window_ms for aggregate in lanes[lane]}):
                first_output = len(output_rows)
                output_rows += [
                    [aggregate.statistic, slots[aggregate.name]]
                    for aggregate in lanes[lane]
                    if aggregate.window_ms == width_ms
                ]
                start = edges.get(lane.delay_ms + width_ms, _NO_EDGE)
                window_rows.append([width_ms, first_output, len(output_rows), start])
            lane_rows.append([*lane[1:], first_window, len(window_rows), edges.get(lane.delay_ms, _NO_EDGE)])
        entity_rows.append([first_lane, len(lane_rows)])
        entity_edge_rows.append([len(edge_rows), len(edge_rows) + len(edges)])
        edge_rows += edges
    derived_rows = [
        [each.operation, slots[each.name], *[slots[part.name] for part in each.operands], 0, 0][:5] for each in derived
    ]
    arrays = PlanArrays(
        lanes=_table(lane_rows, 8),
        entity_lanes=_table(entity_rows, 2),
        windows=_table(window_rows, 4),
        edges=np.array(edge_rows, dtype=np.int64),
        entity_edges=_table(entity_edge_rows, 2),
        outputs=_table(output_rows, 2),
        derived=_table(derived_rows, 5),
        chosen=np.array([slots[name] for name in names], dtype=np.int64),
        slot_count=len(slots),
        most_edges=max(end - first for first, end in entity_edge_rows),
    )
    used = tuple(index for index, (first, end) in enumerate(entity_rows) if end > first)
    return Plan(names=tuple(names), entities=used, arrays=arrays)


def _collect(
    feature: Feature, slots: dict[str, int], lanes: dict[_Lane, list[Aggregate]], derived: list[Derived]
) -> None:
    """Give the feature a slot, its operands before it."""
    if feature.name in slots or isinstance(feature, RequestFeature):
        return
    if isinstance(feature, Derived):
        for operand in feature.operands:
            _collect(operand, slots, lanes, derived)
        derived.append(feature)
    else:
        lanes.setdefault(_lane(feature), []).append(feature)
    slots[feature.name] = len(slots)


def _edges(lanes: Mapping[_Lane, Sequence[Aggregate]]) -> dict[int, int]:
    """Ages at which one entity's windows start or end, ascending, with their indices."""
    windowed = [lane for lane in lanes if lane.kind in _WINDOWED]
    ages_ms = {lane.delay_ms for lane in windowed}
    ages_ms |= {lane.delay_ms + aggregate.window_ms for lane in windowed for aggregate in lanes[lane]}
    return {age_ms: index for index, age_ms in enumerate(sorted(ages_ms))}


def _lane(aggregate: Aggregate) -> _Lane:
    attributes = (*COUNTERPARTS[aggregate.entity], "country")
    return _Lane(
        entity=ENTITY_INDEX[aggregate.entity],
        kind=_LANE_KINDS.get(aggregate.statistic, LaneKind.MOMENTS),
        input=aggregate.input,
        attribute=attributes.index(aggregate.of) if aggregate.of else 0,
        include_current=int(aggregate.include_current),
        delay_ms=aggregate.delay_ms,
    )


def _table(rows: list[list[int]], width: int) -> NDArray[np.int64]:
    return np.array(rows, dtype=np.int64).reshape(len(rows), width)
