"""Brokers that ask for TLS, a certificate and a password: every service gets in, strangers stay outside."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
from fraud.v1.decision_pb2 import Tier

from fraudctl.cluster.kafka import KafkaServer
from fraudctl.cluster.ports import HOST, free_port
from fraudctl.doctor.examination import examine
from fraudctl.doctor.finding import Finding
from scorer.bundle import load_bundle
from tests.bundles import World, train_bundle
from tests.e2e.client import ClusterClient, now_ms
from tests.e2e.cluster import RunningCluster
from tests.otlp_receiver import OtlpReceiver
from tests.people import Person
from tests.pki import Authority, KeyPair

USER, PASSWORD = "fraud", "correct-horse"
_MECHANISM: Final = "scram-sha-512"
_LOGIN_MODULE: Final = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, backend: OtlpReceiver, world: World
) -> Iterator[RunningCluster]:
    """Its services know the secure listener only; the tests themselves are at the other one."""
    folder = tmp_path_factory.mktemp("secure")
    (folder / "kafka").mkdir()
    port, controller_port, secure_port = free_port(), free_port(), free_port()
    kafka = KafkaServer(
        folder / "kafka",
        port=port,
        controller_port=controller_port,
        options=listeners(port, controller_port, secure_port, broker_files(folder, authority)),
        users={USER: PASSWORD},
    )
    bundle_path = train_bundle(world, folder)
    try:
        kafka.start()
        with RunningCluster(
            folder / "cluster",
            kafka_bootstrap=kafka.bootstrap,
            bundle=load_bundle(bundle_path),
            bundle_path=bundle_path,
            id_hash_key_file=world.contract.id_hash_key_file,
            environment={
                **backend.environment(),
                "FRAUD_KAFKA_BOOTSTRAP": f"localhost:{secure_port}",
                **login(authority, authority.issue("services")),
            },
        ) as running:
            yield running
    finally:
        kafka.stop()


def broker_files(folder: Path, authority: Authority) -> Mapping[str, object]:
    pair = authority.issue("broker", dns=["localhost"])
    together = folder / "broker.pem"
    together.write_bytes(pair.key.read_bytes() + pair.certificate.read_bytes())
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": together,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": authority.file,
        "listener.name.sasl_ssl.ssl.client.auth": "required",
    }


def listeners(port: int, controller_port: int, secure_port: int, files: Mapping[str, object]) -> dict[str, object]:
    plain, secure = f"PLAINTEXT://{HOST}:{port}", f"SASL_SSL://localhost:{secure_port}"
    return {
        "listeners": f"{plain},{secure},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"{plain},{secure}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": _MECHANISM.upper(),
        f"listener.name.sasl_ssl.{_MECHANISM}.sasl.jaas.config": _LOGIN_MODULE,
        **files,
    }


def login(trusted: Authority, own: KeyPair, *, password: str = PASSWORD) -> dict[str, str]:
    return {
        "FRAUD_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "FRAUD_KAFKA_SASL_USERNAME": USER,
        "FRAUD_KAFKA_SASL_PASSWORD": password,
        "FRAUD_KAFKA_CA_FILE": str(trusted.file),
        "FRAUD_KAFKA_CERTIFICATE_FILE": str(own.certificate),
        "FRAUD_KAFKA_KEY_FILE": str(own.key),
    }


async def examined(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> dict[str, Finding]:
    """What `fraudctl doctor` finds of Kafka, by subject."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = await examine(environment)
    return {each.subject: each for each in found if each.subject.startswith(("Kafka", "topic", "group"))}


async def test_payments_are_folded_decided_and_published(client: ClusterClient) -> None:
    person, t = Person(), now_ms()
    of_stream, of_call = person.pays(t - 1_000), person.pays(t)
    await client.send(of_stream)
    await client.folded()
    served = await client.features(customer=person.customer, as_of_ms=t)
    await client.score(of_call)

    assert served["customer_count_1h"] == 1
    for payment in (of_stream, of_call):
        assert (await client.decision(payment.transaction_id)).tier == Tier.TIER_FULL


async def test_the_doctor_finds_it_well(cluster: RunningCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = await examined(monkeypatch, cluster.environment)

    assert {each.state for each in findings.values()} == {"ok"}, findings
    assert findings.keys() >= {"Kafka", *(f"topic {spec.name}" for spec in cluster.topics.specs())}


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("password", "invalid credentials"),
        ("certificate", "closed"),  # all that a broker says of it
        ("authority", "certificate verify failed"),
    ],
)
async def test_strangers_are_told_what_they_lack(
    cluster: RunningCluster, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, told: str
) -> None:
    stranger = Authority(tmp_path, "stranger")
    wrong = {
        "password": login(authority, authority.issue("services"), password="guessed"),
        "certificate": login(authority, stranger.issue("services")),
        "authority": login(stranger, authority.issue("services")),
    }[kind]

    finding = (await examined(monkeypatch, {**cluster.environment, **wrong}))["Kafka"]

    assert finding.state == "wrong"
    assert told in finding.says
