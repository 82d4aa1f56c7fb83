"""Figures of one scorer: latency, throughput, processor time and its price, and what becomes of calls under overload.

`python -m loadtests.bench_scorer` measures scorers with tracing on and off in turns, beside a server that only echoes.
"""
