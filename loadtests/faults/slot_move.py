"""A slot of a Redis Cluster on its way from one master to another."""

from fraudctl.cluster.ports import HOST
from fraudctl.cluster.redis_cluster import RedisCluster


class SlotMove:
    """Begun when it is made; then a key at a time, and finished."""

    def __init__(self, cluster: RedisCluster, slot: int) -> None:
        self.slot = slot
        self.cluster = cluster
        self.source = cluster.master_of(slot)
        self.target = next(master for master in cluster.masters() if master is not self.source)
        self._ids = {each: each.ask("CLUSTER MYID").decode() for each in (self.source, self.target)}
        self.target.ask("CLUSTER SETSLOT", slot, "IMPORTING", self._ids[self.source])
        self.source.ask("CLUSTER SETSLOT", slot, "MIGRATING", self._ids[self.target])

    def key(self, key: bytes) -> None:
        assert self.source.ask("MIGRATE", HOST, self.target.port, key, 0, 5_000) == b"OK"

    def rest(self) -> None:
        # In turns: what is not moved when the slot is would be lost, a fence perhaps.
        while keys := self.source.ask("CLUSTER GETKEYSINSLOT", self.slot, 1_000):
            for key in keys:
                self.key(key)

    def finish(self) -> None:
        assert not self.source.ask("CLUSTER COUNTKEYSINSLOT", self.slot)
        for master in (self.target, *self.cluster.masters()):
            master.ask("CLUSTER SETSLOT", self.slot, "NODE", self._ids[self.target])
