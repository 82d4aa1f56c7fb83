"""Features for those who ask by name: of entities as of a time, or of a transaction as it would be scored."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue import VIEWS, feature_set_version, view
from feature_service.contract_settings import ContractSettings
from feature_service.errors import CatalogueError, HorizonError
from feature_service.freshness import ConfirmedTimes
from feature_service.identity import IdKey, hash_token
from feature_service.kernel import READ_BEFORE_HORIZON
from feature_service.online import OnlineFeatures, approximate_entities
from feature_service.plan import make_plan
from feature_service.records import DECODED, ENTITIES, ENTITY_INDEX
from feature_service.settings import make_online_features
from feature_service.stores.base import HistoryReader


@dataclass(frozen=True, slots=True)
class NamedFeatures:
    names: tuple[str, ...]
    values: list[float]  # NaN is missing
    feature_set_version: str
    as_of_ms: int
    freshness_ms: int | None
    approximate_entities: tuple[str, ...]


class FeatureLookup:
    """For one event loop."""

    def __init__(self, reader: HistoryReader, contract: ContractSettings, id_key: IdKey) -> None:
        self._reader = reader
        self._id_key = id_key
        self._views: dict[str, OnlineFeatures] = {
            name: make_online_features(make_plan(each.names), reader.layout, contract) for name, each in VIEWS.items()
        }
        self.times = ConfirmedTimes()

    async def of_entities(
        self, view_name: str, keys: Sequence[tuple[str, str]], *, as_of_ms: int, now_ms: int
    ) -> NamedFeatures:
        """Of (entity, id) pairs; features of the request, and of entities not named, are missing.

        Raises: CatalogueError, TokenError, HorizonError, HistoryFormatError, StoreUnavailableError.
        """
        row = np.zeros(1, dtype=DECODED)
        row["event_time_ms"] = as_of_ms
        for entity, token in keys:
            if entity not in ENTITY_INDEX:
                raise CatalogueError(f"unknown entity {entity!r}: use one of {', '.join(ENTITIES)}")
            if row["entity_hash"][0, ENTITY_INDEX[entity]] != 0:
                raise CatalogueError(f"two ids for the entity {entity!r}: ask for one at a time")
            row["entity_hash"][0, ENTITY_INDEX[entity]] = hash_token(token, self._id_key)
        return await self.of_row(view_name, row, now_ms=now_ms)

    async def of_row(self, view_name: str, row: NDArray[np.void], *, now_ms: int) -> NamedFeatures:
        """Of one DECODED row (1,), as of its event time. Raises as above, TokenError aside."""
        names = view(view_name).names
        features = self._views[view_name]
        keys = features.keys(row)
        vectors = features.vectors(row, keys, await self._reader.read(keys.keys))
        if vectors.statuses[0] & READ_BEFORE_HORIZON:
            raise HorizonError("as_of_ms lies so far back that records of these entities may be gone already")
        return NamedFeatures(
            names,
            vectors.values[0].tolist(),
            feature_set_version(names),
            int(row["event_time_ms"][0]),
            self.times.ages_ms(row, list(features.plan.entities), now_ms)[0],
            approximate_entities(int(vectors.statuses[0])),
        )
