"""The protocol's result beside what the handbook publishes for it."""

from collections.abc import Iterator
from datetime import UTC, datetime

from rich.table import Table

from training.evaluate import FoldResult, HandbookResult
from training.metrics import Ranking

# AUC ROC, average precision, card precision@100.
PUBLISHED_SINGLE = {
    "logistic regression": ("0.871", "0.606", "0.291"),
    "random forest": ("0.867", "0.658", "0.287"),
    "XGBoost, default": ("0.862", "0.639", "0.273"),
}
PUBLISHED_PREQUENTIAL = {
    "random forest": (".870±.02", ".678±.01", ".299±.01"),
    "XGBoost, tuned on validation": (".869±.01", ".687±.01", ".303±.01"),
    "XGBoost, best on test (a bound)": (".872", ".694", ".304"),
    "balanced bagging": (".879±.01", ".680±.01", ".305±.01"),
    "feed-forward network": (".876±.01", ".675±.01", ".303±.02"),
    "LSTM": (".876±.02", ".665±.02", ".297±.01"),
}


def tables(result: HandbookResult) -> tuple[Table, Table, Table]:
    """Rows used by fold, the single split, the prequential evaluation."""
    return _rows_used(result), _single(result), _prequential(result)


def _rows_used(result: HandbookResult) -> Table:
    table = Table("training starts", "training rows", "frauds", "test rows", "frauds", title="Rows used")
    for label, each in (("single split", result.single), *_labelled(result)):
        counts = (each.train_rows, each.train_frauds, each.test_rows, each.test_frauds)
        table.add_row(label, *(f"{count:,}" for count in counts))
    return table


def _single(result: HandbookResult) -> Table:
    table = _figures_table("Single split")
    table.add_row("this project", *(f"{figure:.3f}" for figure in _figures(result.single.ranking)), style="bold")
    for name, figures in PUBLISHED_SINGLE.items():
        table.add_row(name, *figures, style="dim")
    return table


def _prequential(result: HandbookResult) -> Table:
    table = _figures_table("Prequential, mean ± standard deviation of 4 folds")
    both = zip(_figures(result.mean), _figures(result.deviation), strict=True)
    table.add_row("this project", *(f"{mean:.3f}±{deviation:.3f}" for mean, deviation in both), style="bold")
    for label, each in _labelled(result):
        table.add_row(f"  fold of {label}", *(f"{figure:.3f}" for figure in _figures(each.ranking)))
    for name, figures in PUBLISHED_PREQUENTIAL.items():
        table.add_row(name, *figures, style="dim")
    return table


def _figures_table(title: str) -> Table:
    return Table("", "AUC ROC", "average precision", "card precision@100", title=title)


def _labelled(result: HandbookResult) -> Iterator[tuple[str, FoldResult]]:
    for each in result.folds:
        yield f"{datetime.fromtimestamp(each.start_ms / 1000, tz=UTC):%Y-%m-%d}", each


def _figures(ranking: Ranking) -> tuple[float, float, float]:
    return ranking.auc_roc, ranking.average_precision, ranking.card_precision_at_100
