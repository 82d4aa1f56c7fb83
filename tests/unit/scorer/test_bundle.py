import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feature_service import catalogue
from scorer.bundle import load_bundle, load_policy_alone
from scorer.bundle_writer import NewBundle
from scorer.errors import (
    BundleError,
    BundleExistsError,
    BundleFormatError,
    BundleHashError,
    BundleMissingError,
    BundleModelError,
    FeatureVersionError,
    GoldenRowError,
    NoProbabilityError,
    UnknownFeatureError,
)
from scorer.manifest import FILES, MANIFEST, model_version
from scorer.policy import Action, Tier
from scorer.tree_tables import expected_log_odds
from tests.bad_bundles import change, sign, with_corrupt_model, with_nan_on_golden_rows

from .conftest import NAMES, REQUEST_NAMES, Trained


def change_model(path: Path, found: str, changed: str) -> None:
    """Edits the lines that the pattern finds, in a signed model.txt."""
    text = (path / "model.txt").read_text()
    (path / "model.txt").write_text(re.sub(found, changed, text, flags=re.MULTILINE))
    sign(path)


def test_what_is_written_is_loaded(bundle_path: Path, new_bundle: NewBundle, model: Trained) -> None:
    bundle = load_bundle(bundle_path)
    files = bundle.manifest.files
    assert bundle.manifest.model_version == model_version(files, NAMES, REQUEST_NAMES)
    assert bundle.manifest.feature_set_version == catalogue.feature_set_version(NAMES)
    assert (bundle.full.feature_names, bundle.request_only.feature_names) == (NAMES, REQUEST_NAMES)
    assert bundle.full.calibration == new_bundle.full.calibration
    action, rules = bundle.decider.decide(None, 100, Tier.FALLBACK_RULES, {"amount": 900.0})
    assert (action, [rule.rule_id for rule in rules]) == (Action.REVIEW, ["large"])
    assert bundle.baseline == new_bundle.baseline
    assert bundle.manifest.lineage == new_bundle.lineage
    expected = new_bundle.full.calibration.apply_many(model.booster.predict(model.rows, raw_score=True))
    assert bundle.full.probabilities(model.rows).tolist() == expected.tolist()
    assert [bundle.full.probability(row) for row in model.rows[:50]] == expected[:50].tolist()


def test_reasons_come_from_the_model_and_the_baseline(bundle_path: Path, model: Trained) -> None:
    bundle = load_bundle(bundle_path)
    suspect = model.rows[int(np.argmax(bundle.full.probabilities(model.rows)))]
    [reasons] = bundle.full.reasons(suspect[np.newaxis], limit=3)
    assert len(reasons) == 3
    assert [reason.contribution for reason in reasons] == sorted((r.contribution for r in reasons), reverse=True)
    assert all(reason.code == reason.feature.upper() and reason.feature in NAMES for reason in reasons)


