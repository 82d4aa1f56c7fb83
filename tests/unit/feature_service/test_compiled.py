"""What compiled code may do with arrays; and quads do what four doubles do one by one, bit by bit."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError
from numpy.typing import NDArray

import feature_service
import scorer
from feature_service.compiled import (
    QUAD,
    _sources_hash,
    add_quads,
    compiled,
    compiled_with_memory,
    load_quad,
    multiply_quads,
    store_quad,
)

LENGTH = 3 * QUAD
VALUES = st.lists(st.floats(), min_size=LENGTH, max_size=LENGTH)
PLACES = st.integers(0, LENGTH - QUAD)


@compiled
def multiply_and_add(values: NDArray[np.float64], one: int, other: int, place: int, out: NDArray[np.float64]) -> None:
    product = multiply_quads(load_quad(values, one), load_quad(values, other))
    store_quad(out, place, add_quads(product, load_quad(values, one)))


@settings(deadline=None)  # the first call compiles
@given(VALUES, PLACES, PLACES, PLACES)
def test_quads_begin_anywhere_and_round_as_single_doubles(
    values: list[float], one: int, other: int, place: int
) -> None:
    found = np.zeros(LENGTH)
    multiply_and_add(np.array(values), one, other, place, found)
    expected = np.zeros(LENGTH)
    with np.errstate(all="ignore"):
        for index in range(QUAD):
            left, right = np.float64(values[one + index]), np.float64(values[other + index])
            expected[place + index] = left * right + left
    np.testing.assert_array_equal(found, expected)


@compiled
def first_half(values: NDArray[np.float64]) -> float:
    return float(half_sum(values[: values.shape[0] // 2]))


@compiled
def half_sum(values: NDArray[np.float64]) -> float:
    total = 0.0
    for index in range(values.shape[0]):
        if values[index] < 0.0:
            return total
        total += values[index]
    return total


@compiled
def with_an_array_of_its_own(count: int) -> float:
    return float(np.zeros(count).sum())


@compiled_with_memory
def with_memory_for_its_array(count: int) -> float:  # not the other anew: both would have one place in the cache
    return float(np.zeros(count).sum())


def test_compiled_code_counts_no_references() -> None:
    assert first_half(np.ones(8)) == 4.0
    first_half.recompile()  # type: ignore[attr-defined]  # code from the cache cannot be looked into
    (code,) = first_half.inspect_llvm().values()  # type: ignore[attr-defined]  # it is a Dispatcher
    assert "NRT_incref" not in code
    assert "NRT_decref" not in code


def test_what_makes_arrays_says_so() -> None:
    with pytest.raises(NumbaError):
        with_an_array_of_its_own(3)
    assert with_memory_for_its_array(3) == 0.0


def _modules() -> Iterator[ModuleType]:
    for package in (feature_service, scorer):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def _has_array(annotation: object) -> bool:
    if get_origin(annotation) is np.ndarray or annotation is np.ndarray:
        return True
    parts = [*get_args(annotation), *getattr(annotation, "__annotations__", {}).values()]
    return any(_has_array(part) for part in parts)


def test_code_that_counts_no_references_returns_no_arrays() -> None:
    """To code that does count it would return memory that is freed twice, which Numba does not notice."""
    borrowing = {
        function
        for module in _modules()
        for function in vars(module).values()
        if isinstance(function, Dispatcher) and not function.targetoptions["_nrt"]
    }
    assert len(borrowing) > 80
    for function in borrowing:
        assert not _has_array(get_type_hints(function.py_func)["return"]), function.py_func.__name__


def test_the_cache_has_another_name_when_what_compiled_code_imports_has_changed(tmp_path: Path) -> None:
    (tmp_path / "walk.py").write_text("from feature_service.compiled import compiled\nfrom other.splits import ZERO\n")
    (tmp_path / "splits.py").write_text("from feature_service.money import RateTable\nZERO = 0\n")
    (tmp_path / "apart.py").write_text("from other.walk import walk\n")
    packages = {"other": tmp_path}
    before = _sources_hash(packages)
    (tmp_path / "apart.py").write_text("")
    assert _sources_hash(packages) == before
    (tmp_path / "splits.py").write_text("ZERO = 1\n")
    assert _sources_hash(packages) != before
