"""The project's own payments: the Fraud Detection Handbook's generator, extended to all that the contract carries.

Customers and terminals lie on a grid; a customer pays at terminals within reach. To the handbook's three frauds (large
amounts, compromised terminals, leaked cards) come card tests and account takeovers; to its columns come cards,
merchants, channels, devices, IPs and places, the issuer's answer, captures, reversals and refunds, and labels that come
late. What senders do to events (late, twice, out of order, broken), seasons and drift are switched on by settings.

Everything is decided by `SimulatorSettings`: the same settings give the same bytes, and a day is the same in whatever
range of days it is simulated.
"""

from training.simulator.settings import SimulatorSettings
from training.simulator.stream import simulate, simulate_batches

__all__ = ["SimulatorSettings", "simulate", "simulate_batches"]
