"""Payments and labels of people that no other test knows."""

import secrets
from dataclasses import dataclass, field

from fraud.v1.label_pb2 import Label, LabelSource
from fraud.v1.transaction_pb2 import Channel, Outcome, Transaction, TransactionKind

DAY_MS = 86_400_000
MINUTE_MS = 60_000


def token(kind: str) -> str:
    """Not an id that any test has used."""
    return f"{kind}-{secrets.token_hex(5)}"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who pays with one card at one terminal."""

    customer: str = field(default_factory=lambda: token("customer"))
    card: str = field(default_factory=lambda: token("card"))
    terminal: str = field(default_factory=lambda: token("terminal"))
    merchant: str = field(default_factory=lambda: token("merchant"))

    def pays(
        self,
        at_ms: int,
        *,
        amount_minor: int = 1_999,
        outcome: Outcome.ValueType = Outcome.OUTCOME_APPROVED,
        kind: TransactionKind.ValueType = TransactionKind.TRANSACTION_KIND_AUTHORISATION,
        original: str = "",
    ) -> Transaction:
        return Transaction(
            transaction_id=token("payment"),
            kind=kind,
            original_transaction_id=original,
            event_time_ms=at_ms,
            customer_id=self.customer,
            card_id=self.card,
            merchant_id=self.merchant,
            terminal_id=self.terminal,
            amount_minor=amount_minor,
            currency="EUR",
            mcc=5411,
            merchant_country="DE",
            card_country="DE",
            channel=Channel.CHANNEL_CHIP,
            outcome=outcome,
        )

    def pays_suspiciously(self, at_ms: int) -> Transaction:
        """So much that any model of these tests takes it for a fraud."""
        return self.pays(at_ms, amount_minor=500_000, outcome=Outcome.OUTCOME_UNSPECIFIED)


def label(
    payment: Transaction,
    *,
    is_fraud: bool,
    known_at_ms: int,
    source: LabelSource.ValueType = LabelSource.LABEL_SOURCE_CHARGEBACK,
) -> Label:
    return Label(
        label_id=token("label"),
        transaction_id=payment.transaction_id,
        event_time_ms=payment.event_time_ms,
        known_at_ms=known_at_ms,
        is_fraud=is_fraud,
        source=source,
        customer_id=payment.customer_id,
        card_id=payment.card_id,
        merchant_id=payment.merchant_id,
        terminal_id=payment.terminal_id,
    )
