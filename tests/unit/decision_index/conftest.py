"""Decisions of a real small model on real payments, with histories in memory."""

from pathlib import Path

import pytest

from tests.decided import Scene
from tests.unit.scorer.conftest import bundle_path, model, new_bundle

__all__ = ["bundle_path", "model", "new_bundle", "scene"]


@pytest.fixture
def scene(bundle_path: Path, tmp_path: Path) -> Scene:
    return Scene(bundle_path, tmp_path)
