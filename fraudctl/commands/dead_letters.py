"""`dead-letters list` and `dead-letters replay`."""
# ruff: noqa: PLC0415  -- `fraudctl --help` imports this module, and must not import what its commands need

import asyncio
from typing import Annotated

import typer

from fraudctl.errors import UserError

app = typer.Typer(help="Records that could not be used: see why, and send them again.", no_args_is_help=True)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(help="Show the newest N.", metavar="N", min=1)] = 50,
) -> None:
    """Show dead letters: their reason, what to mend, and where they came from."""
    from collections import Counter, deque

    from fraud.v1.dead_letter_pb2 import Rejection
    from rich.console import Console
    from rich.table import Column, Table

    from fraudctl.local import use_local_environment
    from stream_processor.dead_letters import StoredDeadLetter, dead_letter_consumer, read_dead_letters
    from stream_processor.settings import KafkaSettings, StreamProcessorSettings

    use_local_environment()
    topic = StreamProcessorSettings().dead_letters_topic
    newest: deque[StoredDeadLetter] = deque(maxlen=limit)
    reasons: Counter[str] = Counter()

    async def read() -> None:
        async with dead_letter_consumer(KafkaSettings().connection(), topic) as consumer:
            async for stored in read_dead_letters(consumer):
                newest.append(stored)
                reasons[Rejection.Name(stored.letter.reason).removeprefix("REJECTION_")] += 1

    asyncio.run(read())
    console = Console()
    # Whole on any terminal: an origin cut short leads nowhere.
    narrow = (Column(name, no_wrap=True) for name in ("offset", "reason", "origin", "replayable"))
    table = Table(*narrow, "what to mend")
    for stored in newest:
        letter = stored.letter
        table.add_row(
            str(stored.offset),
            Rejection.Name(letter.reason).removeprefix("REJECTION_"),
            f"{letter.topic}:{letter.partition}:{letter.offset}",
            "yes" if stored.replayable else "no",
            letter.detail,
        )
    if newest:
        console.print(table)
    counts = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
    console.print(f"{reasons.total():,} dead letters{': ' + counts if counts else ''}")


@app.command()
def replay(
    offset: Annotated[list[int] | None, typer.Option(help="One dead letter, as `list` numbers it; repeatable.")] = None,
    all: Annotated[bool, typer.Option("--all", help="Every dead letter that can be replayed.")] = False,
) -> None:
    """Send original records again to the topics they came from, under their own timestamps."""
    from rich.console import Console

    from fraudctl.local import use_local_environment
    from stream_processor.dead_letters import (
        dead_letter_consumer,
        read_dead_letters,
        replay_dead_letter,
        replay_producer,
    )
    from stream_processor.settings import KafkaSettings, StreamProcessorSettings

    if bool(offset) == all:
        raise UserError("say which: --offset N (as `fraudctl dead-letters list` shows them), or --all")
    use_local_environment()
    connection, topic = KafkaSettings().connection(), StreamProcessorSettings().dead_letters_topic
    wanted = set(offset or ())
    sent: list[int] = []
    unable: list[int] = []

    async def run() -> None:
        async with dead_letter_consumer(connection, topic) as consumer, replay_producer(connection) as producer:
            async for stored in read_dead_letters(consumer):
                if not all and stored.offset not in wanted:
                    continue
                if not stored.replayable:
                    unable.append(stored.offset)
                    continue
                await replay_dead_letter(producer, stored)
                sent.append(stored.offset)

    asyncio.run(run())
    Console().print(f"{len(sent):,} sent again, {len(unable):,} cannot be: their values were redacted or cut")
    if missing := wanted - set(sent) - set(unable):
        raise UserError(f"no dead letter at offset {', '.join(map(str, sorted(missing)))}")
