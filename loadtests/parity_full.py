"""`make parity-full`: definition skew over a whole file, both views, on servers of its own."""

import argparse
import asyncio
import os
import secrets
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from feature_service.files import load_mapping, read_batches
from fraudctl.cluster.kafka import KafkaServer
from fraudctl.cluster.ports import free_port
from fraudctl.cluster.redis import RedisServer
from fraudctl.cluster.topics import TOPICS, ensure_topics
from loadtests.replay_parity import ParityRun, run_parity


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=Path, default=os.environ.get("FRAUD_HANDBOOK_DATA"), help="parquet or CSV file")
    parser.add_argument("--mapping", default="handbook", help="built-in mapping, or a TOML file")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.input is None:
        parser.error("give --input FILE, or set FRAUD_HANDBOOK_DATA")
    console = Console()
    batches = list(read_batches(Path(arguments.input), load_mapping(arguments.mapping)))
    total = sum(len(batch.transactions) for batch in batches)
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        folder = Path(scratch)
        kafka = KafkaServer(folder / "kafka", port=free_port(), controller_port=free_port())
        redis = RedisServer(folder / "redis", port=free_port())
        for server in (kafka, redis):
            stack.callback(server.stop)
            server.start()
        asyncio.run(ensure_topics(kafka.bootstrap, TOPICS))
        key_file = folder / "id_hash_key"
        key_file.write_text(secrets.token_hex(16))
        run = ParityRun(
            kafka_bootstrap=kafka.bootstrap,
            redis_url=redis.url,
            id_hash_key_file=key_file,
            logs=folder,
            workers=arguments.workers,
        )
        columns = (TextColumn("replayed and compared"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("", total=total)
            skew = asyncio.run(run_parity(run, batches, lambda done: progress.update(task, completed=done)))
    for view, rows in skew.mismatched_rows.items():
        console.print(f"{view}: {rows:,} of {skew.rows:,} rows differ")
    console.print(f"definition skew: {skew.mismatched_values:,} of {skew.values:,} values differ in any bit")
    for example in skew.examples:
        console.print(f"  {example}")
    sys.exit(1 if skew.mismatched_values else 0)


if __name__ == "__main__":
    main()
