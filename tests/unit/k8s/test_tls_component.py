"""The component that turns TLS and callers on sets what the services read, mounts it, and leaves probes a way in."""

from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from fraudctl.commands.configuration import settings_classes, variables
from tests.unit.k8s.manifests import BASE, SERVICES, Object, needs_kubectl, of_kind, pod, rendered_overlay

COMPONENT = BASE.parent / "components" / "tls"
CALLING_OR_CALLED = tuple(service for service in SERVICES if service != "decision-index")
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def patch_of(service: str) -> Object:
    patch: Object = yaml.safe_load((COMPONENT / f"{service}.yaml").read_text())
    spec: Object = patch["spec"]["template"]["spec"]
    return spec


def container_of(service: str) -> Object:
    (only,) = patch_of(service)["containers"]
    found: Object = only
    return found


def environment_of(service: str) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container_of(service)["env"]}


@pytest.mark.parametrize("service", CALLING_OR_CALLED)
def test_every_variable_is_one_that_a_service_reads(service: str) -> None:
    known = {name for _, settings in settings_classes() for name in variables(settings)}

    assert environment_of(service).keys() <= known


@pytest.mark.parametrize("service", CALLING_OR_CALLED)
def test_files_that_settings_name_are_mounted_to_be_read(service: str) -> None:
    volumes = {volume["name"] for volume in patch_of(service)["volumes"]}
    mounts = container_of(service)["volumeMounts"]
    files = [Path(value) for value in environment_of(service).values() if value.startswith("/")]

    assert {mount["name"] for mount in mounts} == volumes
    assert {str(file.parent) for file in files} == {mount["mountPath"] for mount in mounts}
    assert all(mount["readOnly"] and "subPath" not in mount for mount in mounts)  # a subPath is never updated
    assert not volumes & {volume["name"] for volume in pod(service)["volumes"]}


@pytest.mark.parametrize("service", ["scorer", "feature-service"])
def test_probes_ask_the_plain_port(service: str) -> None:
    _, _, port = environment_of(service)["FRAUD_HEALTH_BIND"].rpartition(":")
    item = container_of(service)

    assert item["ports"] == [{"name": "health", "containerPort": int(port)}]
    assert [item[probe]["grpc"]["port"] for probe in PROBES] == [int(port)] * len(PROBES)


def test_nobody_but_the_stream_processor_and_labelled_namespaces_may_call() -> None:
    policies = of_kind("NetworkPolicy")

    assert policies.keys() == set(SERVICES)
    for service, policy in policies.items():
        assert policy["spec"]["podSelector"] == of_kind("Deployment")[service]["spec"]["selector"]
        assert policy["spec"]["policyTypes"] == ["Ingress"]
    (rule,) = policies["scorer"]["spec"]["ingress"]
    assert rule["from"][0]["podSelector"] == of_kind("Deployment")["stream-processor"]["spec"]["selector"]
    assert [port["port"] for port in rule["ports"]] == ["grpc"]
    assert policies["stream-processor"]["spec"]["ingress"] == policies["decision-index"]["spec"]["ingress"] == []


@needs_kubectl
def test_an_overlay_with_it_passes_the_schemas(tmp_path: Path) -> None:
    objects = rendered_overlay(tmp_path, "tls")

    for found in objects:
        kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)
    (scorer,) = (
        item["spec"]["template"]["spec"]["containers"][0]
        for item in objects
        if (item["kind"], item["metadata"]["name"]) == ("Deployment", "scorer")
    )
    assert {port["name"] for port in scorer["ports"]} == {"grpc", "health"}
    assert scorer["startupProbe"]["failureThreshold"] == 60  # of the base
    services = [item for item in objects if item["kind"] == "Service"]
    assert {service["spec"]["ports"][0]["appProtocol"] for service in services} == {"https"}
