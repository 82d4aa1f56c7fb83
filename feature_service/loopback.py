"""Which addresses only this machine reaches. Pure."""

from ipaddress import ip_address


def is_loopback(address: str) -> bool:
    """Of host:port or a gRPC target. A name other than `localhost` may stand for anything."""
    if address.startswith("unix:"):
        return True
    host = address.removeprefix("dns:///").rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
