"""Faust's Kafka transport, with one message per fetched batch of a partition instead of one per record.

The only package that knows the internals of Faust and aiokafka. It is written for the versions named in `app`, and each
override has a test of its own, so that an upgrade which moves something fails by name.

To Faust's worker, agents, consumer group and sensors it adds: a start position computed by an owner (from fences, not
from commits), a rewind while running, and commits of what the owner calls done (not of what an agent has iterated
over). An **epoch** per partition keeps what was fetched before a seek apart from what comes after it.
"""

from stream_processor.transport.app import BatchApp, BatchHandler, batch_agent, create_app, run
from stream_processor.transport.consumer import BatchConsumer, PartitionOwner
from stream_processor.transport.settings import TransportSettings

__all__ = [
    "BatchApp",
    "BatchConsumer",
    "BatchHandler",
    "PartitionOwner",
    "TransportSettings",
    "batch_agent",
    "create_app",
    "run",
]
