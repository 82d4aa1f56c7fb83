import numpy as np
from hypothesis import given, settings

from feature_service.catalogue import view
from feature_service.catalogue.definitions import HORIZON_MS
from feature_service.offline.histories import LabelRecords, build_histories
from feature_service.plan import make_plan
from feature_service.records import ENTITIES, RECORD_WORDS
from tests.oracle.payments import decoded, log_of
from tests.oracle.worlds import WORLDS, World

PLANS = [make_plan(view(name).names) for name in ("handbook", "production")]


@given(world=WORLDS)
@settings(max_examples=30, derandomize=True, deadline=None)
def test_a_span_holds_the_entitys_records_of_the_horizon_and_no_others(world: World) -> None:
    label_hashes, label_words = log_of(world.labels)
    stored = world.histories
    for plan in PLANS:
        histories = build_histories(
            plan, decoded(world.payments), LabelRecords(label_words[:, 0].copy(), label_hashes)
        )  # fmt: skip
        records = histories.words.reshape(-1, RECORD_WORDS)
        asked = [world.asked, *world.payments]
        for payment, spans in zip(asked, histories.spans(decoded(asked)).tolist(), strict=True):
            for place, entity in enumerate(ENTITIES):
                first, count = spans[place][0] // RECORD_WORDS, spans[place][1]
                found = sorted(records[first : first + count].tolist())
                if place not in plan.entities or entity not in payment.entities:
                    assert found == []
                    continue
                whole = stored.get((place, payment.entities[entity]), np.empty((0, RECORD_WORDS)))
                age_ms = payment.time_ms - whole[:, 0]
                assert found == sorted(whole[(age_ms >= 0) & (age_ms < HORIZON_MS)].tolist())
