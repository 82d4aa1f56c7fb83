"""The one place that knows Numba: hot functions are plain Python, compiled on first use and cached on disk.

Numba's cache notices that a function's own file has changed, but not a function or a constant that it uses from another
file. So the cache lies in a folder named after the contents of all sources that compiled code is made from, of this
package and of the one that the function is in: code never runs that was compiled from anything else. `NUMBA_CACHE_DIR`
says where; otherwise it is beside the sources, or the user's cache folder where those cannot be written to.

Quads are four doubles computed side by side, which code says explicitly: to find them would be the work of LLVM's SLP
vectoriser, which Numba leaves off since it has miscompiled. Each double gets what it would get alone, bit by bit.
"""

import hashlib
import os
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import numba
import numpy as np
from llvmlite import ir
from numba.cpython.unsafe.numbers import trailing_zeros as _trailing_zeros
from numba.extending import intrinsic
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., object])

_PACKAGE = Path(__file__).parent


def _compiled_sources(packages: Mapping[str, Path]) -> list[Path]:
    """Modules of these packages that import this one, and all of them that those import, in a fixed order."""
    text = {source: source.read_text(encoding="utf-8") for each in packages.values() for source in each.rglob("*.py")}
    found = set()
    queue = [source for source in text if "from feature_service.compiled import" in text[source]]
    imports = re.compile(rf"^from ({'|'.join(packages)})\.([\w.]+) import", flags=re.MULTILINE)
    while queue:
        source = queue.pop()
        if source not in found:
            found.add(source)
            for package, name in imports.findall(text[source]):
                module = packages[package] / name.replace(".", "/")
                queue.append(module / "__init__.py" if module.is_dir() else module.with_suffix(".py"))
    return sorted(found)


def _sources_hash(packages: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for source in _compiled_sources(packages):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _cache_folder() -> Path:
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(chosen)
    beside = _PACKAGE / "__pycache__"
    if os.access(beside if beside.exists() else _PACKAGE, os.W_OK):
        return beside
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fraud-scoring-cluster"


@cache
def _cache_of(package: str) -> str:
    """Of functions in this package, or in a file of this name that is in none."""
    packages = {_PACKAGE.name: _PACKAGE}
    if folders := getattr(sys.modules[package], "__path__", None):
        packages[package] = Path(folders[0])
    return str(_cache_folder() / f"compiled-{_sources_hash(packages)}")


def compiled(function: Function) -> Function:
    """The function as machine code, without the interpreter lock and with IEEE semantics (x / 0 is inf or NaN).

    It works in memory that it is given: it makes no arrays, and returns none. Arrays are not bounds-checked. No
    fast-math: reordered sums would break bit-for-bit equality.
    """
    # Numba else counts references: each function, atomically, twice, of each array that it is given and of each one in
    # a tuple. A feature vector spent a third of its time on that. Numba refuses to make arrays in code that does not
    # count; that such code returns none to code that does is up to us (tests/unit/feature_service/test_compiled.py).
    return _compile(function, counts_references=False)


def compiled_with_memory(function: Function) -> Function:
    """Likewise, for code that makes arrays, or returns some. It may call `compiled` code, and be called by it."""
    return _compile(function, counts_references=True)


def _compile(function: Function, *, counts_references: bool) -> Function:
    numba.config.CACHE_DIR = _cache_of(function.__module__.partition(".")[0])  # read where a function is declared
    return numba.njit(  # type: ignore[no-any-return]
        function, cache=True, nogil=True, error_model="numpy", _nrt=counts_references
    )


QUAD: Final = 4
Quad = tuple[float, float, float, float]

# What Numba asks of an operation: given the types, the operation's own and a function that writes it in LLVM.
_Emit = Callable[[Any, ir.IRBuilder, Any, Any], Any]
_Typing = tuple[object, _Emit]

_QUAD = numba.types.UniTuple(numba.types.float64, QUAD)
_VECTOR: Final = ir.VectorType(ir.DoubleType(), QUAD)
_ALIGNMENT: Final = 8  # that of a double: a quad may begin at any


def _load(_context: object, array: Any, _place: object) -> _Typing:
    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature, arguments)
        return _as_quad(context, builder, builder.load(address, align=_ALIGNMENT))

    return _QUAD(array, numba.types.intp), emit


def _store(_context: object, array: Any, _place: object, _quad: object) -> _Typing:
    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature, arguments)
        builder.store(_as_vector(builder, arguments[2]), address, align=_ALIGNMENT)
        return context.get_dummy_value()

    return numba.types.void(array, numba.types.intp, _QUAD), emit


def _add(_context: object, _one: object, _other: object) -> _Typing:
    return _QUAD(_QUAD, _QUAD), lambda context, builder, _, arguments: _as_quad(
        context, builder, builder.fadd(*(_as_vector(builder, quad) for quad in arguments))
    )


def _multiply(_context: object, _one: object, _other: object) -> _Typing:
    return _QUAD(_QUAD, _QUAD), lambda context, builder, _, arguments: _as_quad(
        context, builder, builder.fmul(*(_as_vector(builder, quad) for quad in arguments))
    )


def _address(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.bitcast(builder.gep(array.data, [arguments[1]]), _VECTOR.as_pointer())


def _as_vector(builder: ir.IRBuilder, quad: Any) -> Any:
    vector = ir.Constant(_VECTOR, ir.Undefined)
    for index in range(QUAD):
        vector = builder.insert_element(vector, builder.extract_value(quad, index), ir.Constant(ir.IntType(32), index))
    return vector


def _as_quad(context: Any, builder: ir.IRBuilder, vector: Any) -> Any:
    quad = ir.Constant(context.get_value_type(_QUAD), ir.Undefined)
    for index in range(QUAD):
        quad = builder.insert_value(quad, builder.extract_element(vector, ir.Constant(ir.IntType(32), index)), index)
    return quad


# For compiled code only. An array is contiguous, of one dimension; nothing checks that the quad at the place is in it.
load_quad: Callable[[NDArray[np.float64], int], Quad] = intrinsic(_load)
store_quad: Callable[[NDArray[np.float64], int, Quad], None] = intrinsic(_store)
add_quads: Callable[[Quad, Quad], Quad] = intrinsic(_add)
multiply_quads: Callable[[Quad, Quad], Quad] = intrinsic(_multiply)

# Of an unsigned number, for compiled code only: its width where it is 0.
trailing_zeros: Callable[[np.uint64], int] = _trailing_zeros
