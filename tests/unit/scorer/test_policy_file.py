import re
from pathlib import Path

import pytest

from feature_service.catalogue import REQUEST_FEATURES
from feature_service.identity import IdKey
from scorer.errors import PolicyError
from scorer.policy_file import load_policy, read_policy
from tests.unit.scorer.policy_files import STOLEN, write_policy

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "policy.md"
KEY = IdKey.from_hex("000102030405060708090a0b0c0d0e0f")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "stolen.txt").write_text("card-1\ncard-2\n")
    return tmp_path / "policy.toml"


def test_a_policy_is_read_with_its_lists_and_notes(file: Path) -> None:
    loaded = load_policy(write_policy(file, head='changed_by = "Ada"\nreason = "a raid"', tail=STOLEN), KEY)
    assert (loaded.changed_by, loaded.reason) == ("Ada", "a raid")
    assert [each.name for each in loaded.decider.policy.lists] == ["stolen"]
    assert b'"count": 2' in loaded.decider.content


def test_who_changed_it_and_why_is_no_part_of_the_policy(file: Path) -> None:
    plain = load_policy(write_policy(file), KEY)
    noted = load_policy(write_policy(file, head='changed_by = "Ada"'), KEY)
    assert plain.decider.policy_version == noted.decider.policy_version


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"head": "mode ="}, "not TOML"),
        ({"head": 'mode = "observe"'}, "mode: Input should be 'enforce', 'observe_only' or 'off'"),
        ({"head": "budget = 5"}, "budget: is unknown here"),
        ({"head": "changed_by = 5"}, "changed_by: write it as text"),
        ({"amount_when_missing_minor": "-1"}, "amount_when_missing_minor: Input should be greater than or equal to 0"),
        ({"tail": STOLEN.replace("stolen.txt", "none.txt")}, "none.txt cannot be read: No such file"),
        ({"tail": STOLEN.replace("stolen.txt", "../stolen.txt")}, "lists.stolen.file: give a file beside policy.toml"),
        ({"tail": STOLEN.replace("stolen.txt", "/stolen.txt")}, "lists.stolen.file: give a file beside policy.toml"),
        ({"tail": STOLEN + 'at_most = "APPROVE"'}, "lists.0: a list needs either at_least"),
        ({"tail": "[control_group]\nshare = 1.5\nsalt = 'a'"}, "control_group.share: Input should be less than 1"),
    ],
)
def test_what_is_no_policy_is_refused_with_its_place(file: Path, changes: dict[str, str], words: str) -> None:
    with pytest.raises(PolicyError, match=words) as refused:
        load_policy(write_policy(file, **changes), KEY)
    assert str(file.parent) in str(refused.value)


def test_a_card_number_on_a_list_is_refused_and_not_shown(file: Path) -> None:
    (file.parent / "stolen.txt").write_text("card-1\n4111111111111111\n")
    with pytest.raises(PolicyError, match=r"stolen.txt: line 2: the id is a card number") as refused:
        load_policy(write_policy(file, tail=STOLEN), KEY)
    assert "4111" not in str(refused.value)


def test_no_value_of_the_file_is_shown_since_it_might_be_an_id(file: Path) -> None:
    (file.parent / "stolen.txt").unlink()
    write_policy(file, tail=STOLEN.replace('entity = "card"', 'entity = "secret-id"'))
    with pytest.raises(PolicyError) as refused:
        read_policy(file)
    assert "secret-id" not in str(refused.value)


def test_what_the_documentation_shows_is_a_policy(file: Path) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", DOCUMENTATION.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    head, tail = ("\n".join(block for block in blocks if block.startswith("[") is table) for table in (False, True))
    [entries] = re.findall(r"^```\n(# reported.*?)^```", DOCUMENTATION.read_text(), flags=re.MULTILINE | re.DOTALL)
    (file.parent / "lists").mkdir()
    for name in ("stolen_cards", "trusted_customers"):
        (file.parent / "lists" / f"{name}.txt").write_text(entries)

    loaded = load_policy(write_policy(file, head=head, tail=tail), KEY)

    assert loaded.decider.id_counts == {"stolen_cards": 3, "trusted_customers": 3}
    assert loaded.decider.policy.mode == "observe_only"
    assert loaded.decider.policy.control_group
    assert loaded.decider.policy.alert_limits
    named = DOCUMENTATION.read_text().split("request says of itself:")[1].split(".\n")[0]
    assert re.findall(r"`(\w+)`", named) == list(REQUEST_FEATURES)
