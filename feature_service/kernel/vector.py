"""The window kernel: records of entities, as of a time, to feature vectors.

The same compiled function serves every path: one request, a batch of the stream, and millions of rows offline.
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue.definitions import DAY_MS, HOUR_MS, Operation
from feature_service.compiled import compiled
from feature_service.kernel.canonical import gather
from feature_service.kernel.groups import GROUPS
from feature_service.kernel.lanes import newest_other, walk_attribute, walk_moments
from feature_service.kernel.older import SUM_COLUMNS, first_since, sum_older
from feature_service.kernel.words import CODES, COUNTERPART, LOCATION, M_TIME
from feature_service.kernel.workspace import Workspace
from feature_service.plan import LaneKind, PlanArrays
from feature_service.records import MISSING_INT16, MISSING_INT32, MISSING_INT64

_MOMENTS, _DISTINCT, _SAME = int(LaneKind.MOMENTS), int(LaneKind.DISTINCT), int(LaneKind.SAME)
_RATIO, _Z_SCORE = int(Operation.RATIO), int(Operation.Z_SCORE)
_DAY_MS, _HOUR_MS = DAY_MS, HOUR_MS
_NO_LOCATION = MISSING_INT32 & 0xFFFFFFFF

READ_BEFORE_HORIZON: Final = 1  # a status
APPROXIMATE: Final = 2  # a status of the first entity; of the others, the bits after it


class Scratch(NamedTuple):
    """Memory of one thread for one vector of a plan after another."""

    values: NDArray[np.float64]  # (slots,)
    boundaries: NDArray[np.int64]  # (edges of an entity,)
    sums: NDArray[np.int64]  # (edges of an entity + 2, GROUPS, SUM_COLUMNS)


def make_scratch(plan: PlanArrays) -> Scratch:
    return Scratch(
        values=np.empty(plan.slot_count),
        boundaries=np.empty(plan.most_edges, dtype=np.int64),
        sums=np.empty((plan.most_edges + 2, GROUPS, SUM_COLUMNS), dtype=np.int64),
    )


@compiled
def request_values(row: np.void, minor_per_major: float, values: NDArray[np.float64]) -> None:
    """The features of the transaction itself, into the first slots, in the order of REQUEST_FEATURES."""
    time_ms = row["event_time_ms"]
    day = time_ms // _DAY_MS
    utc_hour = (time_ms - day * _DAY_MS) // _HOUR_MS
    if row["amount_minor"] != MISSING_INT64:
        values[0] = row["amount_minor"] / minor_per_major
    values[1] = 1.0 if (day + 3) % 7 >= 5 else 0.0  # the epoch was a Thursday
    values[2] = 1.0 if utc_hour <= 6 else 0.0
    offset_minutes = row["utc_offset_minutes"]
    local_ms = time_ms if offset_minutes == MISSING_INT16 else time_ms + np.int64(offset_minutes) * 60_000
    values[3] = float((local_ms % _DAY_MS) // _HOUR_MS)
    if row["mcc"] != 0:
        values[4] = float(row["mcc"])
    if row["merchant_country"] != 0:
        values[5] = float(row["merchant_country"])
    if row["card_country"] != 0:
        values[6] = float(row["card_country"])
        if row["merchant_country"] != 0:
            values[7] = 1.0 if row["card_country"] != row["merchant_country"] else 0.0
    if row["channel"] != 0:
        values[8] = float(row["channel"])


@compiled
def _derive(plan: PlanArrays, values: NDArray[np.float64]) -> None:
    for index in range(plan.derived.shape[0]):
        operation, slot = plan.derived[index, 0], plan.derived[index, 1]
        a, b = values[plan.derived[index, 2]], values[plan.derived[index, 3]]
        result = math.nan
        if operation == _RATIO:
            if b != 0.0:
                result = a / b
        elif operation == _Z_SCORE:
            deviation = values[plan.derived[index, 4]]
            if deviation != 0.0:
                result = (a - b) / deviation
        elif not math.isnan(a):
            result = 1.0 if a == 0.0 else 0.0
        values[slot] = result


@compiled
def compute(
    words: NDArray[np.int64],
    spans: NDArray[np.int64],
    rows: NDArray[np.void],
    currents: NDArray[np.int64],
    plan: PlanArrays,
    minor_per_major: float,
    slack_ms: int,
    space: Workspace,
    scratch: Scratch,
    vectors: NDArray[np.float64],
    statuses: NDArray[np.int8],
) -> None:
    """Feature vectors of n transactions (or reads as of a time, where `transaction_hash` is 0).

    words: all histories, int64. spans: (n, 6, 2) first word and record count of each entity's history. rows: (n,)
    DECODED, read as of their event times. currents: (n, 6, 9) the record of each row in each entity's history.
    vectors: (n, F) out. statuses: (n,) out, bits. READ_BEFORE_HORIZON: the read lies more than `slack_ms` behind a
    history's newest record, so that records may have been trimmed, or before what the history was compacted for.
    APPROXIMATE << entity: windows of that entity reach past its `exact_members` newest.
    scratch: made for this plan; nothing checks that.
    """
    windows, outputs, values, sums = plan.windows, plan.outputs, scratch.values, scratch.sums
    for index in range(rows.shape[0]):
        row = rows[index]
        has_current = row["transaction_hash"] != 0
        as_of_ms = row["event_time_ms"]
        values[:] = math.nan
        statuses[index] = 0
        if has_current:
            request_values(row, minor_per_major, values)
        for entity in range(plan.entity_lanes.shape[0]):
            first_lane, end_lane = plan.entity_lanes[entity, 0], plan.entity_lanes[entity, 1]
            if first_lane == end_lane or row["entity_hash"][entity] == 0:
                continue
            current = currents[index, entity]
            gathered = gather(
                words, spans[index, entity, 0], spans[index, entity, 1], as_of_ms, current, has_current, space
            )
            members, found = space.members, gathered.found
            if gathered.newest_ms != MISSING_INT64 and as_of_ms < gathered.newest_ms - slack_ms:
                statuses[index] |= READ_BEFORE_HORIZON
            if as_of_ms < gathered.frontier_ms:
                statuses[index] |= READ_BEFORE_HORIZON
            has_older = False
            if found >= plan.exact_members:
                exact_ms = members[found - plan.exact_members, M_TIME]
                edges = plan.edges[plan.entity_edges[entity, 0] : plan.entity_edges[entity, 1]]
                has_older = edges.shape[0] > 0 and as_of_ms - edges[-1] < exact_ms - 1
                older = first_since(members, found - plan.exact_members, exact_ms)
                if has_older:
                    statuses[index] |= APPROXIMATE << entity
                    segments = sums[: edges.shape[0] + 1]
                    sum_older(
                        words, gathered, older, as_of_ms, exact_ms, edges, space, scratch.boundaries, segments
                    )  # fmt: skip
                members, found = members[older:], found - older
            for lane_index in range(first_lane, end_lane):
                lane = plan.lanes[lane_index]
                if lane[0] == _MOMENTS:
                    walk_moments(
                        members, found, as_of_ms, lane, windows, outputs, minor_per_major, has_older, sums, values
                    )  # fmt: skip
                elif lane[0] == _DISTINCT:
                    walk_attribute(members, found, as_of_ms, lane, windows, outputs, 0, space.table, values)
                elif lane[0] == _SAME:
                    same_as = 0
                    if has_current:
                        same_as = current[COUNTERPART + lane[2]] if lane[2] < 3 else (current[CODES] >> 16) & 0xFFFF
                    walk_attribute(members, found, as_of_ms, lane, windows, outputs, same_as, space.table, values)
                else:
                    location = current[LOCATION] if has_current else _NO_LOCATION
                    newest_other(members, found, as_of_ms, lane, windows, outputs, location, values)
        _derive(plan, values)
        for feature in range(plan.chosen.shape[0]):
            vectors[index, feature] = values[plan.chosen[feature]]
