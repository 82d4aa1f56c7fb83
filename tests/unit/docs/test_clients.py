"""docs/clients.md quotes its programs as they are, and what it and they say of the servers is so."""

import json
import re
from pathlib import Path
from typing import Final

import pytest

from feature_service.grpc_server import LEAST_PING_INTERVAL_MS
from scorer.servicer import SERVICE
from tests.contract.scorer.client_programs import GO, JAVA, PYTHON, Language

DOCS: Final = Path(__file__).parents[3] / "docs"
PAGE: Final = (DOCS / "clients.md").read_text()
FILES: Final = {
    "json": DOCS / "clients" / "service_config.json",
    "python": DOCS / "clients" / "python" / "score.py",
    "go": DOCS / "clients" / "go" / "score.go",
    "java": DOCS / "clients" / "java" / "src" / "main" / "java" / "payments" / "Score.java",
}
EXCERPTS: Final = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
KEEPALIVES: Final = {
    "python": r"grpc\.keepalive_time_ms\", (20_000)",
    "go": r"Time: (20) \* time\.Second",
    "java": r"\.keepAliveTime\((20), TimeUnit\.SECONDS\)",
}


def test_each_language_is_quoted() -> None:
    assert {language for language, _ in EXCERPTS} == FILES.keys()


@pytest.mark.parametrize(("language", "excerpt"), EXCERPTS)
def test_excerpts_are_what_the_files_say(language: str, excerpt: str) -> None:
    assert excerpt in FILES[language].read_text()


@pytest.mark.parametrize("language", [PYTHON, GO, JAVA], ids=lambda language: language.name)
def test_they_are_built_and_run_as_the_page_says(language: Language) -> None:
    [line] = [line for line in PAGE.splitlines() if line.startswith(f"| [{language.name}/]")]
    _, _, _, build, run, _ = line.split("|")

    assert [word for word in language.build if not word.startswith("--")] == build.strip(" `").split()
    assert run.strip(" `").replace("'", "").endswith(" ".join(language.command))


def test_the_service_config_is_of_the_scorer() -> None:
    [method] = json.loads(FILES["json"].read_text())["methodConfig"]

    assert method["name"] == [{"service": SERVICE, "method": "Score"}]


@pytest.mark.parametrize("language", KEEPALIVES)
def test_they_ping_less_often_than_servers_bear(language: str) -> None:
    found = re.search(KEEPALIVES[language], FILES[language].read_text())

    assert found is not None
    interval = int(found[1])
    assert (interval if interval > 1_000 else 1_000 * interval) > LEAST_PING_INTERVAL_MS


def test_the_page_says_what_servers_bear() -> None:
    assert f"bear one every {LEAST_PING_INTERVAL_MS // 1_000} s" in PAGE
