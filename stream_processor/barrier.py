"""Waiting until what was published is in the histories."""

import asyncio
from collections.abc import Mapping

from feature_service.stores.base import HistoryStore

_POLL_S = 0.02


async def wait_until_folded(store: HistoryStore, ends: Mapping[str, int], *, timeout_s: float) -> None:
    """Return when every shard's fence has passed every source's end (the offset of its next record).

    Idle fences move once a second, so this takes up to that long after the last record was folded. Raises: TimeoutError
    naming a source that is behind; StoreError.
    """
    behind = {source: end for source, end in ends.items() if end > 0}
    source = ""
    try:
        async with asyncio.timeout(timeout_s):
            for source, end in behind.items():
                while (await store.fences(source)).min() < end - 1:  # noqa: ASYNC110 - another process moves them
                    await asyncio.sleep(_POLL_S)
    except TimeoutError as error:
        raise TimeoutError(f"source {source} was not folded up to {behind[source]} within {timeout_s} s") from error
