"""The bytes of a fold are what any client library would write for the same command."""

import hiredis
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from feature_service.records import ENTITIES
from feature_service.stores.fold_batch import FoldBatch, plan_fold, plan_heartbeat
from feature_service.stores.layout import HEADER, RECORD_BYTES, StoreLayout
from feature_service.stores.resp import FUNCTION, encode_fold

RETENTION_MS = 44 * 86_400_000
TTL_S = 5_184_000
CAP = 2_048


def renewed(batch: FoldBatch) -> NDArray[np.uint8]:
    return np.where(batch.hashes & np.uint64(1), ord("1"), ord("0")).astype(np.uint8)


def commands(batch: FoldBatch, layout: StoreLayout) -> list[list[bytes]]:
    """As a server's parser reads them: one in each piece, and nothing left over."""
    reader = hiredis.Reader()
    found = []
    marks = renewed(batch)
    for piece in encode_fold(batch, layout, marks, retention_ms=RETENTION_MS, ttl_s=TTL_S, history_cap=CAP):
        reader.feed(bytes(piece))
        found.append(reader.gets())
        assert not reader.has_data()
    return found


def expected(batch: FoldBatch, layout: StoreLayout) -> list[list[bytes]]:
    found = []
    for call, shard in enumerate(batch.shards.tolist()):
        keys, runs = [layout.fence_key(shard)], []
        for group in range(batch.call_groups[call], batch.call_groups[call + 1]):
            keys.append(layout.history_key(ENTITIES[batch.entities[group]], int(batch.hashes[group])))
            runs.append(batch.records[batch.group_records[group] : batch.group_records[group + 1]].tobytes())
        marks = renewed(batch)[batch.call_groups[call] : batch.call_groups[call + 1]].tobytes()
        numbers = (batch.known[call], batch.new[call], batch.confirmed_at_ms, RETENTION_MS, TTL_S)
        found.append(
            [b"FCALL", FUNCTION.encode(), b"%d" % len(keys), *keys, layout.layout_id.encode(), batch.source.encode()]
            + [b"%d" % number for number in numbers]
            + [HEADER, b"%d" % RECORD_BYTES, b"%d" % (len(HEADER) + CAP * RECORD_BYTES), marks, *runs]
        )
    return found


@given(
    seed=st.integers(0, 2**32),
    size=st.integers(0, 40),
    shard_count=st.sampled_from([1, 7, 64, 1_000]),
    known=st.sampled_from([-1, 0, 9, 10, 2**53]),
    source=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=800),
    generation=st.sampled_from([1, 10, 10**18]),
)
@settings(max_examples=150, derandomize=True, deadline=None)
def test_a_fold_is_written_as_a_client_would_write_it(
    seed: int, size: int, shard_count: int, known: int, source: str, generation: int
) -> None:
    draw = np.random.default_rng(seed)
    layout = StoreLayout(shard_count=shard_count, key_fingerprint="0a1b2c3d", generation=generation)
    hashes = draw.integers(0, 2**64 - 1, size=(size, 6), dtype=np.uint64, endpoint=True)
    hashes[draw.random(hashes.shape) < 0.3] = 0
    hashes[draw.random(hashes.shape) < 0.2] = 2**64 - 1
    batch = plan_fold(
        source=source,
        new=known + size + 1,
        offsets=known + 1 + np.arange(size),
        entity_hashes=hashes,
        records=draw.integers(-(2**63), 2**63 - 1, size=(size, 6, 9)),
        known=np.full(shard_count, known),
    )
    assert commands(batch, layout) == expected(batch, layout)


def test_a_long_source_has_room_in_every_call() -> None:
    """The writer does not check bounds: a buffer too small would be silent damage."""
    layout = StoreLayout(shard_count=1_000, key_fingerprint="0a1b2c3d", generation=10**18)
    shards = np.arange(1_000)
    batch = plan_heartbeat(
        source="s" * 900, shards=shards, known=shards + 2**53, new=shards + 2**54, confirmed_at_ms=2**53
    )
    assert commands(batch, layout) == expected(batch, layout)


def test_a_heartbeat_has_the_fence_as_its_only_key() -> None:
    layout = StoreLayout(shard_count=64, key_fingerprint="0a1b2c3d")
    batch = plan_heartbeat(
        source="s",
        shards=np.array([63, 0]),
        known=np.array([-1, 2**40]),
        new=np.array([0, 2**40 + 1]),
        confirmed_at_ms=1_700_000_000_000,
    )
    assert commands(batch, layout) == expected(batch, layout)
    assert commands(batch, layout)[0][2:4] == [b"1", b"g1:{63}:fence"]
