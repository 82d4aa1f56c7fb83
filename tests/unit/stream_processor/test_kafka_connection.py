import pytest

from stream_processor.kafka_connection import KafkaConnection


def test_a_plain_connection_needs_servers_only() -> None:
    arguments = KafkaConnection(bootstrap_servers=("one:9092", "two:9092")).client_arguments()
    assert arguments["bootstrap_servers"] == ["one:9092", "two:9092"]
    assert arguments["security_protocol"] == "PLAINTEXT"
    assert arguments["ssl_context"] is None


def test_sasl_over_tls_carries_both() -> None:
    connection = KafkaConnection(
        bootstrap_servers=("one:9092",), security_protocol="SASL_SSL", sasl_username="folder", sasl_password="secret"
    )
    arguments = connection.client_arguments()
    assert arguments["sasl_mechanism"] == "SCRAM-SHA-512"
    assert arguments["sasl_plain_username"] == "folder"
    assert arguments["ssl_context"] is not None
    assert "secret" not in repr(connection)


def test_sasl_without_a_password_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a user name and a password"):
        KafkaConnection(bootstrap_servers=("one:9092",), security_protocol="SASL_PLAINTEXT", sasl_username="folder")


def test_a_connection_to_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="no bootstrap server"):
        KafkaConnection(bootstrap_servers=())
