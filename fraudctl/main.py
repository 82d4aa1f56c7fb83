"""The command line: `fraudctl COMMAND`. Each command's module is in `fraudctl.commands`; it is registered here."""

import sys

import typer

from decision_index.errors import DecisionIndexError
from feature_service.errors import FeatureError
from fraudctl.commands import (
    backfill,
    cluster,
    configuration,
    dead_letters,
    decisions,
    demo,
    doctor,
    events,
    features,
    forget,
    models,
    policy,
    repair,
    rollout,
    scoring,
)
from fraudctl.errors import UserError
from scorer.errors import ScorerError
from stream_processor.errors import StreamProcessorError
from telemetry.errors import TelemetryError
from training.errors import TrainingError

EXIT_USER_ERROR = 2

app = typer.Typer(
    help="Score payments for fraud: run the local cluster, stream payments through it, train and compare models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # they may hold ids and keys
)
app.command()(cluster.up)
app.command()(cluster.down)
app.command()(cluster.status)
app.command()(doctor.doctor)
app.command()(demo.demo)
app.command()(events.simulate)
app.command()(events.replay)
app.command()(models.train)
app.command()(models.evaluate)
app.command()(scoring.score)
app.add_typer(policy.app, name="policy")
app.command()(decisions.explain)
app.command()(decisions.replay_decision)
app.add_typer(features.app, name="features")
app.add_typer(rollout.app, name="models")
app.add_typer(dead_letters.app, name="dead-letters")
app.command()(repair.repair)
app.command()(backfill.backfill)
app.command()(backfill.drop_generation)
app.command()(forget.forget)
app.command()(configuration.configuration)


def main() -> None:
    """The entry point: a person's mistake is one line on standard error and exit code 2, never a stack trace."""
    try:
        app()
    except (
        UserError,
        DecisionIndexError,
        FeatureError,
        ScorerError,
        StreamProcessorError,
        TelemetryError,
        TrainingError,
    ) as error:
        print(f"fraudctl: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
