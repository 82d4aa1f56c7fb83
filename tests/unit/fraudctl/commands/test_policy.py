import secrets
from pathlib import Path

import pytest

from fraudctl import local
from fraudctl.commands.policy import check, diff
from scorer.errors import PolicyError
from tests.unit.scorer.policy_files import STOLEN, write_policy


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "id-key").write_text(secrets.token_hex(16))
    monkeypatch.setenv("FRAUD_ID_HASH_KEY_FILE", str(tmp_path / "id-key"))
    monkeypatch.setattr(local, "use_local_environment", lambda: None)


def test_check_shows_thresholds_and_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stolen.txt").write_text("card-1\ncard-2\n")
    check(write_policy(tmp_path / "policy.toml", head='mode = "observe_only"', tail=STOLEN))
    shown = capsys.readouterr().out
    [line] = [line for line in shown.splitlines() if " 50.00" in line]
    assert [cell.strip() for cell in line.split("│")[1:-1]] == ["50.00", "0.0494", "0.2308", "0.6714"]
    assert "mode observe_only" in shown
    assert "list stolen: 2 ids of card, at least DECLINE" in shown


def test_check_refuses_what_is_no_policy(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="budget: is unknown here"):
        check(write_policy(tmp_path / "policy.toml", head="budget = 5"))


def test_diff_says_what_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    diff(write_policy(old), write_policy(new, amount_when_missing_minor="7000"))
    versions, difference = capsys.readouterr().out.splitlines()
    assert " → " in versions
    assert difference == "amount_when_missing_minor: 5000 → 7000"
