import pytest
from pydantic import SecretStr, ValidationError

from scorer.kafka_settings import KafkaSettings


def test_several_brokers_are_told_apart() -> None:
    arguments = KafkaSettings(bootstrap="a:1, b:2").client_arguments()

    assert arguments["bootstrap_servers"] == ["a:1", "b:2"]
    assert arguments["ssl_context"] is None
    assert "sasl_plain_password" not in arguments


def test_credentials_go_to_the_client_and_into_no_text() -> None:
    settings = KafkaSettings(security_protocol="SASL_SSL", sasl_username="u", sasl_password=SecretStr("secret"))

    arguments = settings.client_arguments()

    assert (arguments["sasl_plain_username"], arguments["sasl_plain_password"]) == ("u", "secret")
    assert arguments["ssl_context"] is not None
    assert "secret" not in repr(settings)


def test_a_login_without_credentials_is_refused() -> None:
    with pytest.raises(ValidationError, match="FRAUD_KAFKA_SASL_USERNAME"):
        KafkaSettings(security_protocol="SASL_PLAINTEXT")
