"""The manifests name only what exists, agree with the services' settings, and ask for no more than they need."""

import importlib.util
import json

import pytest
import yaml
from pydantic_settings import BaseSettings

from decision_index.settings import DecisionIndexSettings
from feature_service.contract_settings import ContractSettings
from feature_service.settings import FeatureServiceSettings, StoreSettings
from fraudctl.commands.configuration import settings_classes, variables
from scorer.settings import ScorerSettings
from stream_processor.settings import StreamProcessorSettings
from tests.unit.k8s.manifests import (
    BASE,
    SERVICES,
    container,
    environment,
    needs_kubectl,
    objects,
    of_kind,
    pod,
    rendered,
    resources,
    shared_environment,
)

GRPC_SERVICES = {"scorer": "FRAUD_SCORER_BIND", "feature-service": "FRAUD_FEATURE_SERVICE_BIND"}
SETTINGS: dict[str, tuple[type[BaseSettings], ...]] = {
    "scorer": (ContractSettings, StoreSettings, ScorerSettings),
    "feature-service": (ContractSettings, StoreSettings, FeatureServiceSettings),
    "stream-processor": (ContractSettings, StoreSettings, StreamProcessorSettings),
    "decision-index": (ContractSettings, DecisionIndexSettings),
}
# What whoever deploys this brings along; k8s/README.md lists it.
BROUGHT_SECRETS = {
    "id-hash-key": {"id-hash-key"},
    "redis": {"url"},
    "kafka": {"username", "password"},
    "decision-index": {"url"},
}
BROUGHT_CLAIMS = {"model-registry"}
# The exporters' own time limit, for the last export after the calls have drained.
LAST_EXPORT_S = 10

each_service = pytest.mark.parametrize("service", SERVICES)
each_grpc_service = pytest.mark.parametrize("service", GRPC_SERVICES)


def test_every_service_has_one_file_with_all_that_is_its_own() -> None:
    files = {file.stem: file for file in resources()}

    assert sorted(file.name for file in resources()) == sorted(
        ["namespace.yaml", *(f"{name}.yaml" for name in SERVICES)]
    )
    for service in SERVICES:
        found = list(yaml.safe_load_all(files[service].read_text()))
        assert {item["metadata"]["name"] for item in found} == {service}
        assert {"ServiceAccount", "Deployment", "PodDisruptionBudget"} <= {item["kind"] for item in found}


def test_no_secret_is_contained() -> None:
    assert not of_kind("Secret")
    assert not [name for name in shared_environment() if "PASSWORD" in name or "SECRET" in name or name.endswith("KEY")]


@each_service
def test_it_runs_a_module_that_exists(service: str) -> None:
    (module,) = container(service)["args"]

    assert module == service.replace("-", "_")
    assert importlib.util.find_spec(f"{module}.__main__") is not None


@each_service
def test_every_variable_is_one_that_a_service_reads(service: str) -> None:
    known = {name for _, settings in settings_classes() for name in variables(settings)}
    standard = {"NUMBA_CACHE_DIR", "POD_NAME"}

    unknown = [name for name in environment(service) if name not in known | standard and not name.startswith("OTEL_")]

    assert unknown == []


@each_service
def test_every_required_setting_is_given(service: str) -> None:
    required = {
        f"FRAUD_{name}".upper()
        for settings in SETTINGS[service]
        for name, field in settings.model_fields.items()
        if field.is_required()
    }

    assert required <= environment(service).keys()


@each_service
def test_secrets_claims_and_volumes_exist(service: str) -> None:
    spec = pod(service)
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for item in [*spec["initContainers"], *spec["containers"]]:
        assert {mount["name"] for mount in item["volumeMounts"]} <= volumes.keys()
    for volume in volumes.values():
        assert volume.get("secret", {}).get("secretName", "id-hash-key") in BROUGHT_SECRETS
        assert volume.get("persistentVolumeClaim", {}).get("claimName", "model-registry") in BROUGHT_CLAIMS
    for variable in container(service)["env"]:
        if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
            assert reference["key"] in BROUGHT_SECRETS[reference["name"]]


