from pathlib import Path

import numpy as np

from feature_service.contract_settings import ContractSettings
from feature_service.identity import IdKey, hash_token
from feature_service.lookup import FeatureLookup
from feature_service.stores.fold_batch import plan_fold
from feature_service.stores.layout import StoreLayout
from feature_service.stores.memory_store import MemoryHistoryStore
from tests.oracle.payments import Payment, log_of

ID_KEY = IdKey.from_hex("000102030405060708090a0b0c0d0e0f")
NOW_MS = 1_700_000_000_000


async def test_an_entity_with_very_many_records_is_named() -> None:
    store = MemoryHistoryStore(StoreLayout(shard_count=1, key_fingerprint="test"))
    lookup = FeatureLookup(store, ContractSettings(id_hash_key_file=Path("not read")), ID_KEY)
    busy, quiet = hash_token("busy", ID_KEY), hash_token("quiet", ID_KEY)
    hashes, records = log_of(
        [
            Payment(transaction=1 + index, time_ms=NOW_MS - index, entities={"card": busy, "customer": quiet})
            if index < 1_000
            else Payment(transaction=1 + index, time_ms=NOW_MS - index, entities={"card": busy})
            for index in range(1_500)
        ]
    )
    await store.fold(
        plan_fold(
            source="s",
            new=1_499,
            offsets=np.arange(1_500),
            entity_hashes=hashes,
            records=records,
            known=np.full(1, -1),
        )
    )
    keys = [("card", "busy"), ("customer", "quiet")]
    found = await lookup.of_entities("production", keys, as_of_ms=NOW_MS, now_ms=NOW_MS)
    assert found.approximate_entities == ("card",)
    assert found.values[found.names.index("card_count_30d")] == 1_500
    found = await lookup.of_entities("handbook", keys, as_of_ms=NOW_MS, now_ms=NOW_MS)
    assert found.approximate_entities == ()  # no window of the card's is read
