"""Faults with real processes: brokers, Redis servers, workers and a scorer, while events flow.

`python -m loadtests.faults` injects every fault of the catalogue and compares, at the end of each, all that the input
must give with what is there: features by bits, records one by one, decisions, alerts and dead letters by id.
"""