def test_loading_takes_less_than_a_second(bundle_path: Path) -> None:
    load_bundle(bundle_path)  # compiles
    start = time.process_time()
    load_bundle(bundle_path)
    assert time.process_time() - start < 1.0


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleMissingError, match="no model bundle"):
        load_bundle(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(bundle_path: Path, name: str) -> None:
    (bundle_path / name).unlink()
    with pytest.raises(BundleMissingError, match=name):
        load_bundle(bundle_path)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_named(bundle_path: Path, name: str) -> None:
    (bundle_path / name).write_bytes((bundle_path / name).read_bytes() + b" ")
    with pytest.raises(BundleHashError, match=name):
        load_bundle(bundle_path)


def test_another_format_version_is_refused(bundle_path: Path) -> None:
    change(bundle_path, MANIFEST, lambda manifest: manifest.update(format_version=2), signed=False)
    with pytest.raises(BundleFormatError, match=r"format version 1.*format_version"):
        load_bundle(bundle_path)


def test_a_model_version_that_is_not_the_contents_is_refused(bundle_path: Path) -> None:
    change(bundle_path, MANIFEST, lambda manifest: manifest.update(model_version="0" * 12), signed=False)
    with pytest.raises(BundleHashError, match="the manifest says 000000000000"):
        load_bundle(bundle_path)


def test_features_that_are_computed_differently_now_are_refused(bundle_path: Path) -> None:
    with pytest.raises(FeatureVersionError, match="this code computes of-another-kernel"):
        load_bundle(bundle_path, feature_set_version=lambda names: "of-another-kernel")


def test_a_feature_that_the_catalogue_lacks_is_named(bundle_path: Path) -> None:
    change(bundle_path, MANIFEST, lambda manifest: manifest["feature_names"].__setitem__(3, "moon_phase"))
    with pytest.raises(UnknownFeatureError, match="moon_phase"):
        load_bundle(bundle_path)


def test_a_request_feature_that_needs_histories_is_named(bundle_path: Path) -> None:
    change(bundle_path, MANIFEST, lambda manifest: manifest["request_feature_names"].append("customer_count_1d"))
    with pytest.raises(UnknownFeatureError, match="request alone: customer_count_1d"):
        load_bundle(bundle_path)


def test_a_model_trained_on_other_features_is_refused(bundle_path: Path) -> None:
    (bundle_path / "model.txt").write_bytes((bundle_path / "request_only.txt").read_bytes())
    sign(bundle_path)
    with pytest.raises(BundleModelError, match=r"model\.txt.*other features"):
        load_bundle(bundle_path)


def test_a_model_text_that_is_none_is_refused(bundle_path: Path) -> None:
    (bundle_path / "request_only.txt").write_bytes(b"\xff\xfe")
    sign(bundle_path)
    with pytest.raises(BundleModelError, match=r"request_only\.txt"):
        load_bundle(bundle_path)


def test_the_policy_of_a_bundle_is_there_though_its_models_are_not(bundle_path: Path) -> None:
    whole = load_bundle(bundle_path).decider
    with_corrupt_model(bundle_path)
    assert load_policy_alone(bundle_path).content == whole.content
    (bundle_path / "policy.json").write_bytes(b"{}")
    with pytest.raises(BundleHashError, match=r"policy\.json"):
        load_policy_alone(bundle_path)


def test_a_calibration_that_falls_is_refused(bundle_path: Path) -> None:
    change(bundle_path, "calibration.json", lambda both: both["full"]["probability"].reverse())
    with pytest.raises(BundleFormatError, match="never decrease"):
        load_bundle(bundle_path)


def test_a_rule_on_a_feature_that_needs_histories_is_refused(bundle_path: Path) -> None:
    def edit(policy: Any) -> None:
        policy["rules"][0]["when"][0]["feature"] = "customer_count_1d"

    change(bundle_path, "policy.json", edit)
    with pytest.raises(BundleFormatError, match="customer_count_1d"):
        load_bundle(bundle_path)


def test_a_policy_with_lists_is_refused_since_their_ids_are_elsewhere(bundle_path: Path) -> None:
    stolen = {"name": "stolen", "words": "stolen", "entity": "card", "file": "stolen.txt", "at_least": "DECLINE"}
    change(bundle_path, "policy.json", lambda policy: policy.update(lists=[stolen]))
    with pytest.raises(BundleFormatError, match="policy file of a deployment"):
        load_bundle(bundle_path)


@pytest.mark.parametrize("name", ["calibration.json", "policy.json", "golden.json", "baseline.json"])
def test_content_of_another_shape_is_refused(bundle_path: Path, name: str) -> None:
    change(bundle_path, name, lambda content: content.update(surprise=1))
    with pytest.raises(BundleFormatError, match=f"{name}: surprise"):
        load_bundle(bundle_path)


@pytest.mark.parametrize("part", ["full", "request_only"])
@pytest.mark.parametrize("what", ["log_odds", "probability"])
def test_a_golden_row_that_is_off_by_one_bit_is_refused(bundle_path: Path, part: str, what: str) -> None:
    def edit(golden: Any) -> None:
        value = float.fromhex(golden[part][7][what])
        golden[part][7][what] = float(np.nextafter(value, np.inf)).hex()

    change(bundle_path, "golden.json", edit)
    with pytest.raises(GoldenRowError, match="golden row 7"):
        load_bundle(bundle_path)


def test_contributions_that_do_not_add_up_are_refused(bundle_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scorer.tree_shap.expected_log_odds", lambda trees: expected_log_odds(trees) + 1e-7)
    with pytest.raises(GoldenRowError, match=r"model\.txt, golden row 0: contributions add up to"):
        load_bundle(bundle_path)


def test_trees_that_cannot_be_explained_are_refused(bundle_path: Path) -> None:
    change_model(bundle_path, r"^(leaf_count=)\d(\d*)", r"\g<1>-\2")
    with pytest.raises(BundleModelError, match=r"model\.txt: tree 0 .*min_data_in_leaf"):
        load_bundle(bundle_path)


def test_a_tree_cut_short_is_refused_though_lightgbm_would_end_the_process(bundle_path: Path) -> None:
    change_model(bundle_path, r"^leaf_value=.*\n", "")
    with pytest.raises(BundleModelError, match=r"model\.txt: tree 0 of the model text"):
        load_bundle(bundle_path)


def test_a_model_that_gives_no_number_is_refused_even_where_that_is_what_it_gave_before(bundle_path: Path) -> None:
    with_nan_on_golden_rows(bundle_path)
    with pytest.raises(NoProbabilityError, match=r"model\.txt, golden row 0"):
        load_bundle(bundle_path)


def test_a_golden_row_of_another_width_is_refused(bundle_path: Path) -> None:
    change(bundle_path, "golden.json", lambda golden: golden["full"][0]["vector"].pop())
    with pytest.raises(BundleFormatError, match=r"golden\.json"):
        load_bundle(bundle_path)


def test_every_fault_is_a_bundle_error() -> None:
    faults = {
        BundleExistsError,
        BundleFormatError,
        BundleHashError,
        BundleMissingError,
        BundleModelError,
        FeatureVersionError,
        GoldenRowError,
        NoProbabilityError,
        UnknownFeatureError,
    }
    assert faults == set(BundleError.__subclasses__())
