"""The component that gives the stream scorers of its own: the base's, apart from their name and what they are for."""

import json
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from fraudctl.commands.configuration import settings_classes, variables
from loadtests.scoring import STREAM_SCORER, STREAM_WORKER
from tests.unit.k8s.manifests import BASE, Object, needs_kubectl, rendered_overlay

COMPONENT = BASE.parent / "components" / "stream-scorers"
SLICES = {"name": "FRAUD_BATCH_SLICE", "value": STREAM_SCORER["FRAUD_BATCH_SLICE"]}


def settings_of(patch: Path) -> dict[str, str]:
    (container,) = yaml.safe_load(patch.read_text())["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable["value"] for variable in container["env"]}


def test_what_is_measured_is_what_it_sets() -> None:
    of_worker = settings_of(COMPONENT / "stream-processor.yaml")

    assert settings_of(COMPONENT / "scorers" / "stream-scorer.yaml") == STREAM_SCORER
    assert of_worker == {**STREAM_WORKER, "FRAUD_SCORER_ADDRESS": "dns:///stream-scorer:50051"}
    assert of_worker.keys() | STREAM_SCORER.keys() <= {
        name for _, settings in settings_classes() for name in variables(settings)
    }


@needs_kubectl
@pytest.mark.parametrize("components", [("stream-scorers",), ("stream-scorers", "tls")])
def test_its_scorers_are_those_of_the_base_by_another_name(tmp_path: Path, components: tuple[str, ...]) -> None:
    found = {(item["kind"], item["metadata"]["name"]): item for item in rendered_overlay(tmp_path, *components)}
    twins = {kind: item for (kind, name), item in found.items() if name == "stream-scorer"}

    for item in found.values():
        kubernetes_validate.validate(item, kubernetes_validate.latest_version(), strict=True)
    assert twins.keys() == {kind for kind, name in found if name == "scorer"}
    environment = twins["Deployment"]["spec"]["template"]["spec"]["containers"][0]["env"]
    assert SLICES in environment
    environment.remove(SLICES)
    (callers,) = twins["NetworkPolicy"]["spec"]["ingress"]
    assert callers.pop("from") == [
        {
            "podSelector": {
                "matchExpressions": [
                    {"key": "app.kubernetes.io/name", "operator": "In", "values": ["stream-processor"]}
                ]
            }
        }
    ]
    del found["NetworkPolicy", "scorer"]["spec"]["ingress"][0]["from"]
    for kind, twin in twins.items():
        assert renamed(twin) == {**found[kind, "scorer"], "metadata": renamed(twin)["metadata"]}
        assert twin["metadata"]["namespace"] == "fraud-scoring"


@needs_kubectl
def test_the_stream_processor_calls_them(tmp_path: Path) -> None:
    found = {(item["kind"], item["metadata"]["name"]): item for item in rendered_overlay(tmp_path, "stream-scorers")}
    (worker,) = found["Deployment", "stream-processor"]["spec"]["template"]["spec"]["containers"]
    (port,) = found["Service", "stream-scorer"]["spec"]["ports"]

    assert {"name": "FRAUD_SCORER_ADDRESS", "value": f"dns:///stream-scorer:{port['port']}"} in worker["env"]


def renamed(item: Object) -> Object:
    loaded: Object = json.loads(json.dumps(item).replace("stream-scorer", "scorer"))
    return loaded
