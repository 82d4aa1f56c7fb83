"""How many alerts people get to see."""

from enum import IntEnum
from typing import Self

from pydantic import Field, model_validator

from scorer.policy.actions import ActionName, PolicyData


class Suppression(IntEnum):
    """Why an alert was not raised; the values of `fraud.v1.AlertSuppression`."""

    NONE = 0
    CARD = 1
    DAILY_BUDGET = 2


class AlertLimits(PolicyData):
    """Over all scorers. What goes beyond is decided and published as ever, and raises no alert."""

    actions: tuple[ActionName, ...] = Field(
        min_length=1, description="whose alerts are limited; those of other actions always go out, and count nowhere"
    )
    per_card_minutes: int | None = Field(None, ge=1, le=10_080, description="at most one alert of a card in this time")
    per_day: int | None = Field(None, ge=1, description="most alerts of one day, UTC")

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.per_card_minutes is None and self.per_day is None:
            raise ValueError("alert_limits need per_card_minutes, per_day or both")
        return self
