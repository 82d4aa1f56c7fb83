"""`models …`: the registry of models, and who is champion, canary and shadow."""
# ruff: noqa: PLC0415  -- `fraudctl --help` imports this module, and must not import what its commands need

import json
from collections.abc import Callable
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fraudctl.errors import UserError

if TYPE_CHECKING:
    from scorer.lineup import Lineup, LineupEntry
    from training.comparison.estimates import Estimate

app = typer.Typer(help="Bring models to the scorers and back: canaries, shadows, promotions.", no_args_is_help=True)

_LARGE_SHARE: Final = 0.5
_DAY_MS: Final = 86_400_000

_Registry = Annotated[
    Path, typer.Option("--registry", envvar="FRAUD_MODELS_DIR", help="Folder of the registry.", metavar="DIR")
]
_Version = Annotated[str, typer.Argument(help="model_version, or its first digits where they are enough.")]
_By = Annotated[str, typer.Option(help="Who changes it, for the record; empty stands for the user of this machine.")]
_Reason = Annotated[str, typer.Option(help="Why, for the record.")]
_Json = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command()
def add(
    bundle: Annotated[Path, typer.Argument(help="Folder of a model bundle, as `train` writes it.", metavar="BUNDLE")],
    registry: _Registry,
) -> None:
    """Copy a bundle into the registry, once it is verified as a scorer does it. Nothing serves it yet."""
    from scorer.registry import FolderRegistry

    manifest = FolderRegistry(registry).add(bundle)
    typer.echo(f"{manifest.model_version} ({manifest.model_name}, view {manifest.view}) is in {registry}")


@app.command("list")
def list_(registry: _Registry, as_json: _Json = False) -> None:
    """Show the models of the registry with their roles."""
    from rich.console import Console
    from rich.table import Table

    from scorer.manifest import MANIFEST, Manifest
    from scorer.registry import FolderRegistry

    found = FolderRegistry(registry)
    current = found.current()
    rows = []
    for version in found.versions():
        manifest = Manifest.model_validate_json((found.bundle(version) / MANIFEST).read_bytes())
        roles = _roles(current.lineup, version) if current else []
        rows.append((version, manifest.model_name, manifest.view, roles, manifest.metrics.get("average_precision")))
    if as_json:
        names = ("model_version", "model_name", "view", "roles", "average_precision")
        typer.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=2))
        return
    table = Table("version", "name", "view", "role", "average precision")
    for version, name, view, roles, precision in rows:
        table.add_row(version, name, view, ", ".join(roles), "-" if precision is None else f"{precision:.4f}")
    Console().print(table)


@app.command()
def show(version: _Version, registry: _Registry) -> None:
    """Print a model's manifest: its features, metrics and lineage, as JSON."""
    from scorer.manifest import MANIFEST
    from scorer.registry import FolderRegistry

    found = FolderRegistry(registry)
    typer.echo((found.bundle(_whole(registry, version)) / MANIFEST).read_text(encoding="utf-8"), nl=False)


@app.command()
def promote(version: _Version, registry: _Registry, by: _By = "", reason: _Reason = "") -> None:
    """Make a model the champion; the one before stays loaded, so that `rollback` is instant."""
    from scorer.lineup import Lineup

    chosen = _whole(registry, version)

    def promoted(lineup: "Lineup | None") -> "Lineup":
        return Lineup(champion=chosen) if lineup is None else lineup.promoted(chosen)

    _change(registry, promoted, words=f"promote {chosen}", by=by, reason=reason)


@app.command()
def rollback(registry: _Registry, by: _By = "", reason: _Reason = "") -> None:
    """Make the champion before champion again; a canary ends."""
    from scorer.lineup import Lineup

    _change_existing(registry, Lineup.rolled_back, words="rollback", by=by, reason=reason)


@app.command()
def canary(
    version: _Version,
    registry: _Registry,
    share: Annotated[float, typer.Option(help="Of the customers, above 0 and below 1.")],
    force: Annotated[bool, typer.Option("--force", help="Let more than half of the customers go to it.")] = False,
    by: _By = "",
    reason: _Reason = "",
) -> None:
    """Let a model decide for a share of the customers; a larger share later keeps those it has."""
    if share > _LARGE_SHARE and not force:
        raise UserError(f"a canary with {share:.0%} of the customers decides most of them: promote it, or add --force")
    chosen = _whole(registry, version)
    words = f"canary {chosen} --share {share:g}"
    _change_existing(
        registry, lambda lineup: lineup.with_canary(chosen, share=share), words=words, by=by, reason=reason
    )


@app.command("stop-canary")
def stop_canary(registry: _Registry, by: _By = "", reason: _Reason = "") -> None:
    """Give the canary's customers back to the champion."""
    from scorer.lineup import Lineup

    _change_existing(registry, Lineup.without_canary, words="stop-canary", by=by, reason=reason)


@app.command()
def shadow(
    registry: _Registry,
    versions: Annotated[list[str] | None, typer.Argument(help="model_versions; none ends all shadows.")] = None,
    by: _By = "",
    reason: _Reason = "",
) -> None:
    """Let models score what others decide, to be compared: these and no others."""
    chosen = tuple(_whole(registry, version) for version in versions or [])
    words = " ".join(["shadow", *chosen])
    _change_existing(registry, lambda lineup: lineup.with_shadows(chosen), words=words, by=by, reason=reason)