@each_service
def test_files_that_settings_name_are_mounted(service: str) -> None:
    mounts = [mount["mountPath"] for mount in container(service)["volumeMounts"]]
    paths = [value for value in environment(service).values() if value is not None and value.startswith("/")]

    assert paths
    for path in paths:
        assert any(path == mount or path.startswith(f"{mount}/") for mount in mounts)


@each_service
def test_the_service_account_and_selectors_match(service: str) -> None:
    deployment = of_kind("Deployment")[service]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    selectors = [
        deployment["selector"]["matchLabels"],
        of_kind("PodDisruptionBudget")[service]["spec"]["selector"]["matchLabels"],
        *(spread["labelSelector"]["matchLabels"] for spread in pod(service)["topologySpreadConstraints"]),
    ]

    assert pod(service)["serviceAccountName"] in of_kind("ServiceAccount")
    assert selectors == [labels] * len(selectors)


@each_service
def test_no_container_has_more_rights_than_it_needs(service: str) -> None:
    spec = pod(service)

    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for item in [*spec["initContainers"], *spec["containers"]]:
        assert item["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= item["resources"]["requests"].keys() & item["resources"]["limits"].keys()


@each_service
def test_it_writes_only_where_a_volume_is(service: str) -> None:
    writable = {mount["mountPath"] for mount in container(service)["volumeMounts"] if not mount.get("readOnly", False)}

    named = {value for name in ("NUMBA_CACHE_DIR", "FRAUD_SPOOL_DIR") if (value := environment(service).get(name))}
    assert {"/tmp", *named} == writable
    assert container(service)["workingDir"] == "/tmp"


@each_grpc_service
def test_ports_are_the_one_it_binds(service: str) -> None:
    bind = environment(service)[GRPC_SERVICES[service]]
    assert bind is not None
    host, _, port = bind.rpartition(":")
    item = container(service)
    (published,) = of_kind("Service")[service]["spec"]["ports"]

    assert host == "0.0.0.0"
    assert item["ports"] == [{"name": "grpc", "containerPort": int(port)}]
    assert (published["port"], published["targetPort"]) == (int(port), "grpc")
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert item[probe]["grpc"]["port"] == int(port)


@each_grpc_service
def test_clients_can_balance_over_its_pods(service: str) -> None:
    spec = of_kind("Service")[service]["spec"]

    assert spec["clusterIP"] == "None"
    assert spec["selector"] == of_kind("Deployment")[service]["spec"]["template"]["metadata"]["labels"]


def test_the_stream_processor_reaches_the_scorers() -> None:
    (published,) = of_kind("Service")["scorer"]["spec"]["ports"]

    assert environment("stream-processor")["FRAUD_SCORER_ADDRESS"] == f"dns:///scorer:{published['port']}"


@pytest.mark.parametrize(
    ("service", "drain_ms"),
    [
        ("scorer", ScorerSettings.model_fields["drain_ms"].default),
        ("feature-service", FeatureServiceSettings.model_fields["feature_service_drain_ms"].default),
    ],
)
def test_a_pod_has_the_time_to_drain(service: str, drain_ms: int) -> None:
    before_s = container(service)["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert pod(service)["terminationGracePeriodSeconds"] >= before_s + drain_ms / 1_000 + LAST_EXPORT_S


def test_the_autoscaler_and_the_deployment_do_not_fight() -> None:
    (scaler,) = of_kind("HorizontalPodAutoscaler").values()
    target = scaler["spec"]["scaleTargetRef"]

    assert target["kind"] == "Deployment"
    assert "replicas" not in of_kind("Deployment")[target["name"]]["spec"]
    assert scaler["spec"]["minReplicas"] >= 2


@needs_kubectl
def test_kustomize_renders_what_the_files_say() -> None:
    found = rendered(BASE)
    names = {(item["kind"], item["metadata"]["name"]) for item in found if item["kind"] != "ConfigMap"}
    (configuration,) = (item for item in found if item["kind"] == "ConfigMap")

    assert names == {(item["kind"], item["metadata"]["name"]) for item in objects()}
    assert configuration["data"] == shared_environment()
    assert json.dumps(found).count(configuration["metadata"]["name"]) == 1 + len(SERVICES)
    assert {item["metadata"].get("namespace", "fraud-scoring") for item in found} == {"fraud-scoring"}
