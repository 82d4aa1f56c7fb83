"""A scorer's use case on histories in memory, deciding payments of the contract, in whichever tier is wanted."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from fraud.v1.decision_pb2 import ORIGIN_CALL, Decision
from fraud.v1.label_pb2 import Label
from fraud.v1.scoring_pb2 import ScoreRequest
from fraud.v1.transaction_pb2 import Transaction
from numpy.typing import NDArray

from decision_index.payment import Payment, PaymentReader
from decision_index.recompute import Decided, Recomputation, Recomputed
from decision_index.replay import KnownPolicy, model_of, tier_of
from feature_service.contract_settings import ContractSettings
from feature_service.decoding import TransactionDecoder
from feature_service.labels import DecodedLabel, LabelDecoder
from feature_service.money import RateTable
from feature_service.packing import pack_label, pack_transactions
from feature_service.plan import make_plan
from feature_service.records import ENTITIES, RECORD_WORDS
from feature_service.settings import make_online_features, timeless
from feature_service.stores.fold_batch import plan_fold
from scorer.policy import Decider, Policy, Tier
from scorer.requests import RequestReader
from scorer.serving import Models
from tests.unit.scorer.scoring_parts import LAYOUT, NOW_MS, Mute, Parts

OLD_MS = 3_600_000  # as stale as histories get


class Scene:
    def __init__(self, bundle: Path, directory: Path) -> None:
        key_file = directory / "id-key"
        key_file.write_text(secrets.token_hex(16))
        self.bundle = bundle
        self.contract = ContractSettings(id_hash_key_file=key_file)
        self.id_key = self.contract.read_id_key()
        self.rates = RateTable.load(self.contract.rates_file, self.contract.base_currency)
        self.parts = Parts(bundle)
        self.payments = PaymentReader(self.contract, self.rates, self.id_key, LAYOUT)
        self._requests = RequestReader(self.contract, self.rates, self.id_key)
        self._decoder = TransactionDecoder(timeless(self.contract), self.rates, self.id_key)
        self._labels = LabelDecoder(timeless(self.contract), self.id_key)
        self._folds = 0

    @property
    def models(self) -> Models:
        return self.parts.models

    @property
    def policy(self) -> KnownPolicy:
        decider = self.parts.current.serving.decider
        return KnownPolicy(decider.policy_version, decider)

    def serve_policy(self, **changes: object) -> None:
        serving = self.parts.current.serving
        changed = Decider(Policy.model_validate(serving.decider.policy.model_dump() | changes))
        self.parts.current.serving = replace(serving, decider=changed)

    async def decide(self, transaction: Transaction, tier: Tier = Tier.FULL) -> bytes:
        """The Decision as it is published, its reasons with it."""
        parts = self.parts
        parts.histories.away = tier is Tier.DEGRADED_NO_FEATURES
        age_ms = OLD_MS if tier is Tier.DEGRADED_STALE else 0
        parts.times.update(np.full(LAYOUT.shard_count, NOW_MS - age_ms))
        models = (parts.models.full, parts.models.request_only)
        answering = [model.scoring for model in models]
        if tier is Tier.FALLBACK_RULES:
            for model in models:
                object.__setattr__(model, "scoring", Mute(model.scoring))
        request = ScoreRequest(transaction=transaction).SerializeToString()
        try:
            decision, _ = await parts.score(self._requests.score(request, now_ms=NOW_MS, parent=None))
            await parts.one.close()
        finally:
            parts.histories.away = False
            for model, scoring in zip(models, answering, strict=True):
                object.__setattr__(model, "scoring", scoring)
        assert tier_of(decision) is tier
        published = parts.outbox.published[-1].decision
        assert Decision.FromString(published).transaction_id == transaction.transaction_id
        return published

    async def fold(self, transactions: Sequence[Transaction] = (), labels: Sequence[Label] = ()) -> None:
        """At the ends of their entities' histories; payments first."""
        if transactions:
            values = [each.SerializeToString() for each in transactions]
            rows = self._decoder.decode(values, np.zeros(len(values), dtype=np.int64)).rows
            assert not rows["rejection"].any()
            records = np.zeros((len(values), len(ENTITIES), RECORD_WORDS), dtype=np.int64)
            pack_transactions(rows, records)
            await self._fold(rows["entity_hash"], records)
        if labels:
            decoded = [self._decoded(each) for each in labels]
            of_label = [
                pack_label(
                    transaction_hash=each.transaction_hash,
                    event_time_ms=each.event_time_ms,
                    known_at_ms=each.known_at_ms,
                    is_fraud=each.is_fraud,
                    source=each.source,
                )
                for each in decoded
            ]
            records = np.repeat(np.array(of_label)[:, np.newaxis], len(ENTITIES), axis=1)
            await self._fold(np.array([each.entity_hash for each in decoded], dtype=np.uint64), records)

    async def recompute(self, message: bytes) -> Recomputed:
        """From what the histories hold now."""
        decision, payment = Decision.FromString(message), self.payments.read(message)
        recomputation, decided = self.recomputation(decision, payment)
        keys = recomputation.keys(decided)
        histories = await self.parts.store.read(keys.keys) if keys.keys else []
        return recomputation.compare(decided, keys, histories, [b""] * len(keys.keys))

    def recomputation(self, decision: Decision, payment: Payment) -> tuple[Recomputation, Decided]:
        model = model_of(tier_of(decision), self.models)
        assert model is not None
        names = model.scoring.feature_names
        decided = Decided(
            names,
            np.array(decision.feature_vector),
            payment.row,
            stale=tier_of(decision) is Tier.DEGRADED_STALE,
            approximate=tuple(decision.approximate_entities),
            saw_calls=decision.origin == ORIGIN_CALL,
        )
        return Recomputation(make_online_features(make_plan(names), LAYOUT, self.contract)), decided

    def _decoded(self, label: Label) -> DecodedLabel:
        decoded = self._labels.decode(label.SerializeToString(), 0)
        assert isinstance(decoded, DecodedLabel)
        return decoded

    async def _fold(self, entity_hashes: NDArray[np.uint64], records: NDArray[np.int64]) -> None:
        self._folds += 1
        batch = plan_fold(
            source=f"log:{self._folds}",
            new=records.shape[0] - 1,
            offsets=np.arange(records.shape[0]),
            entity_hashes=entity_hashes,
            records=records,
            known=np.full(LAYOUT.shard_count, -1, dtype=np.int64),
        )
        await self.parts.store.fold(batch)
