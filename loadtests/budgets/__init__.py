"""Faults around one scorer while calls come at a constant rate: does every call get its answer inside its deadline?

`python -m loadtests.budgets` injects every fault of the catalogue, twice: under the scorer's own budget and under a
deadline of the callers. It judges what the answers say of themselves, and looks every one of them up in `decisions`.
"""
