"""Who serves which slot, from what the nodes of a cluster say."""

import pytest

from feature_service.stores.cluster_url import Address
from feature_service.stores.layout import StoreLayout
from feature_service.stores.slot_map import NOBODY, SlotMap, redirected_to

ASKED = Address("asked", 7000)
A, B = Address("10.0.0.1", 7001), Address("10.0.0.2", 7002)
# first, last, master, replicas; each with its id, and what else a newer server may say
ANSWER = [
    [0, 8_191, [b"10.0.0.1", 7001, b"id-a", [b"hostname", b"a"]], [b"10.0.0.9", 7009, b"id-r", []]],
    [8_193, 16_383, [b"10.0.0.2", 7002, b"id-b", []]],
]


def test_slots_are_their_masters_and_no_replica_serves_any() -> None:
    slots = SlotMap.parse(ANSWER, ASKED)
    assert [slots.owners[slot] for slot in (0, 8_191, 8_192, 8_193, 16_383)] == [A, A, None, B, B]
    assert len(slots.owners) == 16_384
    assert slots.masters == {A, B}


@pytest.mark.parametrize("host", [None, b""])
def test_a_node_may_leave_its_own_host_out(host: bytes | None) -> None:
    slots = SlotMap.parse([[0, 16_383, [host, 7001, b"id", []]]], ASKED)
    assert slots.masters == {Address("asked", 7001)}


def test_a_node_without_a_name_where_names_are_wanted_serves_nobody() -> None:
    assert SlotMap.parse([[0, 16_383, [b"?", 7001, b"id", []]]], ASKED) == NOBODY


def test_keys_are_split_by_owner_and_keep_their_order() -> None:
    layout = StoreLayout(shard_count=64, key_fingerprint="0a1b2c3d")
    keys = [layout.fence_key(shard) for shard in range(64)]
    parts = SlotMap.parse(ANSWER, ASKED).by_owner(keys)
    assert set(parts) == {A, B}
    assert sorted(parts[A] + parts[B]) == list(range(64))
    assert all(places == sorted(places) for places in parts.values())


def test_a_key_lies_where_its_hash_tag_does() -> None:
    layout = StoreLayout(shard_count=64, key_fingerprint="0a1b2c3d")
    for shard in range(64):
        keys = [layout.fence_key(shard), *(layout.history_key("card", shard + 64 * number) for number in range(3))]
        assert list(SlotMap.parse(ANSWER, ASKED).by_owner(keys).values()) == [[0, 1, 2, 3]]


def test_what_nobody_serves_is_told_apart() -> None:
    assert NOBODY.by_owner([b"a", b"b"]) == {None: [0, 1]}
    assert NOBODY.masters == frozenset()


@pytest.mark.parametrize(
    ("refusal", "target"),
    [
        ("ASK 3999 10.0.0.2:7002", B),
        ("MOVED 3999 ::1:7002", Address("::1", 7002)),
        ("ASK 3999 :7002", Address("asked", 7002)),
    ],
)
def test_a_refusal_says_where_to_ask(refusal: str, target: Address) -> None:
    assert redirected_to(refusal, ASKED) == target
