"""`policy check` and `policy diff`."""
# ruff: noqa: PLC0415  -- `fraudctl --help` imports this module, and must not import what its commands need

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from scorer.policy_file import LoadedPolicy

app = typer.Typer(help="Look at a deployment's policy before it is served.", no_args_is_help=True)

_AMOUNTS_MINOR: Final = (1_000, 5_000, 20_000, 100_000, 500_000)
_File = Annotated[Path, typer.Argument(help="The policy's TOML file; its lists are read too.", metavar="FILE")]


@app.command()
def check(file: _File) -> None:
    """Say what is wrong with a policy, or from which probability on it does what."""
    from rich.console import Console
    from rich.table import Table

    loaded = _load(file)
    decider, policy = loaded.decider, loaded.decider.policy
    console = Console()
    table = Table("amount", "challenge", "review", "decline", title="From which probability of fraud on")
    for amount_minor in _AMOUNTS_MINOR:
        thresholds = ("never" if each >= 1 else f"{max(each, 0):.4f}" for each in decider.thresholds(amount_minor))
        table.add_row(f"{amount_minor / 100:,.2f}", *thresholds)
    console.print(table)
    console.print(
        f"policy_version {decider.policy_version}, mode {policy.mode}, {len(policy.rules)} rules", soft_wrap=True
    )
    for each in policy.lists:
        effect = f"at least {each.at_least}" if each.at_least else f"at most {each.at_most}"
        console.print(
            f"list {each.name}: {decider.id_counts[each.name]:,} ids of {each.entity}, {effect}", soft_wrap=True
        )
    if policy.control_group:
        console.print(f"control group: {policy.control_group.share:.2%} of customers are let through")


@app.command()
def diff(old: _File, new: _File) -> None:
    """Say what one policy says and another does not."""
    from scorer.policy.differences import differences

    before, after = _load(old).decider, _load(new).decider
    typer.echo(f"{before.policy_version} → {after.policy_version}")
    for difference in differences(before.content, after.content):
        typer.echo(difference)


def _load(file: Path) -> "LoadedPolicy":
    from feature_service.contract_settings import ContractSettings
    from fraudctl.local import use_local_environment
    from scorer.policy_file import load_policy

    use_local_environment()
    return load_policy(file, ContractSettings().read_id_key())
