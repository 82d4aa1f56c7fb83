"""Traces, metrics and logs of the services: what they are called, how they are made, how they leave."""
