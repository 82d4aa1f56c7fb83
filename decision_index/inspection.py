"""One decision looked at again, put together: found in the index, replayed, and recomputed from the histories."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from fraud.v1.decision_pb2 import ORIGIN_CALL, Decision

from decision_index.bundles import Bundles, find_policy
from decision_index.errors import BundleUnknownError, PolicyUnknownError
from decision_index.lookup import IndexReader
from decision_index.payment import Payment, PaymentReader
from decision_index.recompute import Decided, Recomputation, Recomputed
from decision_index.replay import Absent, KnownPolicy, Verdict, model_of, replay, tier_of
from feature_service.catalogue import VIEWS, feature_set_version
from feature_service.contract_settings import ContractSettings
from feature_service.errors import CatalogueError
from feature_service.plan import make_plan
from feature_service.settings import make_online_features
from feature_service.stores.attempts import attempt_records
from feature_service.stores.layout import StoreLayout, attempts_key
from scorer.errors import BundleError
from scorer.policy import Tier
from scorer.serving import Models

_NOTHING: Final = Absent("the decision rests on no features")


class HistoryReader(Protocol):
    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """The values under keys; None where there is none. Raises: StoreUnavailableError."""
        ...


@dataclass(frozen=True, slots=True)
class Replayed:
    decision: Decision
    payment: Payment
    verdict: Verdict
    models: Models | Absent


class Inspector:
    """Not for concurrent use by threads."""

    def __init__(
        self,
        index: IndexReader,
        bundles: Bundles,
        payments: PaymentReader,
        layout: StoreLayout,
        contract: ContractSettings,
    ) -> None:
        self._index = index
        self._bundles = bundles
        self._payments = payments
        self._layout = layout
        self._contract = contract

    def replay(self, transaction_id: str) -> Replayed:
        """Raises: UnknownDecisionError, IndexUnavailableError."""
        found = self._index.find(transaction_id)
        decision, payment = found.decision, self._payments.read(found.message)
        models = self._models(decision.model_version)
        verdict = replay(decision, payment, models, self._policy(decision.policy_version))
        return Replayed(decision, payment, verdict, models)

    async def recompute(self, replayed: Replayed, histories: HistoryReader) -> Recomputed | Absent:
        """Raises: StoreUnavailableError, HistoryFormatError."""
        decision, payment = replayed.decision, replayed.payment
        names = self._feature_names(decision, replayed.models)
        if isinstance(names, Absent):
            return names
        if payment.rejection:
            return Absent("the contract refuses the transaction now, so that its histories are not known")
        vector = np.array(decision.feature_vector, dtype=np.float64)
        if len(vector) != len(names):
            return Absent("the captured vector is not of the features that its version names")
        decided = Decided(
            names,
            vector,
            payment.row,
            stale=tier_of(decision) is Tier.DEGRADED_STALE,
            approximate=tuple(decision.approximate_entities),
            saw_calls=decision.origin == ORIGIN_CALL and "attempts" not in decision.skipped_stages,
        )
        recomputation = Recomputation(make_online_features(make_plan(names), self._layout, self._contract))
        keys = recomputation.keys(decided)
        values = await histories.read([*keys.keys, *map(attempts_key, keys.keys)]) if keys.keys else []
        beside = [attempt_records(value or b"") for value in values[len(keys.keys) :]]
        return recomputation.compare(decided, keys, values[: len(keys.keys)], beside)

    def _models(self, model_version: str) -> Models | Absent:
        if not model_version:
            return Absent("no model decided")
        try:
            return self._bundles.models(model_version)
        except (BundleUnknownError, BundleError) as error:
            return Absent(str(error))

    def _policy(self, policy_version: str) -> KnownPolicy | Absent:
        try:
            return find_policy(policy_version, self._index.policy(policy_version), self._bundles)
        except PolicyUnknownError as error:
            return Absent(str(error))

    def _feature_names(self, decision: Decision, models: Models | Absent) -> tuple[str, ...] | Absent:
        """Of the vector, as this code computes them."""
        version = decision.feature_set_version
        if not version:
            return _NOTHING
        known = [view.names for view in VIEWS.values()]
        if not isinstance(models, Absent) and (model := model_of(tier_of(decision), models)) is not None:
            known.insert(0, model.scoring.feature_names)
        for names in known:
            try:
                if feature_set_version(names) == version:
                    return names
            except CatalogueError:
                continue
        return Absent(
            f"this release does not compute features of feature_set_version {version}: their definitions or the kernel "
            "have changed since, or the bundle that names them was not found"
        )
