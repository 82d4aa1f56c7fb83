"""`score`: one transaction, as JSON."""
# ruff: noqa: PLC0415  -- `fraudctl --help` imports this module, and must not import what its commands need

import sys
from pathlib import Path
from typing import Annotated

import typer

from fraudctl.errors import UserError


def score(
    transaction: Annotated[
        str, typer.Argument(help="The transaction as JSON, a file with it, or - for standard input.")
    ],
) -> None:
    """Have one transaction decided; prints the decision as JSON.

    Fields are those of fraud.v1.Transaction, such as {"transaction_id": "t1", "event_time_ms": 1767225600000,
    "customer_id": "c42", "amount_minor": 1050, "currency": "EUR"}. Without event_time_ms it is now.
    """
    import time

    from fraud.v1.scoring_pb2 import ScoreRequest, ScoreResponse
    from fraud.v1.transaction_pb2 import Transaction
    from google.protobuf import json_format

    from fraudctl.services import call, channel

    if transaction == "-":
        text = sys.stdin.read()
    elif transaction.lstrip().startswith("{"):
        text = transaction
    else:
        try:
            text = Path(transaction).read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(f"{transaction}: neither JSON nor a file that can be read: {error.strerror}") from error
    try:
        message = json_format.Parse(text, Transaction())
    except json_format.ParseError as error:
        raise UserError(f"not a transaction: {error}") from error
    if message.event_time_ms == 0:
        message.event_time_ms = time.time_ns() // 1_000_000
    with channel("FRAUD_SCORER_ADDRESS") as (connection, address):
        method = connection.unary_unary(
            "/fraud.v1.ScoringService/Score",
            request_serializer=ScoreRequest.SerializeToString,
            response_deserializer=ScoreResponse.FromString,
        )
        answer: ScoreResponse = call(method, ScoreRequest(transaction=message), address)
    del answer.decision.feature_vector[:]  # a page of numbers: `features get` shows them by name
    print(json_format.MessageToJson(answer, preserving_proto_field_name=True))
