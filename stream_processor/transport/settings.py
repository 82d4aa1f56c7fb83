"""How a worker reads: its group, its patience, the size of its batches."""

from dataclasses import dataclass

from stream_processor.kafka_connection import KafkaConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportSettings:
    group: str  # consumer group
    connection: KafkaConnection
    max_batch_records: int = 2_000
    buffered_batches: int = 4  # fetched and waiting, per partition
    coalesce_ms: int = 3  # the least time between two fetches that are not full
    patient_topics: frozenset[str] = frozenset()  # whose records nobody waits for
    patience_ms: int = 250  # the least time between two such fetches of theirs
    fetch_max_wait_ms: int = 50  # how long a broker holds an empty fetch: what a seek or a look at the log waits for
    session_timeout_ms: int = 8_000  # how long a killed worker's partitions stay unread
    heartbeat_interval_ms: int = 500  # how soon a worker hears of a rebalance
    rebalance_timeout_ms: int = 30_000  # how long the others wait for a worker to finish its batches
    commit_interval_ms: int = 1_000
    start_timeout_ms: int = 10_000  # for the owner's start positions; must stay below request_timeout_ms
    request_timeout_ms: int = 40_000
    stop_timeout_ms: int = 10_000  # after which a failed worker ends without further ado
    metadata_max_age_ms: int = 5_000  # how soon partitions added to a topic are read
