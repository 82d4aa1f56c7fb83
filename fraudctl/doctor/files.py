"""What lies on this machine: the model bundle, the TLS files, the spool."""

import asyncio
import os
import shutil
import ssl
import time
from pathlib import Path
from typing import Final

from fraudctl.doctor.deployment import Deployment
from fraudctl.doctor.finding import Finding, ok, warning, wrong
from scorer.bundle import load_bundle
from scorer.errors import BundleError, LineupError
from scorer.registry import FolderRegistry

_DAY_S: Final = 86_400
_EXPIRES_SOON_DAYS: Final = 21


async def check_model(deployment: Deployment) -> list[Finding]:
    """All that a scorer would load, as it does it, golden rows included."""
    folder, registry = deployment.scorer.model_dir, deployment.scorer.models_dir
    if folder is not None:
        return [await _check_bundle(folder)]
    assert registry is not None  # one of the two is set
    models = FolderRegistry(registry)
    try:
        entry = models.current()
    except LineupError as error:
        return [wrong("model", str(error), "restore lineup.json from history/, or make a line-up by `fraudctl models`")]
    if entry is None:
        return [wrong("model", f"{registry} has no line-up", "`fraudctl models add` a bundle, then `promote` it")]
    return [await _check_bundle(models.bundle(version)) for version in sorted(entry.lineup.versions)]


async def _check_bundle(folder: Path) -> Finding:
    try:
        manifest = (await asyncio.to_thread(load_bundle, folder)).manifest
    except BundleError as error:
        remedy = "train a bundle, or restore this one: a scorer that starts refuses it"
        return wrong("model", f"{type(error).__name__}: {error}", remedy)
    return ok("model", f"{manifest.model_name} {manifest.model_version}, features {manifest.feature_set_version}")


async def check_tls(deployment: Deployment) -> list[Finding]:
    server = deployment.server
    if server.tls_certificate_file is None:
        return []
    if server.tls_key_file is None:
        return [wrong("TLS", "there is a certificate without a key", "give FRAUD_TLS_KEY_FILE")]
    try:
        if server.tls_client_ca_file is not None:
            ssl.create_default_context(cafile=str(server.tls_client_ca_file))
        ends_s = _expires_s(server.tls_certificate_file, server.tls_key_file)
    except ssl.SSLCertVerificationError as error:
        return [wrong("TLS", f"{server.tls_certificate_file}: {error.verify_message}", "renew the certificate")]
    except (OSError, ssl.SSLError) as error:
        return [wrong("TLS", f"its files cannot be used: {error}", "mend FRAUD_TLS_*: PEM files, a key that fits")]
    days = (ends_s - time.time()) / _DAY_S
    if days < _EXPIRES_SOON_DAYS:
        return [warning("TLS", f"the certificate expires in {days:.1f} days", "renew it")]
    return [ok("TLS", f"the certificate is valid for {days:.0f} days")]


async def check_spool(deployment: Deployment) -> list[Finding]:
    folder, limit_bytes = deployment.scorer.spool_dir, deployment.scorer.spool_bytes
    if folder is None:
        says = "there is none: while Kafka is away decisions wait in memory, and end with the scorer"
        return [warning("spool", says, "set FRAUD_SPOOL_DIR")]
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return [wrong("spool", f"{there} is not a folder this process may write to", "mend it, or FRAUD_SPOOL_DIR")]
    findings = [
        wrong("spool", f"{path} is damaged", "publish what is readable of it, then delete it: docs/operations.md")
        for path in sorted(folder.glob("*/*.damaged"))
    ]
    waiting_bytes = sum(path.stat().st_size for path in folder.glob("*/*.spool"))
    if waiting_bytes:
        says = f"{waiting_bytes:,} bytes wait for Kafka in {folder}"
        findings.append(warning("spool", says, "look for Kafka, and at the scorer's log"))
    free_bytes = shutil.disk_usage(there).free
    if free_bytes < limit_bytes - waiting_bytes:
        says = f"{free_bytes:,} bytes are free for {limit_bytes:,} of FRAUD_SPOOL_BYTES"
        findings.append(warning("spool", says, "make room: beyond it decisions are not published"))
    return findings or [ok("spool", f"empty, room for {limit_bytes / 2**20:,.0f} MiB in {folder}")]


def _expires_s(certificate: Path, key: Path) -> float:
    """When, Unix time, by a handshake with itself. Raises: OSError, of which all that ssl raises is one."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    calling = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    calling.check_hostname = False
    calling.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate vouches for itself
    calling.load_verify_locations(certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client, server = calling.wrap_bio(to_client, to_server), serving.wrap_bio(to_server, to_client, server_side=True)
    unfinished = [client, server]
    while unfinished:
        side = unfinished.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            unfinished.append(side)
    found = client.getpeercert()
    assert found is not None
    return ssl.cert_time_to_seconds(str(found["notAfter"]))
