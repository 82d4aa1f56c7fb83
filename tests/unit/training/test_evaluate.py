"""On the public data, which is not part of this project: skipped without it."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from tests.oracle.handbook import handbook_features
from training.errors import FeaturesFileError
from training.evaluate import HandbookResult, evaluate_handbook
from training.handbook_table import tables

REPOSITORY = Path(__file__).parents[3]
DATA = Path(os.environ.get("FRAUD_HANDBOOK_DATA", REPOSITORY.parent / "shared/data/fdh_transactions.parquet"))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> HandbookResult:
    if not DATA.is_file():
        pytest.skip(f"needs the handbook's public data: {DATA} is not there (set FRAUD_HANDBOOK_DATA)")
    path = tmp_path_factory.mktemp("handbook") / "features.parquet"
    handbook_features(pd.read_parquet(DATA)).to_parquet(path, index=False)
    return evaluate_handbook(path)


def test_the_single_split_has_exactly_the_protocols_rows(result: HandbookResult) -> None:
    single = result.single
    assert (single.train_rows, single.train_frauds) == (67_240, 598)
    assert (single.test_rows, single.test_frauds) == (58_264, 385)


def test_the_single_split_reaches_its_targets(result: HandbookResult) -> None:
    assert result.single.ranking.average_precision >= 0.66
    assert result.single.ranking.card_precision_at_100 >= 0.28


def test_the_prequential_evaluation_reaches_its_target(result: HandbookResult) -> None:
    assert len(result.folds) == 4
    assert result.mean.average_precision >= 0.68


def test_the_result_is_printed_and_written(result: HandbookResult) -> None:
    console = Console(width=120, record=True)
    console.print(*tables(result))
    text = console.export_text()
    assert "67,240" in text
    assert f"{result.mean.average_precision:.3f}±" in text
    assert json.loads(json.dumps(result.as_json()))["single_split"]["test_rows"] == 58_264


def test_other_data_is_refused(features_file: Path) -> None:
    with pytest.raises(FeaturesFileError, match=r"handbook's public data.*67,240 training rows with 598 frauds"):
        evaluate_handbook(features_file)
