"""Composed bytes are read by the official parser as if it had written them."""

import struct

from fraud.v1.decision_pb2 import Alert, Decision
from fraud.v1.scoring_pb2 import ScoreBatchResponse, ScoreResponse
from hypothesis import given
from hypothesis import strategies as st

from scorer import frames

DECISIONS = st.builds(
    Decision, transaction_id=st.text(max_size=300), fraud_probability=st.floats(0, 1), reasons=st.just([])
)


@given(value=st.floats(allow_nan=False))
def test_a_double(value: float) -> None:
    tag = frames.double_tag(Decision.FRAUD_PROBABILITY_FIELD_NUMBER)

    assert Decision.FromString(struct.pack("<Bd", tag, value)) == Decision(fraud_probability=value)


@given(decision=DECISIONS)
def test_an_alert(decision: Decision) -> None:
    alert = Alert.FromString(frames.alert(b"some-id", decision.SerializeToString()))

    assert alert == Alert(alert_id="some-id", decision=decision)


@given(decision=DECISIONS, replayed=st.booleans(), took_us=st.integers(0, 2**32 - 1))
def test_a_score_response(decision: Decision, replayed: bool, took_us: int) -> None:
    response = frames.score_response(decision.SerializeToString(), replayed=replayed, took_us=took_us)

    expected = ScoreResponse(decision=decision, replayed=replayed, took_us=took_us)
    assert ScoreResponse.FromString(response) == expected


@given(results=st.lists(st.tuples(DECISIONS, st.booleans()) | st.just("REJECTION_LATE"), max_size=5))
def test_batch_results_follow_each_other(results: list[tuple[Decision, bool] | str]) -> None:
    expected = ScoreBatchResponse()
    composed = b""
    for result in results:
        if isinstance(result, str):
            expected.results.add(rejection=result)
            composed += frames.batch_rejection(result)
        else:
            decision, replayed = result
            expected.results.add(decision=decision, replayed=replayed)
            composed += frames.batch_result(decision.SerializeToString(), replayed=replayed)

    assert ScoreBatchResponse.FromString(composed) == expected
