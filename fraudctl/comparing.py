"""What is needed to compare two models, from the cluster's topics."""

from pathlib import Path

from fraud.v1.decision_pb2 import Decision
from fraud.v1.label_pb2 import Label
from fraud.v1.shadow_pb2 import ShadowScore

from fraudctl.local import use_local_environment
from scorer.kafka_settings import KafkaSettings
from scorer.manifest import MANIFEST, Manifest
from scorer.registry import FolderRegistry
from scorer.settings import ScorerSettings
from stream_processor.settings import StreamProcessorSettings
from training.comparison.topics import Outcomes, values_of


async def read_outcomes(registry: Path, champion: str, challenger: str, *, since_ms: int) -> Outcomes:
    """Raises: ComparisonError."""
    use_local_environment()
    topics = ScorerSettings(model_dir=None, models_dir=registry)
    arguments = KafkaSettings().client_arguments()
    places = {version: _amount_place(registry, version) for version in (champion, challenger)}
    outcomes = Outcomes(champion, challenger)
    async for value in values_of(arguments, topics.decisions_topic, since_ms=since_ms):
        outcomes.add_decision(Decision.FromString(value), places)
    async for value in values_of(arguments, topics.shadow_scores_topic, since_ms=since_ms):
        outcomes.add_shadow(ShadowScore.FromString(value))
    async for value in values_of(arguments, StreamProcessorSettings().labels_topic, since_ms=since_ms):
        outcomes.add_label(Label.FromString(value))
    return outcomes


def _amount_place(registry: Path, version: str) -> int:
    content = (FolderRegistry(registry).bundle(version) / MANIFEST).read_bytes()
    return Manifest.model_validate_json(content).feature_names.index("amount")
