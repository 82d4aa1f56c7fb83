"""`doctor`: what is wrong with a deployment, and what to do about it."""
# ruff: noqa: PLC0415  -- `fraudctl --help` imports this module, and must not import what its commands need

import asyncio
import json
import os
from typing import Annotated

import typer

_MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "wrong": "[red]wrong[/]"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
) -> None:
    """Look at settings, Redis, Kafka, services, model, certificates and spool, and change nothing; exits with 1 if
    something is wrong. Give it the services' environment, and run it where the scorer's files are.
    """
    import logging

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from fraudctl.doctor.examination import examine
    from fraudctl.local import use_local_environment

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it would say, a finding says
    use_local_environment()
    findings = asyncio.run(examine(os.environ))
    if as_json:
        print(json.dumps([finding.as_json() for finding in findings], indent=2))
    else:
        table = Table("", "what", "", box=None, show_header=False)
        for finding in findings:
            remedy = f"\n[bold]{escape(finding.remedy)}[/]" if finding.remedy else ""
            table.add_row(_MARKS[finding.state], escape(finding.subject), escape(finding.says) + remedy)
        Console().print(table)
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(1)
