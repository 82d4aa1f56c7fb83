from dataclasses import replace

import pytest

from feature_service.records import ENTITIES, RECORD
from feature_service.stores.layout import ENTITY_LETTERS, HEADER, HEADER_BYTES, RECORD_BYTES, StoreLayout

LAYOUT = StoreLayout(shard_count=64, key_fingerprint="0a1b2c3d")


def tag(key: bytes) -> bytes:
    """What Redis Cluster hashes to a slot."""
    return key[key.index(b"{") + 1 : key.index(b"}")]


def test_keys_have_the_published_form() -> None:
    assert LAYOUT.fence_key(7) == b"g1:{7}:fence"
    assert LAYOUT.history_key("card", 0xAB) == b"g1:{43}:k:00000000000000ab"


@pytest.mark.parametrize("entity_hash", [1, 63, 64, 2**63, 2**64 - 1])
def test_all_keys_of_a_shard_lie_in_one_slot(entity_hash: int) -> None:
    keys = {LAYOUT.history_key(entity, entity_hash) for entity in ENTITIES}
    assert len(keys) == len(ENTITIES)
    assert {tag(key) for key in keys} == {tag(LAYOUT.fence_key(entity_hash % 64))} == {b"%d" % (entity_hash % 64)}


def test_generations_share_no_key() -> None:
    other = replace(LAYOUT, generation=2)
    assert other.fence_key(7) != LAYOUT.fence_key(7)
    assert other.history_key("card", 7) != LAYOUT.history_key("card", 7)
    assert other.layout_id == LAYOUT.layout_id


def test_another_shard_count_or_hash_key_is_another_layout() -> None:
    layouts = (LAYOUT, replace(LAYOUT, shard_count=32), replace(LAYOUT, key_fingerprint="ffffffff"))
    assert len({layout.layout_id for layout in layouts}) == len(layouts)


def test_no_two_entities_share_a_letter() -> None:
    assert len(set(ENTITY_LETTERS.values())) == len(ENTITIES)
    assert {len(letter) for letter in ENTITY_LETTERS.values()} == {1}


def test_a_history_is_whole_words() -> None:
    assert HEADER_BYTES == len(HEADER) == 8
    assert RECORD_BYTES == RECORD.itemsize == 72
