"""Models in this process, beside LightGBM in the same run: SHAP values of alerts, words for them, batches' log-odds."""

import asyncio
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Final, TypeVar

import lightgbm
import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue import view
from loadtests.context import Context
from loadtests.figures import Result, Target, Value
from loadtests.scoring import scoring_input
from scorer.bundle import CalibratedModel, load_bundle
from scorer.manifest import MODEL
from scorer.model import FastModel
from scorer.tree_shap import TreeShap
from scorer.tree_text import parse_trees
from training.dataset import read_features

_BATCH: Final = 256
_REASONS: Final = 5
_PREDICTIONS: Final = 50  # times that a batch is predicted
_LARGE: Final = {"objective": "binary", "num_leaves": 63, "learning_rate": 0.02, "verbosity": -1, "num_threads": 1}
_LARGE_TREES: Final = 1_000
_TARGET: Final = Target("1,000-1,500 (LightGBM)", 50.0, "less")

Explained = tuple[lightgbm.Booster, NDArray[np.float64]]  # a model, and rows (256, features) of its greatest log-odds
Given = TypeVar("Given")


def measure(context: Context) -> list[Result]:
    folder = scoring_input(context).bundle
    names = view("production").names
    data = read_features(context.scratch / "training.parquet", names)
    rows = data.of(names)
    trained = _most_suspect(lightgbm.Booster(model_file=folder / MODEL), rows)
    context.say("training a large model")
    trees = 50 if context.quick else _LARGE_TREES
    large = _most_suspect(lightgbm.train(_LARGE, lightgbm.Dataset(rows, data.is_fraud), trees), rows)
    return [
        _result(
            "explanation, an alert of the trained model",
            trained,
            repeats=20 if context.quick else 400,
            target=_TARGET,
            beside=_reasons(load_bundle(folder).full, trained[1]),
        ),
        _result(
            f"explanation, an alert of {trees:,} trees of 63 leaves",
            large,
            repeats=2 if context.quick else 30,
        ),
        _prediction("prediction, a row of 256 of the trained model", trained),
        _prediction(f"prediction, a row of 256 of {trees:,} trees of 63 leaves", large),
    ]


def _most_suspect(booster: lightgbm.Booster, rows: NDArray[np.float64]) -> Explained:
    log_odds = booster.predict(rows, raw_score=True, num_threads=1)
    chosen = rows[np.argsort(log_odds)[-_BATCH:]]
    return booster, np.random.default_rng(1).permutation(chosen)


def _result(
    name: str,
    explained: Explained,
    *,
    repeats: int,
    target: Target | None = None,
    beside: dict[str, Value] | None = None,
) -> Result:
    booster, rows = explained
    begun_ns = time.thread_time_ns()
    shap = TreeShap(parse_trees(booster.model_to_string(), rows.shape[1]), rows.shape[1])
    made_ms = (time.thread_time_ns() - begun_ns) / 1_000_000
    ours, theirs = shap.contributions, _lightgbm(booster)
    expected = theirs(rows)
    off = np.abs(ours(rows) - expected).max(axis=1) / np.abs(expected).sum(axis=1)
    one_us, lightgbm_one_us = _alternating_us(
        (ours, theirs), [rows[index : index + 1] for index in range(_BATCH)], repeats
    )
    many_us, lightgbm_many_us = _alternating_us((ours, theirs), [rows], max(2, repeats // 40))
    return Result(
        name,
        "µs",
        one_us,
        target,
        {
            "lightgbm_us": round(lightgbm_one_us),
            "times_as_fast": round(lightgbm_one_us / one_us, 1),
            "us_a_row_of_256": round(many_us / _BATCH, 1),
            "lightgbm_us_a_row_of_256": round(lightgbm_many_us / _BATCH),
            "times_as_fast_of_256": round(lightgbm_many_us / many_us, 1),
            "most_it_differs_of_the_sum": float(f"{off.max():.1e}"),
            "tables_mb": round(shap.table_bytes / 1e6, 1),
            "tables_made_in_ms": round(made_ms),
            **(beside or {}),
        },
    )


def _prediction(name: str, explained: Explained) -> Result:
    booster, rows = explained
    ours = FastModel(booster.model_to_string(), booster.feature_name()).predict_many

    def theirs(rows: NDArray[np.float64]) -> object:
        return booster.predict(rows, raw_score=True, num_threads=1)

    many_us, lightgbm_many_us = _alternating_us((ours, theirs), [rows], _PREDICTIONS)
    return Result(
        name,
        "µs",
        many_us / _BATCH,
        None,
        {
            "lightgbm_us": round(lightgbm_many_us / _BATCH, 1),
            "times_as_fast": round(lightgbm_many_us / many_us, 1),
        },
    )


def _lightgbm(booster: lightgbm.Booster) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    def contributions(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = booster.predict(rows, pred_contrib=True, num_threads=1)
        return found

    return contributions


def _reasons(model: CalibratedModel, rows: NDArray[np.float64]) -> dict[str, Value]:
    """What comes on top: words, and a thread if it were done in one."""
    strongest = model.shap.strongest(rows, limit=_REASONS)
    parts = [slice(index, index + 1) for index in range(_BATCH)]

    def words(part: slice) -> object:
        return model.explainer.reasons(strongest[part])

    def whole(part: slice) -> object:
        return model.reasons(rows[part], limit=_REASONS)

    words_us, whole_us = _alternating_us((words, whole), parts, 2 * _BATCH)
    here_us, in_thread_us = asyncio.run(_in_loop_us(whole, parts))
    return {
        f"words_of_{_REASONS}_us": round(words_us, 1),
        "whole_us": round(whole_us, 1),
        "whole_us_in_the_event_loop_p50": round(here_us, 1),
        "whole_us_through_a_thread_p50": round(in_thread_us, 1),
    }


async def _in_loop_us(call: Callable[[slice], object], parts: Sequence[slice]) -> tuple[float, float]:
    """Medians by the wall clock, called where the event loop runs, and awaited from its pool of threads."""
    loop = asyncio.get_running_loop()
    here: list[float] = []
    in_thread: list[float] = []
    for part in [*parts, *parts]:
        begun_ns = time.perf_counter_ns()
        call(part)
        here.append((time.perf_counter_ns() - begun_ns) / 1_000)
        begun_ns = time.perf_counter_ns()
        await loop.run_in_executor(None, call, part)
        in_thread.append((time.perf_counter_ns() - begun_ns) / 1_000)
    return median(here), median(in_thread)


def _alternating_us(
    calls: tuple[Callable[[Given], object], Callable[[Given], object]], given: Sequence[Given], repeats: int
) -> tuple[float, float]:
    """Medians of this thread's processor time, of two ways to do the same, which take turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        for call, taken in zip(calls, times, strict=True):
            begun_ns = time.thread_time_ns()
            call(given[repeat % len(given)])
            taken.append((time.thread_time_ns() - begun_ns) / 1_000)
    return median(times[0][1:]), median(times[1][1:])  # the first of each loads code
