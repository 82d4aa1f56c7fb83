"""A model's log-odds in microseconds, the same bits as `lightgbm.Booster.predict`.

One row goes through LightGBM's C API. The `lightgbm` package itself is not imported (it takes a second and brings
pandas); only its shared library is loaded. A single-row "fast config" of the library holds scratch buffers (c_api.cpp
of 4.7), so each thread has its own.

Many rows (`tree_masks`), and what features contribute (`tree_shap`), are computed without the library: it takes several
times as long.
"""

import ctypes
import importlib.util
import sys
import threading
import weakref
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scorer.errors import ModelError
from scorer.tree_masks import make_masks, sum_leaves
from scorer.tree_text import Tree, parse_trees

_FLOAT64: Final = 1  # C_API_DTYPE_FLOAT64
_RAW_SCORE: Final = 1  # C_API_PREDICT_RAW_SCORE
_ALL_ITERATIONS: Final = (0, -1)

_FEW: Final = 8  # rows that take no longer one by one: masks ask as many questions for one as for many


class FastModel:
    """A trained binary model that predicts log-odds. Safe to share between threads.

    Its native memory is released when it, and every thread that predicted with it, is gone.
    """

    def __init__(self, text: str, feature_names: Sequence[str], trees: Sequence[Tree] | None = None) -> None:
        """`text`: a model as LightGBM saves it; `trees`: its trees, where they have been parsed already.

        Raises: ModelError, also where its features are not `feature_names`.
        """
        trained_on = _feature_names(text)
        if trained_on != tuple(feature_names):
            raise ModelError(f"the model was trained on other features: {_difference(trained_on, feature_names)}")
        if trees is None:  # first: LightGBM ends the process where it is given half a tree
            trees = parse_trees(text, len(trained_on))
        self._booster = _Booster(text, len(trained_on))
        self._of_thread = threading.local()
        self._masks = make_masks(trees)
        sum_leaves(np.empty((0, len(trained_on))), self._masks, np.empty(0))  # compiles: no payment waits for that

    def predict_one(self, row: NDArray[np.float64]) -> float:
        """Log-odds of one row of shape (features,); NaN is missing. Holds the interpreter lock throughout."""
        return self._single_row()(row)

    def predict_many(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-odds of rows of shape (n, features), as (n,); the same bits as one by one."""
        matrix = np.ascontiguousarray(rows, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[1] != self._booster.feature_count:
            raise ModelError(f"rows of shape (n, {self._booster.feature_count}) are needed, not {matrix.shape}")
        if len(matrix) <= _FEW:
            return np.array(list(map(self._single_row(), matrix)), dtype=np.float64)
        out = np.empty(len(matrix), dtype=np.float64)
        sum_leaves(matrix, self._masks, out)
        return out

    def _single_row(self) -> "_SingleRow":
        predictor: _SingleRow
        try:
            predictor = self._of_thread.raw_score
        except AttributeError:
            predictor = self._of_thread.raw_score = _SingleRow(self._booster)
        return predictor


class _Booster:
    """Owner of a native booster."""

    def __init__(self, text: str, feature_count: int) -> None:
        iterations, handle = ctypes.c_int(), ctypes.c_void_p()
        _check(
            _library().LGBM_BoosterLoadModelFromString(text.encode(), ctypes.byref(iterations), ctypes.byref(handle))
        )
        weakref.finalize(self, _library().LGBM_BoosterFree, handle).atexit = False  # threads may still predict then
        self.handle = handle
        self.feature_count = feature_count
        classes = ctypes.c_int()
        _check(_library().LGBM_BoosterGetNumClasses(handle, ctypes.byref(classes)))
        if classes.value != 1:
            raise ModelError(f"a binary model has one output, this one has {classes.value}")


class _SingleRow:
    """Owner of a native fast config and its buffers. For one thread."""

    def __init__(self, booster: _Booster) -> None:
        handle = ctypes.c_void_p()
        status = _library().LGBM_BoosterPredictForMatSingleRowFastInit(
            booster.handle, _RAW_SCORE, *_ALL_ITERATIONS, _FLOAT64, booster.feature_count,
            b"num_threads=1 verbosity=-1", ctypes.byref(handle),
        )  # fmt: skip
        _check(status)
        self._booster = booster  # outlives the config, which points into it
        weakref.finalize(self, _library().LGBM_FastConfigFree, handle).atexit = False
        self._row = np.empty(booster.feature_count, dtype=np.float64)
        self._out = np.empty(1, dtype=np.float64)
        self._length = ctypes.c_int64()
        # Giving the interpreter lock away for 5 µs may cost a thread switch to get it back.
        self._call = _library_holding_lock().LGBM_BoosterPredictForMatSingleRowFast
        self._arguments = (
            handle,
            ctypes.c_void_p(self._row.ctypes.data),
            ctypes.byref(self._length),
            ctypes.c_void_p(self._out.ctypes.data),
        )

    def __call__(self, row: NDArray[np.float64]) -> float:
        self._row[:] = row  # raises ValueError where the shape differs
        if self._call(*self._arguments):
            _check(-1)
        return float(self._out[0])


def _feature_names(text: str) -> tuple[str, ...]:
    for line in text.splitlines():
        if line.startswith("feature_names="):
            return tuple(line.removeprefix("feature_names=").split(" "))
        if line.startswith("Tree="):
            break
    raise ModelError("not a LightGBM model text: its header has no feature_names")


def _difference(trained_on: Sequence[str], expected: Sequence[str]) -> str:
    if len(trained_on) != len(expected):
        return f"{len(trained_on)} of them, {len(expected)} expected"
    index = next(i for i, pair in enumerate(zip(trained_on, expected, strict=True)) if pair[0] != pair[1])
    return f"{trained_on[index]!r} at position {index}, {expected[index]!r} expected"


def _check(status: int) -> None:
    if status:
        raise ModelError(f"LightGBM: {_library().LGBM_GetLastError().decode(errors='replace')}")


def _path() -> Path:
    """Of the shared library inside the installed `lightgbm` package, without importing that."""
    spec = importlib.util.find_spec("lightgbm")
    if spec is None or not spec.submodule_search_locations:
        raise ModelError("the package lightgbm is not installed")
    name = "lib_lightgbm.dylib" if sys.platform == "darwin" else "lib_lightgbm.so"
    return Path(spec.submodule_search_locations[0]) / "lib" / name


@cache
def _library() -> ctypes.CDLL:
    return _declared(ctypes.CDLL(str(_path())))


@cache
def _library_holding_lock() -> ctypes.CDLL:
    return _declared(ctypes.PyDLL(str(_path())))


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    library.LGBM_BoosterFree.argtypes = [pointer]
    library.LGBM_FastConfigFree.argtypes = [pointer]
    library.LGBM_BoosterPredictForMatSingleRowFastInit.argtypes = [
        pointer, integer, integer, integer, integer, ctypes.c_int32, ctypes.c_char_p, pointer,
    ]  # fmt: skip
    library.LGBM_BoosterPredictForMatSingleRowFast.argtypes = [pointer, pointer, pointer, pointer]
    return library
