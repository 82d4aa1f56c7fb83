from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from feature_service.errors import CatalogueError
from scorer.bundle import load_bundle
from scorer.errors import BundleExistsError
from scorer.manifest import FILES, MANIFEST
from scorer.policy import Action, Tier
from training.dataset import DAY_MS, read_features
from training.errors import FeaturesFileError
from training.train import DEFAULT_POLICY, TrainedBundle, train
from training.windows import Lengths

from .conftest import DAYS, FIRST_DAY_MS, NAMES

LENGTHS = Lengths(train_days=21)


@pytest.fixture(scope="module")
def result(features_file: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedBundle:
    return train(features_file, view="handbook", into=tmp_path_factory.mktemp("bundles") / "one", lengths=LENGTHS)


def test_the_bundle_is_one_that_a_scorer_loads(result: TrainedBundle) -> None:
    bundle = load_bundle(result.path)
    assert bundle.manifest.model_version == result.model_version
    assert bundle.decider.policy_version == result.policy_version
    assert bundle.manifest.feature_names == NAMES
    assert bundle.manifest.request_feature_names == ("amount", "is_weekend", "is_night")
    assert bundle.manifest.metrics == result.metrics


def test_the_manifest_says_what_it_was_trained_on(result: TrainedBundle, features_file: Path) -> None:
    lineage = load_bundle(result.path).manifest.lineage
    end_ms = FIRST_DAY_MS + DAYS * DAY_MS
    assert (lineage.test.start_ms, lineage.test.end_ms) == (end_ms - 7 * DAY_MS, end_ms)
    assert lineage.calibration.end_ms == lineage.test.start_ms - 7 * DAY_MS
    assert lineage.train.end_ms == lineage.calibration.start_ms
    rows = read_features(features_file, NAMES).between(lineage.train.start_ms, lineage.train.end_ms)
    assert (lineage.train.rows, lineage.train.frauds) == (len(rows), rows.fraud_count)
    assert len(lineage.dataset_sha256) == 64


def test_it_learns_what_there_is_to_learn(result: TrainedBundle) -> None:
    assert result.metrics["auc_roc"] > result.metrics["request_only_auc_roc"] > 0.6
    assert result.metrics["expected_over_found_frauds"] == pytest.approx(1.0, abs=0.35)


def test_probabilities_are_served_as_they_were_measured(result: TrainedBundle, features_file: Path) -> None:
    bundle = load_bundle(result.path)
    window = bundle.manifest.lineage.test
    test = read_features(features_file, NAMES, start_ms=window.start_ms, end_ms=window.end_ms)
    expected = bundle.full.probabilities(test.features).sum() / test.fraud_count
    assert float(expected) == result.metrics["expected_over_found_frauds"]


def test_the_golden_rows_hold_missing_values(result: TrainedBundle) -> None:
    golden = (result.path / "golden.json").read_text()
    assert '"nan"' in golden


def test_the_same_file_and_seed_give_the_same_bytes(result: TrainedBundle, features_file: Path, tmp_path: Path) -> None:
    again = train(features_file, view="handbook", into=tmp_path / "again", lengths=LENGTHS)
    for name in (*FILES, MANIFEST):
        assert (again.path / name).read_bytes() == (result.path / name).read_bytes()


def test_labels_that_came_too_late_change_nothing(result: TrainedBundle, features_file: Path, tmp_path: Path) -> None:
    """A label learnt after the model is made, of a payment in the training window, must not reach the model."""
    table = pq.read_table(features_file)
    made_ms = load_bundle(result.path).manifest.lineage.test.start_ms
    late = np.arange(len(table)) % 50 == 0
    late &= table["event_time_ms"].to_numpy() < made_ms

    def with_late_labels(is_fraud: bool) -> str:
        labels, known_at_ms = table["is_fraud"].to_numpy().copy(), table["known_at_ms"].to_numpy().copy()
        labels[late], known_at_ms[late] = is_fraud, made_ms + 1
        changed = table.set_column(table.schema.get_field_index("is_fraud"), "is_fraud", [labels])
        changed = changed.set_column(table.schema.get_field_index("known_at_ms"), "known_at_ms", [known_at_ms])
        path = tmp_path / f"{is_fraud}.parquet"
        pq.write_table(changed, path)
        return train(path, view="handbook", into=tmp_path / f"bundle {is_fraud}", lengths=LENGTHS).model_version

    assert with_late_labels(is_fraud=True) == with_late_labels(is_fraud=False)


def test_the_model_card_tells_people(result: TrainedBundle) -> None:
    card = (result.path / "MODEL_CARD.md").read_text()
    assert f"{result.metrics['average_precision']:.4f}" in card
    assert "handbook" in card


def test_the_default_policy_challenges_reviews_and_declines(result: TrainedBundle) -> None:
    decider = load_bundle(result.path).decider
    taken = [decider.decide(p, 5_300, Tier.FULL, {})[0] for p in (0.001, 0.1, 0.4, 0.98)]
    assert taken == [Action.APPROVE, Action.CHALLENGE, Action.REVIEW, Action.DECLINE]
    assert decider.decide(0.99, 5_300, Tier.DEGRADED_NO_FEATURES, {})[0] is Action.REVIEW
    action, rules = decider.decide(None, 30_000, Tier.FALLBACK_RULES, {"amount": 300.0, "is_night": 1.0})
    assert (action, [rule.rule_id for rule in rules]) == (Action.CHALLENGE, ["large_amount_at_night"])


def test_a_policy_of_ones_own_is_taken(result: TrainedBundle, features_file: Path, tmp_path: Path) -> None:
    toml = DEFAULT_POLICY.read_text()
    own = tmp_path / "own.toml"
    own.write_text(toml.replace("amount_when_missing_minor = 5000", "amount_when_missing_minor = 1"))
    trained = train(features_file, view="handbook", into=tmp_path / "bundle", lengths=LENGTHS, policy=own)
    assert trained.policy_version != result.policy_version
    assert trained.model_version == result.model_version


def test_a_folder_that_is_there_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(BundleExistsError):
        train(tmp_path / "no such features", view="handbook", into=tmp_path)


def test_an_unknown_view_is_refused(features_file: Path, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="unknown feature view 'moon'"):
        train(features_file, view="moon", into=tmp_path / "bundle")


def test_a_file_of_another_view_is_refused(features_file: Path, tmp_path: Path) -> None:
    with pytest.raises(FeaturesFileError, match="another feature view"):
        train(features_file, view="production", into=tmp_path / "bundle")
