"""The masters of a Redis Cluster: one pipe to each, and a map of who serves which slot.

The map is taken from whichever node answers, and anew when an answer says that it is out of date or a master does not
answer. What a node refuses because the slot is elsewhere was not applied: the identical command follows it there, once.
Answers that are lost are the caller's, who knows what may be asked again. No replica is ever asked: a node that is none
of the slot's masters redirects.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any, Final

from redis.exceptions import ResponseError

from feature_service.errors import StoreUnavailableError
from feature_service.stores.cluster_node import ClusterNode, first_map
from feature_service.stores.cluster_url import Address, ClusterUrl
from feature_service.stores.function_call import NO_CALL, FunctionCall
from feature_service.stores.redis_answers import accepted
from feature_service.stores.redis_pipe import RedisPipe, encode_command
from feature_service.stores.slot_map import NOBODY, redirected_to

_ASKING: Final = encode_command(b"ASKING")
# What a failover brings; the map may be another soon.
_UNSETTLED: Final = ("CLUSTERDOWN", "LOADING", "READONLY", "MASTERDOWN")
_PACE_S: Final = 0.05  # between two looks at a cluster that is not whole


class RedisCluster:
    """`RedisServers` of a cluster."""

    def __init__(self, url: ClusterUrl, *, timeout_s: float) -> None:
        """Raises: StoreError for options that the client library does not know."""
        self._url = url
        self._timeout_s = timeout_s
        self._seeds = [self._make_node(seed) for seed in url.seeds]
        self._slots = NOBODY
        self._nodes: dict[Address, ClusterNode] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._looked_s = -inf  # of the event loop's clock
        self._look_again_s = -inf

    async def open(self) -> None:
        await self._look()
        await asyncio.gather(*(node.prepare() for node in self._nodes.values()))

    async def close(self) -> None:
        if self._looking is not None:
            await asyncio.wait({self._looking})
        nodes = [*self._seeds, *self._nodes.values()]
        await asyncio.gather(*(node.close() for node in nodes), *self._leaving)

    async def call(self, keys: Sequence[bytes], commands: Sequence[bytes | memoryview]) -> list[Any]:
        if asyncio.get_running_loop().time() >= self._look_again_s:
            await self._look()
        answers: list[Any] = [None] * len(commands)
        parts = self._slots.by_owner(keys)
        await self._send(parts, commands, answers)
        moved, asked = self._redirected(parts, answers)
        if moved:
            await self._look()
            places = self._slots.by_owner([keys[place] for place in moved])
            await self._send({owner: [moved[at] for at in part] for owner, part in places.items()}, commands, answers)
        if asked:
            await self._send(asked, commands, answers, asking=True)
        return answers

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        values, _ = await self.read_and_call(keys, NO_CALL)
        return values

    async def read_and_call(
        self, keys: Sequence[bytes], call: FunctionCall
    ) -> tuple[list[bytes | None], list[Any] | ResponseError]:
        # One by one: keys of different slots cannot be read together, nor those of a slot that is being moved.
        all_keys = [*keys, *call.keys]
        all_commands = [*(encode_command(b"GET", key) for key in keys), *call.one_by_one()]
        try:
            answers = await self.call(all_keys, all_commands)
            values = accepted(answers[: len(keys)])
        except StoreUnavailableError:  # perhaps of a master that has been replaced; this may be asked again
            answers = await self.call(all_keys, all_commands)
            values = accepted(answers[: len(keys)])
        found: list[Any] = []
        for answer in answers[len(keys) :]:
            if isinstance(answer, ResponseError):
                return values, answer
            found += answer
        return values, found

    async def _send(
        self,
        parts: Mapping[Address | None, Sequence[int]],
        commands: Sequence[bytes | memoryview],
        answers: list[Any],
        *,
        asking: bool = False,
    ) -> None:
        """Fill in the answers at the places of each part.

        Raises, once all that was sent is answered or lost: StoreUnavailableError.
        """
        if None in parts:
            self._doubt()
            raise StoreUnavailableError("a slot of the Redis cluster is served by nobody")
        sent = []
        for owner, places in parts.items():
            assert owner is not None
            wanted = [commands[place] for place in places]
            sent.append(self._node(owner).call(_after_asking(wanted) if asking else wanted))
        try:
            answered = await asyncio.gather(*sent, return_exceptions=True)
        except asyncio.CancelledError:  # given up, perhaps on a master that is silent because it is being replaced
            self._doubt()
            raise
        lost: BaseException | None = None
        for places, found in zip(parts.values(), answered, strict=True):
            if isinstance(found, BaseException):
                lost = found
            else:
                for place, answer in zip(places, found[1::2] if asking else found, strict=True):
                    answers[place] = answer
        if lost is not None:
            self._doubt()
            try:
                raise lost
            finally:  # a frame that keeps what went through it is garbage that only a collection takes away
                del lost, found, answered, sent

    def _redirected(
        self, parts: Mapping[Address | None, Sequence[int]], answers: Sequence[Any]
    ) -> tuple[list[int], dict[Address | None, list[int]]]:
        """The places whose slot has moved, and by target those whose key is on its way there."""
        moved: list[int] = []
        asked: dict[Address | None, list[int]] = {}
        for owner, places in parts.items():
            for place in places:
                if not isinstance(answers[place], ResponseError):
                    continue
                refusal = str(answers[place])
                if refusal.startswith("MOVED "):
                    moved.append(place)
                elif refusal.startswith("ASK ") and owner is not None:
                    asked.setdefault(redirected_to(refusal, owner), []).append(place)
                elif refusal.startswith(_UNSETTLED):
                    self._doubt()
        return moved, asked

    def _doubt(self) -> None:
        """The map is looked at again before the next call, unless that was done just now."""
        self._look_again_s = min(self._look_again_s, self._looked_s + _PACE_S)

    async def _look(self) -> None:
        """Take the map anew; those who wait, wait for the same look. Raises: StoreUnavailableError, StoreError."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._take_map())
        await asyncio.shield(self._looking)

    async def _take_map(self) -> None:
        is_settled = False
        try:
            slots, is_settled = await first_map(self._nodes.values())
            if slots is None:
                slots, is_settled = await first_map(self._seeds)
        finally:
            self._looked_s = asyncio.get_running_loop().time()
            self._look_again_s = inf if is_settled else self._looked_s + _PACE_S
        if slots is None:
            raise StoreUnavailableError(f"no node of the Redis cluster answers, first of all {self._url.seeds[0]}")
        self._slots = slots
        for address in self._nodes.keys() - slots.masters:
            leaving = asyncio.create_task(self._nodes.pop(address).close())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        for address in slots.masters:
            self._node(address)

    def _node(self, address: Address) -> ClusterNode:
        if address not in self._nodes:
            self._nodes[address] = self._make_node(address)
        return self._nodes[address]

    def _make_node(self, address: Address) -> ClusterNode:
        return ClusterNode(address, RedisPipe(self._url.of(address), timeout_s=self._timeout_s))


def _after_asking(commands: Iterable[bytes | memoryview]) -> list[bytes | memoryview]:
    return [each for command in commands for each in (_ASKING, command)]
