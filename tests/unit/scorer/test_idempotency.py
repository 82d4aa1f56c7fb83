import numpy as np
from fraud.v1.decision_pb2 import Decision
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from feature_service.records import ENTITIES
from feature_service.stores.layout import StoreLayout
from scorer.idempotency import HASH_BYTES, StoredDecision, decision_key, encode, request_hash

LAYOUT = StoreLayout(shard_count=64, key_fingerprint="0a1b2c3d", generation=3)


VECTORS = st.lists(st.floats(), max_size=20).map(lambda values: np.array(values, dtype=np.float64))


@settings(deadline=None)  # the first call compiles
@given(vector=VECTORS, fields=st.binary(max_size=100), payload=st.binary(max_size=100), alert=st.booleans())
def test_what_was_stored_is_read_back(vector: NDArray[np.float64], fields: bytes, payload: bytes, alert: bool) -> None:
    found = StoredDecision.decode(encode(request_hash(payload), vector, fields, alert=alert))

    assert found is not None
    assert found.request_hash == request_hash(payload)
    assert found.alert is alert
    # The official parser's way to say the same: any fields, behind those of the vector.
    head = Decision(feature_vector=vector).SerializeToString() if len(vector) else b"\x42\x00"
    assert found.decision[: len(head)] == head
    assert found.decision[len(head) :] == fields


@given(decision=st.binary(max_size=100), alert=st.booleans())
def test_what_the_release_before_stored_is_read(decision: bytes, alert: bool) -> None:
    value = (b"\x03" if alert else b"\x02") + bytes(HASH_BYTES) + decision

    assert StoredDecision.decode(value) == StoredDecision(bytes(HASH_BYTES), decision, alert)


def test_what_is_absent_or_of_another_format_is_no_decision() -> None:
    assert StoredDecision.decode(None) is None
    assert StoredDecision.decode(b"") is None
    assert StoredDecision.decode(b"\x01" + bytes(HASH_BYTES)) is None
    assert StoredDecision.decode(b"\x02short") is None
    assert StoredDecision.decode(b"\x04" + bytes(HASH_BYTES) + b"\x01\x00") is None


@given(first=st.binary(max_size=50), second=st.binary(max_size=50))
def test_another_payload_has_another_hash(first: bytes, second: bytes) -> None:
    assert (request_hash(first) == request_hash(second)) == (first == second)


@given(transaction_hash=st.integers(1, 2**64 - 1))
def test_keys_lie_in_their_shard_and_beside_no_history(transaction_hash: int) -> None:
    key = decision_key(LAYOUT, transaction_hash)

    assert key == b"g3:{%d}:decided:%016x" % (transaction_hash % 64, transaction_hash)
    assert key not in {LAYOUT.history_key(entity, transaction_hash) for entity in ENTITIES}
