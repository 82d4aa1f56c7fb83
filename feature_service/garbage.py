"""The garbage collector of a service that has started: nearly all that it makes goes away without it."""

import gc
from typing import Final

_THRESHOLD: Final = 50_000  # objects: cycles are rare, and what a batch makes is not garbage


def spare_collections() -> None:
    """What is here stays: a collection that walks through it all stops everything for tens of milliseconds.

    Collections are set off by objects that are made, whether or not they are garbage: with the interpreter's own
    thresholds they took as long as all else that is done with the records of a batch.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_THRESHOLD)
