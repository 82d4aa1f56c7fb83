import gc
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.errors import ModelError
from scorer.model import FastModel

from .conftest import NAMES, Trained, trained

VALUES = st.floats(allow_nan=True, allow_infinity=True)


@pytest.fixture(scope="module")
def fast(model: Trained) -> FastModel:
    return FastModel(model.text, model.names)


def test_one_many_and_lightgbm_agree_to_the_last_bit(model: Trained, fast: FastModel) -> None:
    expected = model.booster.predict(model.rows, raw_score=True)
    assert np.isnan(model.rows).any()
    assert fast.predict_many(model.rows).tolist() == expected.tolist()
    assert [fast.predict_one(row) for row in model.rows] == expected.tolist()


@settings(deadline=None)  # what others do on the machine is not the test's matter
@given(st.lists(VALUES, min_size=len(NAMES), max_size=len(NAMES)))
def test_any_value_gives_the_same_bits_every_way(model: Trained, fast: FastModel, row: list[float]) -> None:
    vector = np.array(row)
    expected = model.booster.predict(vector[np.newaxis], raw_score=True).tolist()
    assert [fast.predict_one(vector)] == fast.predict_many(vector[np.newaxis]).tolist() == expected


@pytest.mark.parametrize("count", range(12))
def test_as_many_as_come_together_get_the_same_bits(model: Trained, fast: FastModel, count: int) -> None:
    rows = model.rows[5 : 5 + count]
    assert fast.predict_many(rows).tolist() == [fast.predict_one(row) for row in rows]


def test_categories_agree_too_those_never_seen_included() -> None:
    names = ("amount", "mcc", "channel")
    model = trained(names, categories=("mcc", "channel"))
    rows = model.rows[:200].copy()
    rows[:100, 1] = 9_999.0
    fast = FastModel(model.text, names)
    expected = model.booster.predict(rows, raw_score=True).tolist()
    assert fast.predict_many(rows).tolist() == expected
    assert [fast.predict_one(row) for row in rows] == expected


def test_many_threads_at_once_get_the_same_bits(model: Trained, fast: FastModel) -> None:
    rows = model.rows[:300]
    expected: list[float] = model.booster.predict(rows, raw_score=True).tolist()
    start = threading.Barrier(4)

    def one() -> bool:
        start.wait()
        return [fast.predict_one(row) for row in rows] == expected

    def many() -> bool:
        start.wait()
        return all(fast.predict_many(rows).tolist() == expected for _ in range(20))

    with ThreadPoolExecutor(4) as pool:
        assert all(future.result() for future in [pool.submit(job) for job in (one, many) * 2])


def test_layout_and_type_of_the_input_do_not_matter(model: Trained, fast: FastModel) -> None:
    rows = np.nan_to_num(model.rows[:40]).round()
    expected = fast.predict_many(rows).tolist()
    assert fast.predict_many(np.asfortranarray(rows)).tolist() == expected
    assert fast.predict_many(np.repeat(rows, 2, axis=0)[::2]).tolist() == expected


def test_no_rows_give_no_predictions(fast: FastModel) -> None:
    assert fast.predict_many(np.empty((0, len(NAMES)))).shape == (0,)


def test_rows_of_another_width_are_refused(fast: FastModel) -> None:
    with pytest.raises(ModelError, match=r"shape \(n, 15\)"):
        fast.predict_many(np.zeros((2, 14)))
    with pytest.raises(ValueError, match="broadcast"):
        fast.predict_one(np.zeros(14))


def test_other_feature_names_are_refused_and_named(model: Trained) -> None:
    swapped = (NAMES[1], NAMES[0], *NAMES[2:])
    with pytest.raises(ModelError, match="'amount' at position 0, 'is_weekend' expected"):
        FastModel(model.text, swapped)
    with pytest.raises(ModelError, match="15 of them, 14 expected"):
        FastModel(model.text, NAMES[:-1])


@pytest.mark.parametrize("text", ["", "hello", "tree\nversion=v4\n"])
def test_what_is_no_model_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="feature_names"):
        FastModel(text, NAMES)


def test_a_model_that_breaks_off_is_refused(model: Trained) -> None:
    header_only = model.text[: model.text.index("feature_infos=")]
    with pytest.raises(ModelError, match="LightGBM"):
        FastModel(header_only, NAMES)


def test_a_model_of_several_classes_is_refused() -> None:
    random = np.random.default_rng(1)
    rows, classes = random.normal(size=(300, 2)), random.integers(0, 3, 300)
    data = lightgbm.Dataset(rows, classes, feature_name=["amount", "hour"])
    booster = lightgbm.train({"objective": "multiclass", "num_class": 3, "verbosity": -1, "num_threads": 1}, data, 2)
    with pytest.raises(ModelError, match="binary"):
        FastModel(booster.model_to_string(), ["amount", "hour"])


def test_what_a_thread_used_is_released_with_it_and_the_model_last(model: Trained) -> None:
    models = [FastModel(model.text, model.names)]
    models[0].predict_one(model.rows[0])
    in_thread: list[weakref.ref[object]] = []

    def predict() -> None:
        models[0].predict_one(model.rows[0])
        in_thread.append(weakref.ref(models[0]._of_thread.raw_score))

    thread = threading.Thread(target=predict)
    thread.start()
    thread.join()
    booster = weakref.ref(models[0]._booster)
    gc.collect()
    assert in_thread[0]() is None
    assert booster() is not None
    models.clear()
    gc.collect()
    assert booster() is None


def test_a_scorer_need_not_import_lightgbm(model: Trained, tmp_path: Path) -> None:
    (tmp_path / "model.txt").write_text(model.text)
    script = (
        "import sys, pathlib, numpy; from scorer.model import FastModel; names = sys.argv[2].split();"
        "FastModel(pathlib.Path(sys.argv[1]).read_text(), names).predict_one(numpy.zeros(len(names)));"
        "assert not {'lightgbm', 'pandas', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "model.txt"), " ".join(NAMES)], check=True)
