"""The consumer group's acknowledgements where the log has moved past them: without a move no worker would start."""

from collections.abc import Mapping

import aiokafka
from aiokafka.errors import CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError

from stream_processor.errors import BackfillConflictError
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.record_batch import TopicPartition

_GROUP_IS_ACTIVE = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)


async def give_up_lost_records(
    connection: KafkaConnection, group: str, starts: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Have the group acknowledge what lies before `starts`; returns how many records of each partition that gives up.

    They were never scored nor published, and no longer can be. A partition without a commit stays without one.

    Raises: BackfillConflictError where workers of the group run; aiokafka's KafkaError.
    """
    consumer = aiokafka.AIOKafkaConsumer(**connection.client_arguments(), group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(list(starts))
        committed = {tp: await consumer.committed(tp) for tp in starts}
        lost = {
            tp: start - committed[tp]
            for tp, start in starts.items()
            if committed[tp] is not None and committed[tp] < start
        }
        if lost:
            await consumer.commit({aiokafka.TopicPartition(*tp): starts[tp] for tp in lost})
    except _GROUP_IS_ACTIVE as error:
        raise BackfillConflictError(
            f"workers of the group {group} run, though the log starts after what they have acknowledged: stop them, "
            "then run the same backfill again"
        ) from error
    finally:
        await consumer.stop()
    return lost
