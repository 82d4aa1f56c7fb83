"""The one place that knows Numba: hot functions are plain Python, compiled on first use and cached on disk."""

from collections.abc import Callable
from typing import TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """The function as machine code, without the interpreter lock and with IEEE semantics (x / 0 is inf or NaN).

    Arrays are not bounds-checked. No fast-math: reordered sums would break bit-for-bit equality.
    """
    return numba.njit(function, cache=True, nogil=True, error_model="numpy")  # type: ignore[no-any-return]
