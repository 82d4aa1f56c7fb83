"""A model to begin with: trained on simulated payments, where none is there yet."""

import time
from pathlib import Path

from fraudctl.cluster.secret_key import ensure_id_hash_key
from fraudctl.demo.past import train_on_past
from fraudctl.demo.source import make_source


def ensure_model(bundle: Path, id_hash_key_file: Path) -> bool:
    """Whether one was trained; a bundle that is there stays as it is. Raises as `training.train.train`."""
    if bundle.exists():
        return False
    ensure_id_hash_key(id_hash_key_file)
    bundle.parent.mkdir(parents=True, exist_ok=True)
    train_on_past(make_source(None, "", seed=1), time.time_ns() // 1_000_000, id_hash_key_file, bundle)
    return True
