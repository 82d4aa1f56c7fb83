"""The options that measurements and fault injections have in common, and where they write what they found."""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar


class Named(Protocol):
    @property
    def name(self) -> str: ...


_Fault = TypeVar("_Fault", bound=Named)


def make_parser(module: str, description: str | None, *, has_quick: bool) -> argparse.ArgumentParser:
    """With `--json`, and `--quick` if there are short runs; others may be added. `module`: of this package."""
    parser = argparse.ArgumentParser(prog=f"python -m loadtests.{module}", description=description)
    if has_quick:
        words = "short runs that show that everything works: no figures"
        parser.add_argument("--quick", action="store_true", help=words)
    default = Path(f".local/{module.replace('_', '-')}.json")
    parser.add_argument("--json", type=Path, default=default, help=f"where to write what was found, default {default}")
    return parser


def parse(parser: argparse.ArgumentParser, given: Sequence[str] | None = None) -> argparse.Namespace:
    """Those of the command line, or the given ones. From now on SIGTERM does as Ctrl-C does: what was started stops."""
    arguments = parser.parse_args(given)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return arguments


def choose_faults(
    parser: argparse.ArgumentParser, faults: Sequence[_Fault], given: Sequence[str] | None = None
) -> tuple[argparse.Namespace, list[_Fault]]:
    """As `parse`, and the faults that are meant. Ends the program where there are none, or names are asked for."""
    parser.add_argument("--only", metavar="WORDS", default="", help="faults whose name contains these words")
    parser.add_argument("--list", action="store_true", help="only show the faults' names")
    arguments = parse(parser, given)
    chosen = [fault for fault in faults if arguments.only.lower() in fault.name.lower()]
    if arguments.list or not chosen:
        print("\n".join(fault.name for fault in faults))
        sys.exit(0 if arguments.list else 2)
    return arguments, chosen


def write_json(path: Path, found: Any) -> None:
    """`found`: whatever JSON has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
