from pathlib import Path

import pytest
from pydantic import ValidationError

from scorer.settings import ScorerSettings


def test_models_come_from_one_place() -> None:
    assert ScorerSettings(model_dir=Path("bundle"), models_dir=None).models_dir is None
    assert ScorerSettings(model_dir=None, models_dir=Path("models")).model_dir is None
    for model_dir, models_dir in ((None, None), (Path("bundle"), Path("models"))):
        with pytest.raises(
            ValidationError, match="either FRAUD_MODEL_DIR, one bundle, or FRAUD_MODELS_DIR, a registry"
        ):
            ScorerSettings(model_dir=model_dir, models_dir=models_dir)
