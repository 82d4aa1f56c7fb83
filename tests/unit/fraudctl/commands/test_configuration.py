from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from fraudctl.commands.configuration import PACKAGES, configuration, render, settings_classes, variables

ROOT = Path(__file__).parents[4]
CLASSES = list(settings_classes())


def test_the_committed_reference_is_fresh() -> None:
    committed = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")

    assert committed == render(), "run: fraudctl configuration --output docs/configuration.md"


def test_every_service_has_settings_in_it() -> None:
    assert {package for package, _ in CLASSES} == set(PACKAGES)


@pytest.mark.parametrize(("package", "settings"), CLASSES, ids=lambda value: getattr(value, "__name__", value))
def test_every_variable_is_in_it_once_explained(package: str, settings: type[BaseSettings]) -> None:
    reference = render()

    for name, (_, _, meaning) in variables(settings).items():
        assert f"| `{name}` |" in reference
        assert meaning.endswith(".")
    assert settings.model_config.get("frozen")


def test_a_variable_means_the_same_to_every_service() -> None:
    meanings: dict[str, set[tuple[str, str, str]]] = {}
    for _, settings in CLASSES:
        for name, description in variables(settings).items():
            meanings.setdefault(name, set()).add(description)

    assert {name: found for name, found in meanings.items() if len(found) > 1} == {}


def test_no_path_of_this_machine_gets_into_it() -> None:
    assert str(ROOT) not in render()


def test_it_goes_to_standard_output_or_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configuration(None)
    configuration(tmp_path / "configuration.md")

    assert capsys.readouterr().out == render()
    assert (tmp_path / "configuration.md").read_text(encoding="utf-8") == render()
