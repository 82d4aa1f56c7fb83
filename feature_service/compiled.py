"""The one place that knows Numba: hot functions are plain Python, compiled on first use and cached on disk.

Numba's cache notices that a function's own file has changed, but not a function or a constant that it uses from another
file. So the cache lies in a folder named after the contents of all sources that compiled code is made from: code never
runs that was compiled from anything else. `NUMBA_CACHE_DIR` says where; otherwise it is beside the sources, or the
user's cache folder where those cannot be written to.
"""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., object])

_PACKAGE = Path(__file__).parent


def _compiled_sources() -> list[Path]:
    """Modules of this package that import this one, and all that those import, in a fixed order."""
    text = {source: source.read_text(encoding="utf-8") for source in _PACKAGE.rglob("*.py")}
    found = set()
    queue = [source for source in text if "from feature_service.compiled import" in text[source]]
    while queue:
        source = queue.pop()
        if source not in found:
            found.add(source)
            for name in re.findall(r"^from feature_service\.([\w.]+) import", text[source], flags=re.MULTILINE):
                module = _PACKAGE / name.replace(".", "/")
                queue.append(module / "__init__.py" if module.is_dir() else module.with_suffix(".py"))
    return sorted(found)


def _sources_hash() -> str:
    digest = hashlib.sha256()
    for source in _compiled_sources():
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _cache_folder() -> Path:
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(chosen)
    beside = _PACKAGE / "__pycache__"
    if os.access(beside if beside.exists() else _PACKAGE, os.W_OK):
        return beside
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fraud-scoring-cluster"


numba.config.CACHE_DIR = str(_cache_folder() / f"compiled-{_sources_hash()}")


def compiled(function: Function) -> Function:
    """The function as machine code, without the interpreter lock and with IEEE semantics (x / 0 is inf or NaN).

    Arrays are not bounds-checked. No fast-math: reordered sums would break bit-for-bit equality.
    """
    return numba.njit(function, cache=True, nogil=True, error_model="numpy")  # type: ignore[no-any-return]
