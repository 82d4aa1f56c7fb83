import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from loadtests.options import choose_faults, make_parser, parse, write_json


@dataclass(frozen=True, slots=True)
class Fault:
    name: str


FAULTS = [Fault("Redis is killed"), Fault("Redis is slow"), Fault("Kafka is gone")]


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_what_is_found_goes_to_a_file_of_the_modules_name_unless_it_is_told_otherwise() -> None:
    parser = make_parser("bench_scorer", "words", has_quick=True)
    assert parse(parser, []).json == Path(".local/bench-scorer.json")
    told = parse(parser, ["--quick", "--json", "elsewhere.json"])
    assert (told.quick, told.json) == (True, Path("elsewhere.json"))


def test_without_short_runs_there_is_no_quick(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(make_parser("soak", "words", has_quick=False), ["--quick"])
    assert "--quick" in capsys.readouterr().err


def test_sigterm_ends_a_run_as_ctrl_c_does() -> None:
    parse(make_parser("soak", "words", has_quick=False), [])
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(("given", "chosen"), [([], FAULTS), (["--only", "redis"], FAULTS[:2])])
def test_faults_are_chosen_by_words_of_their_names(given: list[str], chosen: list[Fault]) -> None:
    assert choose_faults(make_parser("faults", "", has_quick=False), FAULTS, given)[1] == chosen


@pytest.mark.parametrize(("given", "code"), [(["--list"], 0), (["--only", "nothing like it"], 2)])
def test_names_are_shown_where_they_are_asked_for_or_none_is_meant(
    given: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        choose_faults(make_parser("faults", "", has_quick=False), FAULTS, given)
    assert ended.value.code == code
    assert capsys.readouterr().out.splitlines() == [fault.name for fault in FAULTS]


def test_a_file_is_written_whose_folder_is_not_there_yet(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "found.json", {"p99_ms": 1.5})
    assert json.loads((tmp_path / "new" / "found.json").read_text()) == {"p99_ms": 1.5}
