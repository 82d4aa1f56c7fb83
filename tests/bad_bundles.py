"""Bundles with one fault each, signed where whoever wrote them would have signed them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scorer.manifest import FILES, MANIFEST, MODEL, model_version, sha256


def change(path: Path, name: str, edit: Callable[[Any], object], *, signed: bool = True) -> None:
    """Edits a JSON file of a bundle; signed: with its hash in the manifest, as a writer with a fault would leave it."""
    content = json.loads((path / name).read_text())
    edit(content)
    (path / name).write_text(json.dumps(content))
    if signed:
        sign(path)


def sign(path: Path) -> str:
    """The model_version that the bundle has then."""
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["files"] = {file: sha256((path / file).read_bytes()) for file in FILES}
    names = (manifest["feature_names"], manifest["request_feature_names"])
    manifest["model_version"] = model_version(manifest["files"], *names)
    (path / MANIFEST).write_text(json.dumps(manifest))
    return str(manifest["model_version"])


def with_changed_file(path: Path) -> str:
    """After it was signed."""
    _append_line(path / MODEL)
    version = sign(path)
    _append_line(path / MODEL)
    return version


def with_corrupt_model(path: Path) -> str:
    """Broken off in the middle, as by a full disk."""
    text = (path / MODEL).read_text()
    (path / MODEL).write_text(text[: len(text) // 2])
    return sign(path)


def with_unknown_feature(path: Path) -> str:
    change(path, MANIFEST, lambda manifest: manifest["feature_names"].__setitem__(3, "moon_phase"))
    return sign(path)


def with_nan_on_golden_rows(path: Path) -> str:
    """A model that answers NaN, by whoever remembered that as what it should answer."""
    (path / MODEL).write_text(nan_leaves((path / MODEL).read_text()))

    def forget(golden: Any) -> None:
        for row in golden["full"]:
            row["log_odds"] = row["probability"] = "nan"

    change(path, "golden.json", forget)
    return sign(path)


def nan_leaves(model: str) -> str:
    """A LightGBM model text whose every leaf is NaN."""
    header, trees = model.split("\nTree=0\n", 1)
    trees, rest = ("Tree=0\n" + trees).split("end of trees", 1)
    lines = [_nan(line) if line.startswith("leaf_value=") else line for line in trees.splitlines(keepends=True)]
    spoilt = "".join(lines)
    sizes = " ".join(str(len(tree)) for tree in re.split(r"(?=^Tree=)", spoilt, flags=re.MULTILINE) if tree)
    header = re.sub("^tree_sizes=.*", f"tree_sizes={sizes}", header, flags=re.MULTILINE)
    return f"{header}\n{spoilt}end of trees{rest}"


def _nan(line: str) -> str:
    return f"leaf_value={' '.join(['nan'] * len(line.split()))}\n"


def _append_line(file: Path) -> None:
    file.write_text(file.read_text() + "\n")
