"""By which names a client's certificate may be known: as gRPC takes them. Pure."""

from collections.abc import Mapping
from typing import Any


def certificate_names(certificate: Mapping[str, Any] | None) -> list[bytes]:
    """Of a verified certificate as `ssl` describes it: its alternative names; where it has none, its common names."""
    if not certificate:
        return []
    alternatives = [name.encode() for _kind, name in certificate.get("subjectAltName", ())]
    if alternatives:
        return alternatives
    subject = certificate.get("subject", ())
    return [value.encode() for names in subject for key, value in names if key == "commonName"]
