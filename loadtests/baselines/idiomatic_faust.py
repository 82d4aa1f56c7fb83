"""The same work as the fold's, as Faust and redis-py are used: an agent, an event at a time, a pipeline for each.

It keeps a record for each entity that a payment names. It does less than the project's worker: nothing is validated,
and an event that is delivered twice counts twice.
"""

import os
import struct
from typing import Any, Final

import faust
from fraud.v1.transaction_pb2 import Transaction
from redis.asyncio import Redis

TTL_S: Final = 120 * 86_400
RECORD: Final = struct.Struct("<qqHBB")

app = faust.App(
    os.environ["BASELINE_GROUP"],
    broker=f"kafka://{os.environ['BASELINE_KAFKA']}",
    consumer_auto_offset_reset="earliest",
    topic_allow_declare=False,
    topic_disable_leader=True,
    web_enabled=False,
)
transactions = app.topic(os.environ["BASELINE_TOPIC"], value_serializer="raw")
redis = Redis.from_url(os.environ["BASELINE_REDIS"])


@app.agent(transactions)  # type: ignore[untyped-decorator]  # Faust is untyped
async def remember(values: Any) -> None:
    async for value in values:
        payment = Transaction.FromString(value)
        record = RECORD.pack(payment.event_time_ms, payment.amount_minor, payment.mcc, payment.channel, payment.outcome)
        pipeline = redis.pipeline(transaction=False)
        for entity, identifier in (
            ("customer", payment.customer_id),
            ("card", payment.card_id),
            ("terminal", payment.terminal_id),
        ):
            if identifier:
                key = f"{entity}:{identifier}"
                pipeline.rpush(key, record)
                pipeline.expire(key, TTL_S)
        await pipeline.execute()


if __name__ == "__main__":
    app.main()
