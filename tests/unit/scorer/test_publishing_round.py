from asyncio import Future, get_running_loop
from pathlib import Path

from scorer.publication import Record, SentAlert, records_of
from scorer.publishing_round import Round
from scorer.spool import Taken
from tests.unit.scorer.publishing_parts import CONTEXT, TOPICS, publication


async def test_what_was_on_disk_comes_first_and_alerts_are_known_wherever_they_come_from() -> None:
    acknowledged: Future[None] = get_running_loop().create_future()
    old, new, batch = (publication(name, alert=True) for name in ("old", "new", "batch"))
    audit = Record("audit", b"policy", b"", [])
    taken = Taken(Path("segment"), list(records_of(old, TOPICS)), None, 0)
    sent = Round(taken, [new, audit, publication("quiet")], [([batch], acknowledged)])

    records, alerts = sent.records(TOPICS)

    assert [(record.topic, record.key) for record in records] == [
        ("decisions", b"old"),
        ("alerts", b"old"),
        ("decisions", b"new"),
        ("alerts", b"new"),
        ("audit", b"policy"),
        ("decisions", b"quiet"),
        ("decisions", b"batch"),
        ("alerts", b"batch"),
    ]
    assert alerts == {place: SentAlert(each.policy_action, CONTEXT) for place, each in ((1, old), (3, new), (7, batch))}


def test_an_alert_on_disk_that_nobody_could_have_traced_is_sent_and_not_told() -> None:
    decision, alert = records_of(publication("old", alert=True), TOPICS)
    sent = Round(Taken(Path("segment"), [decision, alert._replace(headers=[])], None, 0), [], [])

    records, alerts = sent.records(TOPICS)

    assert [record.topic for record in records] == ["decisions", "alerts"]
    assert alerts == {}
