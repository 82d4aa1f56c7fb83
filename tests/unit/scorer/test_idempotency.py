from hypothesis import given
from hypothesis import strategies as st

from feature_service.records import ENTITIES
from feature_service.stores.layout import StoreLayout
from scorer.idempotency import HASH_BYTES, StoredDecision, decision_key, request_hash

LAYOUT = StoreLayout(shard_count=64, key_fingerprint="0a1b2c3d", generation=3)


@given(decision=st.binary(max_size=100), payload=st.binary(max_size=100), alert=st.booleans())
def test_what_was_stored_is_read_back(decision: bytes, payload: bytes, alert: bool) -> None:
    stored = StoredDecision(request_hash(payload), decision, alert)

    assert StoredDecision.decode(stored.encode()) == stored


def test_what_is_absent_or_of_another_format_is_no_decision() -> None:
    assert StoredDecision.decode(None) is None
    assert StoredDecision.decode(b"") is None
    assert StoredDecision.decode(b"\x01" + bytes(HASH_BYTES)) is None
    assert StoredDecision.decode(b"\x02short") is None


@given(first=st.binary(max_size=50), second=st.binary(max_size=50))
def test_another_payload_has_another_hash(first: bytes, second: bytes) -> None:
    assert (request_hash(first) == request_hash(second)) == (first == second)


@given(transaction_hash=st.integers(1, 2**64 - 1))
def test_keys_lie_in_their_shard_and_beside_no_history(transaction_hash: int) -> None:
    key = decision_key(LAYOUT, transaction_hash)

    assert key == b"g3:{%d}:decided:%016x" % (transaction_hash % 64, transaction_hash)
    assert key not in {LAYOUT.history_key(entity, transaction_hash) for entity in ENTITIES}
