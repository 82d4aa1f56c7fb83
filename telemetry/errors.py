"""What can go wrong while telemetry is set up. Nothing in this package raises once a service runs."""


class TelemetryError(Exception):
    """Base of this package's errors. Its message is one line that says what to change."""


class ConfigurationError(TelemetryError):
    """A standard OTEL_* variable asks for something that is not installed or not known."""
