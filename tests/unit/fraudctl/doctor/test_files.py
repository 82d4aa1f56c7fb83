"""Bundle, certificates and spool on this machine: each fault is named."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fraudctl.doctor.files import check_model, check_spool, check_tls
from scorer.publication import Record
from scorer.spool import open_spool
from tests.unit.fraudctl.doctor.conftest import Deploy

Certificate = Callable[[str, str], tuple[Path, Path]]
_CA = """\
[ca]
default_ca = own
[own]
database = index
new_certs_dir = .
default_md = sha256
policy = any
rand_serial = yes
[any]
commonName = supplied
"""


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """Makes one, and its key, that is valid between two days such as 20200131."""

    def make(first_day: str, last_day: str) -> tuple[Path, Path]:
        folder = tmp_path / last_day
        folder.mkdir()
        (folder / "ca.cnf").write_text(_CA)
        (folder / "index").touch()
        request = (
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -subj /CN=scorer -out request.pem"
        )
        sign = "ca -batch -notext -selfsign -config ca.cnf -keyfile key.pem -in request.pem -out certificate.pem"
        days = f" -startdate {first_day}000000Z -enddate {last_day}000000Z"
        for command in (request, sign + days):
            subprocess.run(("openssl", *command.split()), cwd=folder, check=True, capture_output=True)
        return folder / "certificate.pem", folder / "key.pem"

    return make


async def test_a_valid_certificate_says_for_how_long(deploy: Deploy, certificate: Certificate) -> None:
    pem, key = certificate("20200101", "20991231")

    [finding] = await check_tls(deploy(FRAUD_TLS_CERTIFICATE_FILE=pem, FRAUD_TLS_KEY_FILE=key))

    assert finding.state == "ok"
    assert "valid for" in finding.says


async def test_an_expired_certificate_is_named(deploy: Deploy, certificate: Certificate) -> None:
    pem, key = certificate("20200101", "20200201")

    [finding] = await check_tls(deploy(FRAUD_TLS_CERTIFICATE_FILE=pem, FRAUD_TLS_KEY_FILE=key))

    assert (finding.state, finding.remedy) == ("wrong", "renew the certificate")
    assert "expired" in finding.says


async def test_a_key_of_another_certificate_is_named(deploy: Deploy, certificate: Certificate) -> None:
    pem, _ = certificate("20200101", "20991231")
    _, other_key = certificate("20200101", "20981231")

    [finding] = await check_tls(deploy(FRAUD_TLS_CERTIFICATE_FILE=pem, FRAUD_TLS_KEY_FILE=other_key))

    assert finding.state == "wrong"
    assert "a key that fits" in finding.remedy


async def test_without_certificates_nothing_is_said(deploy: Deploy) -> None:
    assert await check_tls(deploy()) == []


async def test_a_missing_bundle_is_named(deploy: Deploy, environment: Path) -> None:
    [finding] = await check_model(deploy())

    assert finding.state == "wrong"
    assert str(environment) in finding.says


async def test_an_empty_spool_is_well_and_none_is_a_risk(deploy: Deploy, tmp_path: Path) -> None:
    [without] = await check_spool(deploy())
    [empty] = await check_spool(deploy(FRAUD_SPOOL_DIR=tmp_path / "spool", FRAUD_SPOOL_BYTES=1_000))

    assert (without.state, without.remedy) == ("warning", "set FRAUD_SPOOL_DIR")
    assert empty.state == "ok"
    assert not (tmp_path / "spool").exists()  # nothing is changed


async def test_what_waits_and_what_is_damaged_is_told(deploy: Deploy, tmp_path: Path) -> None:
    spool = open_spool(tmp_path / "spool", limit_bytes=1_000_000)
    for _ in range(2):
        spool.append([[Record("decisions", b"key", b"value", [])]], now_ms=0)
        taken = spool.take()
    assert taken is not None
    aside = spool.set_aside(taken.path)
    spool.close()

    damaged, waiting = await check_spool(deploy(FRAUD_SPOOL_DIR=tmp_path / "spool", FRAUD_SPOOL_BYTES=1_000))

    assert (damaged.state, str(aside) in damaged.says) == ("wrong", True)
    assert (waiting.state, f"{spool.size_bytes:,} bytes" in waiting.says) == ("warning", True)


async def test_a_disk_too_small_and_a_file_in_the_way_are_named(deploy: Deploy, tmp_path: Path) -> None:
    [small] = await check_spool(deploy(FRAUD_SPOOL_DIR=tmp_path / "spool", FRAUD_SPOOL_BYTES=10**18))
    (tmp_path / "file").touch()
    [in_the_way] = await check_spool(deploy(FRAUD_SPOOL_DIR=tmp_path / "file"))

    assert (small.state, "are free for" in small.says) == ("warning", True)
    assert (in_the_way.state, str(tmp_path / "file") in in_the_way.says) == ("wrong", True)
