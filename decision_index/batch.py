"""What is written to the index at once: rows, and how far the log was read for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Row = Mapping[str, Any]
"""Values by column of a table of `decision_index.tables`."""


class Partition(NamedTuple):
    """Equal to, and hashed like, aiokafka's."""

    topic: str
    partition: int


class Stored(NamedTuple):
    """How far the index has a partition."""

    next_offset: int
    topic_id: str  # of the topic that was read; empty: of a release that did not ask


class Position(NamedTuple):
    """Where a process stands in a partition."""

    stored: Stored | None  # what the index says, None: nothing
    next_offset: int  # of the record to read next: another one only where the log does not have what is stored
    topic_id: str


@dataclass(frozen=True, slots=True)
class Advance:
    """Of one partition, from the stored position to the next offset."""

    stored: Stored | None
    next_offset: int
    topic_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that is none of its topic's."""

    partition: Partition
    offset: int
    rejection: int  # fraud.v1.Rejection


@dataclass(frozen=True, slots=True)
class Rows:
    decisions: list[Row] = field(default_factory=list)
    alerts: list[Row] = field(default_factory=list)
    labels: list[Row] = field(default_factory=list)
    shadow_scores: list[Row] = field(default_factory=list)
    policies: list[Row] = field(default_factory=list)
    erasures: list[Row] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Written:
    decisions: int  # new ones
    copies: int  # of decisions that were there: they changed nothing
    erased: int  # decisions deleted, or not written, because an entity of theirs was forgotten


@dataclass(frozen=True, slots=True)
class Batch:
    rows: Rows
    advances: Mapping[Partition, Advance]

    @property
    def refused(self) -> Sequence[Refused]:
        return self.rows.refused
