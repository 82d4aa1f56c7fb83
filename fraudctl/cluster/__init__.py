"""Kafka, Redis, Zipkin and the project's services as processes of this machine, for demonstrations and tests."""
