from asyncio import Future, get_running_loop
from pathlib import Path

from scorer.publication import Record, SentAlert, records_of
from scorer.publishing_round import Round
from scorer.spool import Taken
from tests.unit.scorer.publishing_parts import TOPICS, publication


async def test_what_was_on_disk_comes_first_and_alerts_are_known_wherever_they_come_from() -> None:
    acknowledged: Future[None] = get_running_loop().create_future()
    old, new, batch = (publication(name, alert=True) for name in ("old", "new", "batch"))
    audit = Record("audit", b"policy", b"", [])
    taken = Taken(Path("segment"), list(records_of(old, TOPICS)), None, 0)
    sent = Round(taken, [new, audit, publication("quiet")], [([batch], acknowledged)])

    found = list(sent.records(TOPICS))

    assert [(record.topic, record.key) for record, _ in found] == [
        ("decisions", b"old"),
        ("alerts", b"old"),
        ("decisions", b"new"),
        ("alerts", b"new"),
        ("audit", b"policy"),
        ("decisions", b"quiet"),
        ("decisions", b"batch"),
        ("alerts", b"batch"),
    ]
    assert [alert for record, alert in found if record.topic == "alerts"] == [
        SentAlert(each.policy_action, each.context) for each in (old, new, batch)
    ]
    assert all(alert is None for record, alert in found if record.topic != "alerts")
