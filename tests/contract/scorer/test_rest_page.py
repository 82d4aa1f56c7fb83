"""The commands of docs/rest.md, run as they stand there, against real servers."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from feature_service.catalogue import VIEWS
from fraudctl.cluster.ports import HOST, free_port
from fraudctl.cluster.probes import grpc_health
from fraudctl.cluster.processes import Process, Program
from tests.contract.scorer.conftest import Served
from tests.contract.scorer.test_rest import RestScorer

PAGE = Path(__file__).parents[3] / "docs" / "rest.md"


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory, served: Served, folded_redis: str) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("servers")
    scorer = RestScorer(folder, served, folded_redis)
    port, rest_port = free_port(), free_port()
    features = Process(
        Program(
            name="feature-service",
            command=lambda: (sys.executable, "-m", "feature_service"),
            probe=grpc_health(f"{HOST}:{port}"),
            ports=(port, rest_port),
            environment={
                **served.environment(folded_redis),
                "FRAUD_FEATURE_SERVICE_BIND": f"{HOST}:{port}",
                "FRAUD_FEATURE_SERVICE_REST_BIND": f"{HOST}:{rest_port}",
            },
        ),
        folder,
    )
    with ExitStack() as stack:
        for server in (scorer, features):
            stack.callback(server.stop)
            server.start()
        yield {"SCORER": scorer.url, "FEATURES": f"http://{HOST}:{rest_port}"}


def test_the_pages_commands_do_what_it_says(addresses: dict[str, str]) -> None:
    commands = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    script = "set -eu\n" + "\necho\n".join(commands)

    ran = subprocess.run(
        ["/bin/sh", "-c", script],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **addresses},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    decided, features, catalogue = (json.loads(line) for line in ran.stdout.splitlines())
    assert decided["decision"]["transaction"]["amount_minor"] == "1050"
    assert features["names"] == list(VIEWS["handbook"].names)
    assert {view["view"] for view in catalogue["views"]} == set(VIEWS)


def curl(*arguments: str) -> Any:
    ran = subprocess.run(["curl", "--silent", *arguments], capture_output=True, text=True, timeout=30, check=True)
    return json.loads(ran.stdout)


def test_the_feature_services_example_works(addresses: dict[str, str]) -> None:
    document = curl(f"{addresses['FEATURES']}/openapi.json")
    example = document["paths"]["/v1/features"]["post"]["requestBody"]["content"]["application/json"]["example"]

    answer = curl(f"{addresses['FEATURES']}/v1/features", "--json", json.dumps(example))

    assert answer["as_of_ms"] == example["as_of_ms"]
    assert answer["names"] == list(VIEWS["handbook"].names)


def test_what_the_feature_service_refuses_is_said_in_words(addresses: dict[str, str]) -> None:
    answer = curl(f"{addresses['FEATURES']}/v1/features", "--json", '{"view": "handbook"}')

    assert answer == {"status": "INVALID_ARGUMENT", "message": "name an entity in keys, or send a transaction"}
