from pathlib import Path

import pytest

from scorer.bundle import load_bundle
from scorer.bundle_trial import load_after_trial
from scorer.errors import BundleHashError, BundleModelError
from tests.bad_bundles import with_changed_file, with_corrupt_model


def test_a_good_bundle_is_loaded(bundle_path: Path) -> None:
    assert load_after_trial(bundle_path).manifest == load_bundle(bundle_path).manifest


def test_a_model_text_that_would_end_this_process_is_refused(bundle_path: Path) -> None:
    with_corrupt_model(bundle_path)
    with pytest.raises(BundleModelError):
        load_after_trial(bundle_path)


def test_any_other_fault_is_said_as_without_a_trial(bundle_path: Path) -> None:
    with_changed_file(bundle_path)
    with pytest.raises(BundleHashError, match="changed after"):
        load_after_trial(bundle_path)
