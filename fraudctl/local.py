"""Commands speak to the local cluster unless the environment says otherwise."""
# ruff: noqa: PLC0415  -- commands import this module, and must not import what it needs before it is used

import os


def use_local_environment() -> None:
    """Fill in the variables that are not set with those of the local cluster, the id hash key's file among them."""
    from pathlib import Path

    from fraudctl.cluster.cluster import LocalCluster
    from fraudctl.cluster.secret_key import ensure_id_hash_key

    environment = LocalCluster().environment
    if "FRAUD_ID_HASH_KEY_FILE" not in os.environ:
        ensure_id_hash_key(Path(environment["FRAUD_ID_HASH_KEY_FILE"]))
    for name, value in environment.items():
        if name.startswith("FRAUD_"):
            os.environ.setdefault(name, value)
