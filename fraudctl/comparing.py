"""What is needed to compare two models, from the cluster's topics."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TypeVar

from fraud.v1.decision_pb2 import Decision
from fraud.v1.label_pb2 import Label
from fraud.v1.shadow_pb2 import ShadowScore
from google.protobuf.message import DecodeError, Message

from fraudctl.local import use_local_environment
from scorer.kafka_settings import KafkaSettings
from scorer.manifest import MANIFEST, Manifest
from scorer.registry import FolderRegistry
from scorer.settings import ScorerSettings
from stream_processor.settings import StreamProcessorSettings
from stream_processor.topic_ids import brokers_away_named
from training.comparison.topics import Outcomes, values_of

_M = TypeVar("_M", bound=Message)


async def read_outcomes(registry: Path, champion: str, challenger: str, *, since_ms: int) -> Outcomes:
    """Raises: ComparisonError, BrokersAwayError."""
    use_local_environment()
    topics = ScorerSettings(model_dir=None, models_dir=registry)
    arguments = KafkaSettings().client_arguments()
    places = _amount_places(registry, (champion, challenger))
    outcomes = Outcomes(champion, challenger)

    async def each(topic: str, kind: type[_M]) -> AsyncIterator[_M]:
        async for value in values_of(arguments, topic, since_ms=since_ms):
            message = kind()
            try:
                is_one = message.ParseFromString(value) > 0 if value else False
            except DecodeError:
                is_one = False
            if is_one:
                yield message
            else:
                outcomes.unreadable += 1

    with brokers_away_named():
        async for decision in each(topics.decisions_topic, Decision):
            outcomes.add_decision(decision, places)
        async for score in each(topics.shadow_scores_topic, ShadowScore):
            outcomes.add_shadow(score)
        async for label in each(StreamProcessorSettings().labels_topic, Label):
            outcomes.add_label(label)
    return outcomes


def _amount_places(registry: Path, versions: Sequence[str]) -> dict[str, int]:
    """Of the models that have such a feature."""
    places = {}
    for version in versions:
        content = (FolderRegistry(registry).bundle(version) / MANIFEST).read_bytes()
        names = Manifest.model_validate_json(content).feature_names
        if "amount" in names:
            places[version] = names.index("amount")
    return places
