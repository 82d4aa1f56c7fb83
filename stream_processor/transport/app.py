"""The Faust application of a worker: its configuration, its handlers, and how the process runs and ends."""

import logging
import os
import tempfile
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, NoReturn

import aiokafka
import faust
from mode.supervisors import CrashingSupervisor

from stream_processor.errors import UnsupportedFaustError
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.record_batch import RecordBatch
from stream_processor.transport.consumer import BatchConsumer, BatchTransport, PartitionOwner
from stream_processor.transport.settings import TransportSettings

log = logging.getLogger(__name__)

FAUST_VERSION: Final = "0.15.3"
AIOKAFKA_VERSION: Final = "0.14.0"

BatchHandler = Callable[[RecordBatch], Awaitable[None]]


class BatchApp(faust.App):  # type: ignore[misc]  # Faust is untyped
    owner: PartitionOwner

    def __init__(self, owner: PartitionOwner, settings: TransportSettings, **options: Any) -> None:
        self.owner = owner
        self.transport_settings = settings
        super().__init__(settings.group, **options)

    @property
    def batch_consumer(self) -> BatchConsumer:
        return self.consumer  # type: ignore[no-any-return]  # made by the transport below

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self, self.transport_settings)


def create_app(settings: TransportSettings, owner: PartitionOwner) -> BatchApp:
    """Raises UnsupportedFaustError where the transport was written for another Faust than the one installed."""
    for library, installed, required in (
        ("faust-streaming", faust.__version__, FAUST_VERSION),
        ("aiokafka", aiokafka.__version__, AIOKAFKA_VERSION),
    ):
        if installed != required:
            raise UnsupportedFaustError(
                f"{library} {installed} is installed, but the transport is written for {required}"
            )
    if settings.start_timeout_ms >= settings.request_timeout_ms:
        raise ValueError("start_timeout_ms must stay below request_timeout_ms: Faust gives up in silence after that")
    return BatchApp(
        owner,
        settings,
        broker=[f"kafka://{server}" for server in settings.connection.bootstrap_servers],
        broker_credentials=_credentials(settings.connection),
        broker_session_timeout=settings.session_timeout_ms / 1000,
        broker_heartbeat_interval=settings.heartbeat_interval_ms / 1000,
        broker_rebalance_timeout=settings.rebalance_timeout_ms / 1000,
        broker_request_timeout=settings.request_timeout_ms / 1000,
        broker_commit_interval=settings.commit_interval_ms / 1000,
        broker_max_poll_records=settings.max_batch_records,
        consumer_auto_offset_reset="none",  # a position that does not exist is an error, never a jump
        agent_supervisor=CrashingSupervisor,  # Faust's default restarts an agent behind the batch that failed
        stream_buffer_maxsize=settings.buffered_batches,
        stream_wait_empty=True,
        table_standby_replicas=0,  # and so no assignor of Faust's: there are no tables to keep beside their partitions
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_metadata_max_age_ms=settings.metadata_max_age_ms,
        web_enabled=False,  # its /table pages serve data to anyone
        autodiscover=False,
        datadir=str(Path(tempfile.gettempdir()) / "fraud-stream-processor"),  # made for tables, of which there are none
    )


def batch_agent(app: BatchApp, topic: str, handler: BatchHandler) -> None:
    """Call `handler` with each batch of `topic`: those of a partition in order, one at a time; partitions side by side.

    Stale batches are not shown. What the handler raises ends the process non-zero, with nothing committed but what was
    called done; handlers must put a timeout on whatever they wait for, or a worker cannot leave its group.
    """

    async def fold(stream: Any) -> None:
        async for batch in stream:
            if app.batch_consumer.current(batch):
                await handler(batch)

    # Faust's `concurrency` would share one partition between handlers, out of order.
    app.agent(app.topic(topic, value_serializer="raw"), name=f"fold-{topic}", isolated_partitions=True)(fold)


def run(app: BatchApp) -> NoReturn:
    """Run the worker until a signal ends it (exit 0, with what is in flight finished) or a failure, which is raised."""
    worker = _Worker(app)
    try:
        worker.execute_from_commandline()
    except SystemExit:  # which Faust makes of any failure, so that nobody could tell one from another
        if worker.crash_reason is not None:
            raise worker.crash_reason from None
        raise
    raise AssertionError("Faust's worker ends the process")


class _Worker(faust.Worker):  # type: ignore[misc]  # Faust is untyped
    def __init__(self, app: BatchApp) -> None:
        super().__init__(app, quiet=True, override_logging=False, redirect_stdouts=False)
        self.spinner = None  # writes to the terminal even when quiet

    def on_worker_shutdown(self) -> None:
        # Stopping waits for a thread and for handlers. After a failure nothing is lost by not waiting.
        super().on_worker_shutdown()
        if self.crashed:
            deadline = threading.Timer(self.app.transport_settings.stop_timeout_ms / 1000, _end_at_once)
            deadline.daemon = True
            deadline.start()


def _end_at_once() -> None:
    log.critical("the worker did not stop in time")
    os._exit(os.EX_SOFTWARE)


def _credentials(connection: KafkaConnection) -> Any:
    if connection.uses_sasl:
        return faust.SASLCredentials(
            username=connection.sasl_username,
            password=connection.sasl_password,
            ssl_context=connection.ssl_context(),
            mechanism=connection.sasl_mechanism,
        )
    return faust.SSLCredentials(connection.ssl_context()) if connection.uses_tls else None
