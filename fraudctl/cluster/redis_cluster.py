"""A Redis Cluster on this machine: three masters and a replica of each, as processes."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import redis

from fraudctl.cluster.errors import StartError
from fraudctl.cluster.ports import HOST, free_port
from fraudctl.cluster.processes import POLL_S
from fraudctl.cluster.redis import PROBE_TIMEOUT_S, RedisServer

MASTERS: Final = 3
NODE_TIMEOUT_MS: Final = 1_000  # after which a silent node is taken for dead, and its replica takes over
WHOLE_TIMEOUT_S: Final = 60.0
_SLOTS: Final = 16_384


class ClusterServer(RedisServer):
    """One of its servers, and how that one sees the cluster now. What is asked raises: redis.RedisError."""

    def __init__(self, directory: Path, *, port: int, bus_port: int) -> None:
        self.bus_port = bus_port  # the usual one, 10,000 above, may belong to an outgoing connection
        options = {
            "--cluster-enabled": "yes",
            "--cluster-port": str(self.bus_port),
            "--cluster-node-timeout": str(NODE_TIMEOUT_MS),
            "--cluster-allow-replica-migration": "no",
        }
        super().__init__(directory, port=port, options=[word for option in options.items() for word in option])

    def ask(self, *command: bytes | str | int) -> Any:
        """The answer as the server gives it, undecoded."""
        with redis.Redis.from_url(self.url, socket_timeout=PROBE_TIMEOUT_S, protocol=2) as client:
            client.response_callbacks.clear()
            return client.execute_command(*command)

    @property
    def is_master(self) -> bool:
        return bool(self.ask("ROLE")[0] == b"master")

    @property
    def followed_port(self) -> int | None:
        """Of the master that this replica is in step with."""
        role = self.ask("ROLE")
        return int(role[2]) if role[0] == b"slave" and role[3] == b"connected" else None

    @property
    def is_content(self) -> bool:
        """Whether it sees a master for each slot, and is in touch with most of them."""
        return b"cluster_state:ok" in self.ask("CLUSTER INFO")

    @property
    def is_writing_its_files(self) -> bool:
        """Anew, in a process of its own: what a replica does with all that it got from its master."""
        persistence = self.ask("INFO", "persistence")
        return any(
            b"%b:1\r" % what in persistence
            for what in (b"aof_rewrite_in_progress", b"aof_rewrite_scheduled", b"rdb_bgsave_in_progress")
        )

    def knows(self, servers: int) -> bool:
        return b"cluster_known_nodes:%d\r" % servers in self.ask("CLUSTER INFO")

    def owners(self) -> Sequence[tuple[int, int, int]]:
        """(first slot, last slot, port of their master)."""
        return [(first, last, master[1]) for first, last, master, *_ in self.ask("CLUSTER SLOTS")]


class RedisCluster:
    """Its servers are masters and replicas by turns."""

    def __init__(self, directory: Path) -> None:
        ports: set[int] = set()
        while len(ports) < 4 * MASTERS:
            ports.add(free_port())
        self.servers: Final = [
            ClusterServer(directory / str(number), port=ports.pop(), bus_port=ports.pop())
            for number in range(2 * MASTERS)
        ]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"{HOST}:{server.port}" for server in self.servers)

    def start(self) -> None:
        """All servers, each slot served, each replica in step, and nothing left to do; what runs already stays.

        Raises: ClusterError.
        """
        for server in self.servers:
            server.launch()
        for server in self.servers:
            server.wait_until_ready()
        if all(server.knows(1) for server in self.servers):
            self._join()
        _wait_until(self._is_whole, "whole")

    def wait_until_settled(self) -> None:
        """Until each server that runs sees a master for each slot. Raises: ClusterError."""
        running = [server for server in self.servers if server.pid is not None]
        _wait_until(lambda: all(server.is_content for server in running), "settled")

    def stop(self) -> None:
        for server in self.servers:
            server.stop()

    def masters(self) -> list[ClusterServer]:
        """Those that run."""
        return [server for server in self.servers if server.pid is not None and server.is_master]

    def master_of(self, slot: int) -> ClusterServer:
        """As the masters see it; they agree, unless the slot has just been moved."""
        owners = self.masters()[0].owners()
        port = next(port for first, last, port in owners if first <= slot <= last)
        return next(server for server in self.servers if server.port == port)

    def replica_of(self, master: ClusterServer) -> ClusterServer:
        return next(server for server in self.servers if server.pid is not None and server.followed_port == master.port)

    def _is_whole(self) -> bool:
        """Every server is content and at rest, all name the same masters, and each of those has a replica in step."""
        masters = {server.port for server in self.servers if server.is_master}
        return {port for server in self.servers if (port := server.followed_port)} == masters and all(
            server.is_content
            and not server.is_writing_its_files
            and {port for _, _, port in server.owners()} == masters
            for server in self.servers
        )

    def _join(self) -> None:
        """Make fresh servers one cluster: the first half masters, the second half their replicas."""
        masters, replicas = self.servers[:MASTERS], self.servers[MASTERS:]
        starts = [_SLOTS * number // MASTERS for number in range(MASTERS + 1)]
        for number, master in enumerate(masters):
            master.ask("CLUSTER SET-CONFIG-EPOCH", number + 1)
            master.ask("CLUSTER ADDSLOTSRANGE", starts[number], starts[number + 1] - 1)
        first, *others = self.servers
        for other in others:
            first.ask("CLUSTER MEET", HOST, other.port, other.bus_port)
        _wait_until(lambda: all(server.knows(len(self.servers)) for server in self.servers), "introduced")
        for master, replica in zip(masters, replicas, strict=True):
            replica.ask("CLUSTER REPLICATE", master.ask("CLUSTER MYID").decode())


def _wait_until(condition: Callable[[], bool], state: str) -> None:
    deadline_s = time.monotonic() + WHOLE_TIMEOUT_S
    while True:
        try:
            if condition():
                return
        except redis.RedisError:  # one of them is still loading
            pass
        if time.monotonic() > deadline_s:
            raise StartError(f"the Redis cluster was not {state} within {WHOLE_TIMEOUT_S:.0f} s")
        time.sleep(POLL_S)