@app.command()
def history(registry: _Registry, as_json: _Json = False) -> None:
    """Show every line-up there was: when, by whom and why."""
    from rich.console import Console
    from rich.table import Table

    from scorer.registry import FolderRegistry

    entries = FolderRegistry(registry).history()
    if as_json:
        typer.echo(json.dumps([entry.model_dump(mode="json") for entry in entries], indent=2))
        return
    table = Table("", "when (UTC)", "by", "what", "why", "champion")
    for entry in entries:
        lineup = entry.lineup
        table.add_row(
            str(entry.number), _when(entry), entry.changed_by, entry.words, entry.reason, lineup.champion
        )  # fmt: skip
    Console().print(table)


@app.command()
def compare(
    registry: _Registry,
    champion: Annotated[str, typer.Option(help="model_version that decided.", metavar="V")],
    challenger: Annotated[str, typer.Option(help="model_version that was its shadow or canary.", metavar="V")],
    days: Annotated[float, typer.Option(help="How far back to look.", min=0.01)] = 30.0,
    as_json: _Json = False,
) -> None:
    """Compare two models by what they said of payments and what became of those, with what the figures are worth."""
    import asyncio
    import logging
    import time

    from rich.console import Console
    from rich.table import Table

    from fraudctl.comparing import read_outcomes
    from training.comparison import arms, shadows

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it would say, an error says
    since_ms = time.time_ns() // 1_000_000 - round(days * _DAY_MS)
    outcomes = asyncio.run(
        read_outcomes(registry, _whole(registry, champion), _whole(registry, challenger), since_ms=since_ms)
    )
    pairs, of_arms = outcomes.pairs(), outcomes.arms()
    parts = (
        ("as shadow", len(pairs[0]), shadows.compare(*pairs)),
        ("as canary", len(of_arms[1]), arms.compare(*of_arms)),
    )
    if as_json:
        typer.echo(json.dumps({name: [_as_json(each) for each in found] for name, n, found in parts if n}, indent=2))
        return
    console = Console(highlight=False)
    for name, n, found in parts:
        if not n:
            console.print(f"{outcomes.challenger} {name}: nothing in {days:g} days")
            continue
        columns = ("", "n", "estimate", "95 % from", "to", "p", "enough to decide")
        table = Table(*columns, title=f"{outcomes.challenger} {name}")
        for each in found:
            tested = each.p_value is not None
            verdict = ("yes" if each.decides else "no") if tested else ""
            figures = (_figure(value, ".4g") for value in (each.value, each.low, each.high))
            table.add_row(each.name, f"{each.n:,}", *figures, _figure(each.p_value, ".3g"), verdict)
        console.print(table)
    if outcomes.unreadable:
        console.print(f"{outcomes.unreadable} records are none of their topic's: they are left out.")


def _figure(value: float | None, form: str) -> str:
    """Nothing for what is not known."""
    return "" if value is None or isnan(value) else format(value, form)


def _change_existing(
    registry: Path, changed: "Callable[[Lineup], Lineup]", *, words: str, by: str, reason: str
) -> None:
    def of_current(lineup: "Lineup | None") -> "Lineup":
        if lineup is None:
            raise UserError("there is no champion yet: `fraudctl models promote` one first")
        return changed(lineup)

    _change(registry, of_current, words=words, by=by, reason=reason)


def _change(registry: Path, changed: "Callable[[Lineup | None], Lineup]", *, words: str, by: str, reason: str) -> None:
    import getpass
    import time

    from scorer.registry import FolderRegistry

    entry = FolderRegistry(registry).change(
        changed,
        words=words,
        changed_by=by or getpass.getuser(),
        reason=reason,
        now_ms=time.time_ns() // 1_000_000,
    )
    typer.echo(f"line-up {entry.number}: {_words(entry.lineup)}. Scorers take it within seconds.")


def _whole(registry: Path, version: str) -> str:
    """Raises: UserError where it is none, or more than one."""
    from scorer.registry import FolderRegistry

    known = FolderRegistry(registry).versions()
    found = [each for each in known if each.startswith(version)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{version} may be {' or '.join(found)}: give more digits")
    raise UserError(
        f"there is no model {version} in {registry}: `fraudctl models add` its bundle first, or choose of "
        f"{', '.join(known) or 'none'}"
    )


def _as_json(estimate: "Estimate") -> dict[str, object]:
    """NaN, which JSON lacks, as null."""
    from dataclasses import asdict

    found = asdict(estimate) | {"enough_to_decide": estimate.decides}
    return {name: None if value != value else value for name, value in found.items()}  # noqa: PLR0124 - NaN


def _roles(lineup: "Lineup", version: str) -> list[str]:
    roles = []
    if version == lineup.champion:
        roles.append("champion")
    if lineup.canary is not None and version == lineup.canary.version:
        roles.append(f"canary {lineup.canary.share:.4g}")
    if version in lineup.shadows:
        roles.append("shadow")
    if version == lineup.previous:
        roles.append("previous")
    return roles


def _words(lineup: "Lineup") -> str:
    named = dict.fromkeys([lineup.champion, *sorted(lineup.versions)])
    return "; ".join(f"{version} {', '.join(_roles(lineup, version))}" for version in named)


def _when(entry: "LineupEntry") -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(entry.changed_at_ms / 1_000, UTC):%Y-%m-%d %H:%M:%S}"
