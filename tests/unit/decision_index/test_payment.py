"""What a decision's transaction gives again, from its very bytes."""

from fraud.v1.decision_pb2 import Decision
from fraud.v1.transaction_pb2 import Transaction
from hypothesis import given
from hypothesis import strategies as st

from decision_index.payment import transaction_bytes
from scorer.idempotency import request_hash
from tests.decided import Scene
from tests.people import Person
from tests.unit.scorer.scoring_parts import NOW_MS


async def test_the_bytes_are_those_that_were_received(scene: Scene) -> None:
    payment = Person().pays(NOW_MS)
    received = payment.SerializeToString() + Transaction(mcc=5812).SerializeToString()  # no serialiser writes it so
    message = Decision(transaction_id="t").SerializeToString() + Decision(transaction=payment).SerializeToString()
    assert transaction_bytes(message) == payment.SerializeToString()

    decided = await scene.decide(Transaction.FromString(received))
    assert request_hash(transaction_bytes(decided)) == Decision.FromString(decided).request_hash


@given(
    vector=st.lists(st.floats(), max_size=5),
    ids=st.tuples(*[st.text(max_size=300)] * 3),
    number=st.integers(-(2**63), 2**63 - 1),
)
def test_they_are_found_among_any_other_fields(vector: list[float], ids: tuple[str, str, str], number: int) -> None:
    transaction = Transaction(transaction_id=ids[0], customer_id=ids[1], event_time_ms=number)
    decision = Decision(
        transaction_id=ids[0],
        feature_vector=vector,
        decided_at_ms=number,
        fraud_probability=0.5,
        request_hash=ids[2].encode(),
        transaction=transaction,
    )
    assert transaction_bytes(decision.SerializeToString()) == transaction.SerializeToString()
    decision.ClearField("transaction")
    assert transaction_bytes(decision.SerializeToString()) == b""


async def test_amount_and_request_features_are_in_the_base_currency(scene: Scene) -> None:
    payment = Person().pays(NOW_MS, amount_minor=12_345)
    read = scene.payments.read(Decision(transaction=payment).SerializeToString())

    assert (read.rejection, read.amount_minor) == (0, 12_345)
    assert read.request["amount"] == 123.45
    assert read.request["mcc"] == 5_411


async def test_what_the_contract_refuses_now_is_said(scene: Scene) -> None:
    payment = Person().pays(NOW_MS)
    payment.currency = "eur"

    assert scene.payments.read(Decision(transaction=payment).SerializeToString()).rejection
