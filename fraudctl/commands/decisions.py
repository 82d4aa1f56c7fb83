"""`explain` and `replay-decision`: one decision, from the index of decisions."""
# ruff: noqa: PLC0415  -- `fraudctl --help` imports this module, and must not import what its commands need

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from decision_index.explanation import Explanation
    from decision_index.lookup import IndexReader
    from decision_index.recompute import Recomputed
    from decision_index.replay import Absent, Verdict

TransactionId = Annotated[str, typer.Argument(help="The transaction's id.", metavar="ID")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for machines.")]

_RECENT = 10


def explain(
    transaction_id: TransactionId,
    recent: Annotated[int, typer.Option(help="Show the card's latest N decisions.", metavar="N", min=0)] = _RECENT,
    as_json: AsJson = False,
) -> None:
    """Show one decision in words: what was decided and why, on what, what is known since, and the card's latest."""
    from decision_index.explanation import explain as explain_found
    from decision_index.settings import InspectionSettings

    with _index() as index:
        found = index.find(transaction_id)
        on_card = index.others_of_same_card(transaction_id, limit=recent)
        explanation = explain_found(found, on_card, trace_url=InspectionSettings().trace_url)
    if as_json:
        _print_json(asdict(explanation))
    else:
        _show_explanation(explanation)


def replay_decision(
    transaction_id: TransactionId,
    bundle: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of a model bundle to look into, beside those of FRAUD_MODEL(S)_DIR and FRAUD_BUNDLES_DIR."
        ),
    ] = None,
    features: Annotated[
        bool, typer.Option(help="Also compute the features from what the histories hold now, and compare.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Decide one payment again from what its decision captured, and compare every bit.

    Exits with 1 where something came out differently or could not be replayed. Features that are others now do not
    count: the histories have learnt since.
    """
    from decision_index.bundles import Bundles
    from decision_index.inspection import Inspector
    from decision_index.payment import PaymentReader
    from decision_index.settings import InspectionSettings
    from feature_service.contract_settings import ContractSettings
    from feature_service.money import RateTable
    from feature_service.settings import StoreSettings, make_redis_store, store_layout
    from scorer.registry import FolderRegistry
    from scorer.settings import ScorerSettings

    with _index() as index:
        contract, store_settings = ContractSettings(), StoreSettings()
        id_key = contract.read_id_key()
        layout = store_layout(store_settings, id_key)
        served = ScorerSettings()
        folders = [*(bundle or ()), *([served.model_dir] if served.model_dir else [])]
        if served.models_dir is not None:
            registry = FolderRegistry(served.models_dir)
            folders += [registry.bundle(version) for version in registry.versions()]
        inspector = Inspector(
            index,
            Bundles(folders=folders, folder_of_folders=InspectionSettings().bundles_dir),
            PaymentReader(contract, RateTable.load(contract.rates_file, contract.base_currency), id_key, layout),
            layout,
            contract,
        )
        replayed = inspector.replay(transaction_id)

        async def recompute() -> "Recomputed | Absent":
            async with make_redis_store(store_settings, contract, id_key) as store:
                return await inspector.recompute(replayed, store)

        recomputed = asyncio.run(recompute()) if features else None
    if as_json:
        _print_json(_replay_as_data(transaction_id, replayed.verdict, recomputed))
    else:
        _show_verdict(replayed.verdict)
        _show_recomputed(recomputed)
    if not replayed.verdict.identical:
        raise typer.Exit(1)


@contextmanager
def _index() -> "Iterator[IndexReader]":
    from decision_index.database import Database
    from decision_index.lookup import IndexReader
    from decision_index.settings import DecisionIndexSettings
    from feature_service.contract_settings import ContractSettings
    from fraudctl.local import use_local_environment

    use_local_environment()
    database = Database(DecisionIndexSettings().decision_index_url, create=False)
    try:
        yield IndexReader(database, key_fingerprint=ContractSettings().read_id_key().fingerprint)
    finally:
        database.close()


def _show_explanation(told: "Explanation") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True, highlight=False)
    answer = f"[bold]{told.action}[/]"
    if told.override:
        answer += f" — {told.override}; the policy decided {told.policy_action}"
    console.print(f"{told.transaction_id}: {answer}")
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in _facts(told):
        if value:
            facts.add_row(name, value)
    console.print(facts)
    console.print("\nWhy:" if told.reasons else "\nNo reasons: they are computed for alerts only.")
    for reason in told.reasons:
        weight = "rule" if reason.contribution is None else f"{reason.contribution:+.2f}"
        console.print(f"  {weight:>6}  {reason.words}", markup=False)
    if told.recent_on_card:
        console.print("\nThe card's other decisions, newest first:")
        table = Table("decided", "action", "probability", "alert", "known since", "transaction", box=None)
        for each in told.recent_on_card:
            table.add_row(
                _time(each.decided_at_ms),
                each.action,
                f"{each.fraud_probability:.4f}",
                "yes" if each.alert else "no",
                _fate(each.is_fraud),
                each.transaction_id,
            )
        console.print(table)


def _facts(told: "Explanation") -> Iterator[tuple[str, str]]:
    yield "decided", _time(told.decided_at_ms) + (f", asked by {told.asked_by}" if told.asked_by else "")
    yield "payment", f"{told.amount_minor:,} minor units {told.currency}, {_time(told.event_time_ms)}"
    yield "probability", "none" if told.fraud_probability is None else f"{told.fraud_probability:.6f}"
    yield "alert", "yes" if told.alert else told.no_alert_because or "no"
    yield "lists", ", ".join(told.matched_lists)
    yield "rests on", f"{told.rests_on} ({told.tier})"
    yield "skipped", ", ".join(told.skipped_stages)
    yield "freshness", "not known" if told.freshness_ms is None else f"{told.freshness_ms:,} ms behind the log"
    yield "approximate", ", ".join(told.approximate_entities)
    yield "model", f"{told.model or 'none'}{f' ({told.variant})' if told.variant else ''}"
    yield "policy", told.policy_version
    yield "features", told.feature_set_version
    yield "control group", f"with probability {told.control_propensity:g}" if told.control_propensity else ""
    for challenger in told.challengers:
        yield "challenger", f"{challenger.model}: {challenger.action} at {challenger.fraud_probability:.6f}"
    for label in told.labels:
        yield "label", f"{_fate(label.is_fraud)}, by {label.source or 'unknown'}, known {_time(label.known_at_ms)}"
    yield "trace", told.trace_url or told.trace_id
    yield "scorer", told.scorer_instance


def _show_verdict(verdict: "Verdict") -> None:
    from rich.console import Console

    console = Console(soft_wrap=True, highlight=False)
    for check in verdict.checks:
        mark = {True: "[green]same[/]", False: "[red]differs[/]", None: "[yellow]not replayed[/]"}[check.same]
        console.print(f"{mark}  {check.what}")
        if check.same is False:
            console.print(f"    captured {check.captured}", markup=False)
            console.print(f"    replayed {check.replayed}", markup=False)
        if check.remark and not check.same:
            console.print(f"    {check.remark}", markup=False)
    if verdict.identical:
        console.print("[bold]The same bits.[/]")
    else:
        console.print(
            f"[bold]Not the same: {len(verdict.different)} differ, {len(verdict.not_replayed)} not replayed.[/]"
        )


def _show_recomputed(recomputed: "Recomputed | Absent | None") -> None:
    from rich.console import Console
    from rich.table import Table

    from decision_index.replay import Absent

    if recomputed is None:
        return
    console = Console(soft_wrap=True, highlight=False)
    if isinstance(recomputed, Absent):
        console.print(f"Features were not computed again: {recomputed.why}", markup=False)
        return
    console.print(
        f"With what is known now, {len(recomputed.differences)} of {recomputed.compared} features are others."
    )
    for later in recomputed.later:
        console.print(
            f"  {later.entity}: {later.payments} payments and {later.labels} labels came after the decision, at least"
        )
    if recomputed.differences:
        table = Table("feature", "then", "now", "cause", box=None)
        for each in recomputed.differences:
            table.add_row(each.feature, f"{each.captured:g}", f"{each.now:g}", each.cause.value)
        console.print(table)


def _replay_as_data(transaction_id: str, verdict: "Verdict", recomputed: "Recomputed | Absent | None") -> Any:
    from decision_index.replay import Absent

    data: dict[str, Any] = {
        "transaction_id": transaction_id,
        "identical": verdict.identical,
        "checks": [asdict(check) | {"same": check.same} for check in verdict.checks],
    }
    if isinstance(recomputed, Absent):
        data["features"] = {"not_computed": recomputed.why}
    elif recomputed is not None:
        data["features"] = {
            "compared": recomputed.compared,
            "later": [asdict(later) for later in recomputed.later],
            "differences": [
                {
                    "feature": each.feature,
                    "captured": _number(each.captured),
                    "now": _number(each.now),
                    "cause": each.cause.name,
                }
                for each in recomputed.differences
            ],
        }
    return data


def _print_json(data: Any) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False))


def _number(value: float) -> float | None:
    return None if isnan(value) else value  # JSON has no NaN


def _fate(is_fraud: bool | None) -> str:
    return "nothing" if is_fraud is None else "fraud" if is_fraud else "genuine"


def _time(at_ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat(sep=" ", timespec="milliseconds")
