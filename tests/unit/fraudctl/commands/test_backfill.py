from pathlib import Path

import pytest

from fraudctl.commands.backfill import backfill
from fraudctl.errors import UserError


@pytest.mark.parametrize(("files", "from_log"), [(None, False), ([Path("payments.csv")], True)])
def test_it_is_either_files_or_the_log_alone(files: list[Path] | None, from_log: bool) -> None:
    with pytest.raises(UserError, match="say from what"):
        backfill(files, from_log)


@pytest.mark.parametrize("live", ["1", "4"])
def test_the_generation_in_use_is_never_built(live: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FRAUD_GENERATION", live)
    monkeypatch.setenv("FRAUD_ID_HASH_KEY_FILE", str(tmp_path / "id_hash_key"))
    with pytest.raises(UserError, match=f"generation {live} is the one in use"):
        backfill(None, from_log=True, generation=int(live))
