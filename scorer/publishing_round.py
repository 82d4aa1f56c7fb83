"""What is sent to Kafka together, and for whom."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scorer.publication import Publication, Record, SentAlert, Topics, alert_of, records_of
from scorer.spool import Taken

Offered = Publication | Record
WaitedFor = tuple[Sequence[Publication], asyncio.Future[None]]  # done once they are acknowledged


@dataclass(slots=True)
class Round:
    taken: Taken | None  # of the spool, sent first
    offered: list[Offered]
    waited_for: list[WaitedFor]
    copied: int = 0  # of what was offered, the first so many are on disk too
    copies: list[Path] = field(default_factory=list)

    def records(self, topics: Topics) -> Iterator[tuple[Record, SentAlert | None]]:
        """In the order to send them in; each with what is told of it, where it is an alert."""
        for record in () if self.taken is None else self.taken.records:
            yield record, alert_of(record) if record.topic == topics.alerts else None
        for each in (*self.offered, *(each for group, _ in self.waited_for for each in group)):
            alert = SentAlert(each.policy_action, each.context) if isinstance(each, Publication) else None
            for record in expand(each, topics):
                yield record, alert if record.topic == topics.alerts else None

    def records_on_disk(self, topics: Topics) -> int:
        copied = sum(len(expand(each, topics)) for each in self.offered[: self.copied])
        return copied + (0 if self.taken is None else len(self.taken.records))


def expand(offered: Offered, topics: Topics) -> Sequence[Record]:
    return (offered,) if isinstance(offered, Record) else tuple(records_of(offered, topics))
