"""A call passes if its caller is known, has the permission, and stays within size and rate; else it is said why."""

from dataclasses import replace

from feature_service.callers.gate import Gate, Refusal, Tally
from feature_service.callers.known import Caller, KnownCallers, Rate

MS = 1_000_000
PAYMENTS = Caller(
    name="payments",
    permissions=frozenset({"score"}),
    rate=Rate(requests_per_s=10, burst=2),
    max_request_bytes=100,
)


def of(*callers: Caller) -> KnownCallers:
    return KnownCallers(callers, by_certificate={caller.name: caller for caller in callers}, by_token_hash={})


def calls(gate: Gate, count: int, *, caller: Caller = PAYMENTS, now_ns: int = 0) -> list[Refusal | None]:
    return [gate.judge(caller, "score", request_bytes=100, now_ns=now_ns) for _ in range(count)]


def causes(refusals: list[Refusal | None]) -> list[str]:
    return ["" if refusal is None else refusal.cause for refusal in refusals]


def test_nobody_may_do_nothing() -> None:
    refusal = Gate(of(PAYMENTS), now_ns=0).judge(None, "score", request_bytes=0, now_ns=0)

    assert refusal is not None
    assert (refusal.cause, refusal.caller) == ("unknown caller", "")


def test_a_missing_permission_is_named() -> None:
    refusal = Gate(of(PAYMENTS), now_ns=0).judge(PAYMENTS, "score_batch", request_bytes=0, now_ns=0)

    assert refusal is not None
    assert refusal.cause == "permission"
    assert "`score_batch`" in refusal.words
    assert "payments" in refusal.words


def test_a_longer_request_than_allowed_will_never_pass() -> None:
    refusal = Gate(of(PAYMENTS), now_ns=0).judge(PAYMENTS, "score", request_bytes=101, now_ns=0)

    assert refusal is not None
    assert (refusal.cause, refusal.retry_ms) == ("size", 0)
    assert "101" in refusal.words
    assert "100" in refusal.words


def test_past_the_burst_it_says_when_to_come_again() -> None:
    gate = Gate(of(PAYMENTS), now_ns=0)

    refusals = calls(gate, 3)

    assert causes(refusals) == ["", "", "rate"]
    assert refusals[2] is not None
    assert refusals[2].retry_ms == 100
    assert causes(calls(gate, 2, now_ns=100 * MS)) == ["", "rate"]


def test_what_is_refused_anyway_uses_no_rate_up() -> None:
    gate = Gate(of(PAYMENTS), now_ns=0)
    for _ in range(10):
        gate.judge(PAYMENTS, "read_features", request_bytes=0, now_ns=0)
        gate.judge(PAYMENTS, "score", request_bytes=1_000, now_ns=0)

    assert causes(calls(gate, 3)) == ["", "", "rate"]


def test_without_a_rate_there_is_no_limit() -> None:
    free = replace(PAYMENTS, rate=None)

    assert causes(calls(Gate(of(free), now_ns=0), 1_000, caller=free)) == [""] * 1_000


def test_each_caller_has_a_rate_of_its_own() -> None:
    other = replace(PAYMENTS, name="other")
    gate = Gate(of(PAYMENTS, other), now_ns=0)
    calls(gate, 3)

    assert causes(calls(gate, 3, caller=other)) == ["", "", "rate"]


def test_a_changed_file_gives_nobody_a_new_burst() -> None:
    gate = Gate(of(PAYMENTS), now_ns=0)
    calls(gate, 2)
    more_rights = replace(PAYMENTS, permissions=frozenset({"score", "score_batch"}))
    faster = replace(PAYMENTS, rate=Rate(requests_per_s=10, burst=3))

    gate.admit_these(of(more_rights), now_ns=0)
    assert causes(calls(gate, 1, caller=more_rights)) == ["rate"]

    gate.admit_these(of(faster), now_ns=0)
    assert causes(calls(gate, 4, caller=faster)) == ["", "", "", "rate"]


def test_a_tally_that_was_taken_begins_anew() -> None:
    tally = Tally()
    tally.admitted["payments", "/a/B"] += 2
    tally.refused["", "/a/B", "unknown caller"] += 1

    taken = tally.take()

    assert taken.admitted == {("payments", "/a/B"): 2}
    assert taken.refused == {("", "/a/B", "unknown caller"): 1}
    assert not tally.admitted
    assert not tally.refused
