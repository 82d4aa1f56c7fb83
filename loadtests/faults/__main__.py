"""`make faults`: injects every fault while events flow, and prints what was lost or wrong: nothing, if all is well.

Everything runs on servers and processes of its own, below a temporary folder, which is kept where something is wrong.
"""

import asyncio
import logging
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console

from fraudctl.cluster.kafka import KafkaServer
from fraudctl.cluster.ports import free_port
from loadtests.context import Context
from loadtests.faults.catalogue import FAULTS
from loadtests.faults.fault import Fault
from loadtests.faults.given import simulated_arrivals
from loadtests.faults.model import train_alerting_model
from loadtests.faults.report import as_json, make_table
from loadtests.faults.run import Outcome, inject
from loadtests.machine import describe_machine
from loadtests.options import choose_faults, make_parser, write_json

_RATE_PER_S: Final = 2_000.0
_EVENTS: Final = 500_000  # more than any fault sends


def main() -> int:
    arguments, chosen = choose_faults(make_parser("faults", __doc__, has_quick=False), FAULTS)
    console = Console()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # brokers that are down are what this is about
    scratch = Path(tempfile.mkdtemp(prefix="fraud-faults-"))
    outcomes: list[Outcome] = []
    failures: dict[str, str] = {}
    with console.status("") as status, Context(scratch, quick=False, say=status.update) as context:
        bundle = train_alerting_model(context)
        context.say("simulating payments")
        given = simulated_arrivals(_EVENTS)
        for number, fault in enumerate(chosen):
            context.say(f"{number + 1} of {len(chosen)}: {fault.name}")
            try:
                with _brokers(context, fault) as brokers:
                    run = inject(
                        fault,
                        context,
                        f"fault-{number}",
                        brokers=brokers,
                        bundle=bundle,
                        given=given,
                        rate_per_s=_RATE_PER_S,
                    )
                    outcomes.append(asyncio.run(run))
            except Exception as error:
                failures[fault.name] = f"{type(error).__name__}: {error}"
                console.print(f"[red]{fault.name}: {failures[fault.name]}[/]", highlight=False)
            else:
                _say(outcomes[-1], console)
    console.print(make_table(outcomes))
    write_json(arguments.json, as_json(outcomes, failures, describe_machine()))
    wrong = bool(failures) or not all(outcome.verdict.is_clean for outcome in outcomes)
    if wrong:
        console.print(f"[red]Something is wrong.[/] All logs: {scratch}")
    else:
        shutil.rmtree(scratch)
    return 1 if wrong else 0


@contextmanager
def _brokers(context: Context, fault: Fault) -> Iterator[Sequence[KafkaServer]]:
    """The one that all share, or several of the fault's own."""
    if fault.brokers == 1:
        yield [context.kafka]
        return
    controllers = {node: free_port() for node in range(1, fault.brokers + 1)}
    servers = [
        KafkaServer(
            context.scratch / f"kafka-{node}",
            port=free_port(),
            controller_port=controllers[node],
            node_id=node,
            controllers=controllers,
            heap_mib=320,
        )
        for node in controllers
    ]
    try:
        for server in servers:
            server.launch()
        for server in servers:
            server.wait_until_ready()
        yield servers
    finally:
        for server in servers:
            server.stop()


def _say(outcome: Outcome, console: Console) -> None:
    verdict = outcome.verdict
    words = "clean" if verdict.is_clean else f"[red]{verdict}[/]"
    console.print(f"{outcome.fault}: {words}, {outcome.took_s:.0f} s", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
