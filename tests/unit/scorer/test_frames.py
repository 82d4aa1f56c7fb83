"""Composed bytes are read by the official parser as if it had written them."""

import struct

import numpy as np
from fraud.v1.decision_pb2 import Alert, Decision
from fraud.v1.scoring_pb2 import ScoreBatchResponse, ScoreResponse
from fraud.v1.transaction_pb2 import Transaction
from hypothesis import given
from hypothesis import strategies as st

from scorer import frames

DECISIONS = st.builds(
    Decision, transaction_id=st.text(max_size=300), fraud_probability=st.floats(0, 1), reasons=st.just([])
)
VECTORS = st.lists(st.floats(allow_nan=False, width=64), max_size=200)


@given(brief=DECISIONS, vector=VECTORS, transaction_id=st.text(max_size=200))
def test_a_whole_decision(brief: Decision, vector: list[float], transaction_id: str) -> None:
    transaction = Transaction(transaction_id=transaction_id)

    whole = Decision.FromString(
        frames.whole_decision(brief.SerializeToString(), np.array(vector).tobytes(), transaction.SerializeToString())
    )

    expected = Decision()
    expected.CopyFrom(brief)
    expected.feature_vector.extend(vector)
    expected.transaction.CopyFrom(transaction)
    assert whole == expected


def test_the_bits_of_a_missing_value_stay() -> None:
    vector = np.array([np.nan, -0.0, 1e-320])

    decision = Decision.FromString(frames.whole_decision(b"", vector.tobytes(), b""))

    assert struct.pack("<3d", *decision.feature_vector) == vector.tobytes()


@given(decided_at_ms=st.integers(0, 2**63 - 1))
def test_a_number(decided_at_ms: int) -> None:
    decision = Decision.FromString(frames.number(Decision.DECIDED_AT_MS_FIELD_NUMBER, decided_at_ms))

    assert decision == Decision(decided_at_ms=decided_at_ms)


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
