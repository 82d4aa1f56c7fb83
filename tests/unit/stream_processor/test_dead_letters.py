"""What a dead letter says of its record, and how it is sent, and sent back."""

import pytest
from fraud.v1.dead_letter_pb2 import DeadLetter, Rejection
from hypothesis import given
from hypothesis import strategies as st

from feature_service.contract_settings import ContractSettings
from feature_service.dead_letter import make_dead_letter
from stream_processor.dead_letters import DeadLetterSender, StoredDeadLetter, replay_dead_letter
from tests.unit.stream_processor.conftest import KeepingProducer
from tests.unit.stream_processor.records import FetchedRecord, batch_of

CARD_NUMBER = b"4111111111111111"
TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LIMIT = 100


@pytest.fixture(scope="session")
def short(contract: ContractSettings) -> ContractSettings:
    return contract.model_copy(update={"max_record_bytes": LIMIT})


def letter_of(record: FetchedRecord, contract: ContractSettings) -> DeadLetter:
    return make_dead_letter(
        record, topic="transactions", partition=3, rejection=Rejection.REJECTION_MALFORMED, contract=contract
    )


def test_it_holds_the_record_its_origin_and_what_to_mend(contract: ContractSettings) -> None:
    record = FetchedRecord(7, 1_234, b"customer-1", b"\xff\x00", [("traceparent", TRACEPARENT), ("other", None)])
    letter = letter_of(record, contract)
    assert letter.reason == Rejection.REJECTION_MALFORMED
    assert "protobuf" in letter.detail
    assert (letter.topic, letter.partition, letter.offset) == ("transactions", 3, 7)
    assert (letter.record_timestamp_ms, letter.key, letter.value) == (1_234, b"customer-1", b"\xff\x00")
    assert letter.traceparent == TRACEPARENT.decode()
    assert StoredDeadLetter(0, letter).replayable


def test_a_record_without_key_value_and_trace(contract: ContractSettings) -> None:
    letter = letter_of(FetchedRecord(7, 1_234, None, None), contract)
    assert (letter.key, letter.value, letter.traceparent) == (b"", b"", "")


@pytest.mark.parametrize("header", [b"\xff\xfe", b"00-" + CARD_NUMBER, b""])
def test_a_malformed_traceparent_is_none(contract: ContractSettings, header: bytes) -> None:
    assert letter_of(FetchedRecord(7, 1_234, None, b"", [("traceparent", header)]), contract).traceparent == ""


@pytest.mark.parametrize(("length", "truncated"), [(LIMIT, False), (LIMIT + 1, True)])
def test_a_value_is_cut_at_the_limit(short: ContractSettings, length: int, truncated: bool) -> None:
    letter = letter_of(FetchedRecord(7, 1_234, None, bytes(length)), short)
    assert (letter.value, letter.truncated) == (bytes(LIMIT), truncated)
    assert StoredDeadLetter(0, letter).replayable != truncated


@pytest.mark.parametrize(("key", "value"), [(CARD_NUMBER, b""), (None, b"x" + CARD_NUMBER)])
def test_card_numbers_are_blanked_in_value_and_key(contract: ContractSettings, key: bytes | None, value: bytes) -> None:
    letter = letter_of(FetchedRecord(7, 1_234, key, value), contract)
    assert CARD_NUMBER not in letter.SerializeToString()
    assert letter.redacted
    assert not StoredDeadLetter(0, letter).replayable


@given(before=st.integers(LIMIT - 30, LIMIT + 30))
def test_no_digit_of_a_card_number_across_the_limit_stays(short: ContractSettings, before: int) -> None:
    value = b"x" * before + CARD_NUMBER + b"x" * 50
    letter = letter_of(FetchedRecord(7, 1_234, None, value), short)
    assert len(letter.value) == LIMIT
    assert not set(letter.value) & set(CARD_NUMBER)


async def test_letters_are_sent_under_their_origin_and_acknowledged_together(
    contract: ContractSettings, producer: KeepingProducer
) -> None:
    records = [FetchedRecord(40 + n, 1_000, None, b"\xff", [("traceparent", TRACEPARENT)] * (n % 2)) for n in range(4)]
    sender = DeadLetterSender(producer, "dead-letters", contract)
    await sender.send(batch_of(records), [(1, Rejection.REJECTION_MALFORMED), (2, Rejection.REJECTION_LATE)])
    assert [sent.key for sent in producer.sent] == [b"transactions:3:41", b"transactions:3:42"]
    letters = [DeadLetter.FromString(sent.value) for sent in producer.sent]
    assert [letter.reason for letter in letters] == [Rejection.REJECTION_MALFORMED, Rejection.REJECTION_LATE]
    own = [("fraud-type", b"fraud.v1.DeadLetter"), ("fraud-schema", b"1")]
    assert [sent.headers for sent in producer.sent] == [[*own, ("traceparent", TRACEPARENT)], own]
    assert producer.events == ["sent", "sent", "acknowledged", "acknowledged"]

    again = KeepingProducer()
    await DeadLetterSender(again, "dead-letters", contract).send(
        batch_of(records), [(1, Rejection.REJECTION_MALFORMED), (2, Rejection.REJECTION_LATE)]
    )
    assert again.sent == producer.sent  # what is read again gives the same letters


async def test_a_replayed_record_is_the_one_that_came(contract: ContractSettings, producer: KeepingProducer) -> None:
    record = FetchedRecord(7, 1_234, b"customer-1", b"\xff", [("traceparent", TRACEPARENT)])
    await replay_dead_letter(producer, StoredDeadLetter(0, letter_of(record, contract)))
    [sent] = producer.sent
    assert (sent.topic, sent.key, sent.value, sent.timestamp_ms) == ("transactions", b"customer-1", b"\xff", 1_234)
    assert sent.headers == [("traceparent", TRACEPARENT)]


async def test_what_was_cut_or_blanked_is_not_replayed(short: ContractSettings, producer: KeepingProducer) -> None:
    for value in (bytes(LIMIT + 1), CARD_NUMBER):
        stored = StoredDeadLetter(5, letter_of(FetchedRecord(7, 1_234, None, value), short))
        with pytest.raises(ValueError, match="dead letter 5 was redacted or cut"):
            await replay_dead_letter(producer, stored)
    assert not producer.sent
