"""Long histories that folding names become short ones, one after another, whatever happens to some of them."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from feature_service.errors import StoreUnavailableError
from feature_service.stores.layout import COMPACTED_HEADER, HEADER, StoreLayout
from feature_service.stores.memory_store import MemoryHistoryStore
from stream_processor.compaction import Compactor
from telemetry.metrics import configure_metrics
from tests.oracle.folds import fold_of
from tests.oracle.payments import Payment, histories_of

NOW_MS = 1_700_000_000_000
CARDS = (1, 2, 3)


class WatchedStore(MemoryHistoryStore):
    """Tells of each swap whether it was done; `away` cannot be read, and `trimmed` loses its oldest before the swap."""

    def __init__(self) -> None:
        super().__init__(StoreLayout(shard_count=1, key_fingerprint="test"))
        self.swaps: asyncio.Queue[tuple[bytes, bool]] = asyncio.Queue()
        self.away = b""
        self.trimmed = b""

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        if self.away in keys:
            raise StoreUnavailableError("away")
        return await super().read(keys)

    async def swap(self, key: bytes, read: bytes, compacted: bytes) -> bool:
        if key == self.trimmed:
            del self._histories[key][len(HEADER) : len(HEADER) + 72]
        swapped = await super().swap(key, read, compacted)
        await self.swaps.put((key, swapped))
        return swapped


@pytest.fixture
async def store() -> WatchedStore:
    return WatchedStore()


@pytest.fixture
async def compactor(store: WatchedStore) -> AsyncIterator[Compactor]:
    compactor = Compactor(store, configure_metrics("test", {}))
    running = asyncio.create_task(compactor.run())
    yield compactor
    running.cancel()
    await asyncio.wait([running])


async def fold(store: WatchedStore, count: int) -> Sequence[bytes]:
    """So many payments of every card; returns the keys that are named long."""
    payments = [
        Payment(transaction=1 + index, time_ms=NOW_MS + index * 1_000, entities={"card": card})
        for index in range(count)
        for card in CARDS
    ]
    runs = {card: histories_of(payments)[1, card] for card in CARDS}
    return await store.fold(fold_of([(card, row) for card, run in runs.items() for row in run], known=[-1], new=0))


async def header(store: WatchedStore, key: bytes) -> bytes:
    (value,) = await store.read([key])
    assert value is not None
    return value[: len(HEADER)]


async def test_what_folding_names_is_compacted(store: WatchedStore, compactor: Compactor) -> None:
    keys = await fold(store, 2_500)
    assert len(keys) == len(CARDS)
    compactor.add(keys)
    assert sorted([await store.swaps.get() for _ in keys]) == sorted((key, True) for key in keys)
    assert [await header(store, key) for key in keys] == [COMPACTED_HEADER] * len(keys)


async def test_a_failure_leaves_one_history_and_no_other(store: WatchedStore, compactor: Compactor) -> None:
    keys = await fold(store, 2_500)
    store.away, store.trimmed = keys[0], keys[1]
    compactor.add([b"nothing there", *keys])
    assert [await store.swaps.get(), await store.swaps.get()] == [(keys[1], False), (keys[2], True)]
    store.away = store.trimmed = b""
    assert [await header(store, key) for key in keys] == [HEADER, HEADER, COMPACTED_HEADER]
    compactor.add(keys[:2])  # named again
    assert [await store.swaps.get(), await store.swaps.get()] == [(keys[0], True), (keys[1], True)]
