"""The backup and the restore that docs/operations.md describes, step by step: for a test of them and for figures."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

from feature_service.stores.durability import save


async def back_up(client: Any, into: Path) -> None:
    """Copy a running Redis's append-only folder, rewritten just before: no rewrite may replace files meanwhile."""
    percentage = (await client.config_get("auto-aof-rewrite-percentage"))["auto-aof-rewrite-percentage"]
    await client.config_set("auto-aof-rewrite-percentage", 0)
    try:
        await save(client)
        places = await client.config_get("dir", "appenddirname")
        await asyncio.to_thread(shutil.copytree, Path(places["dir"]) / places["appenddirname"], into)
    finally:
        await client.config_set("auto-aof-rewrite-percentage", percentage)


def restore(backup: Path, data: Path) -> None:
    """Into the data folder of a Redis that has never been started."""
    shutil.copytree(backup, data / "appendonlydir")
