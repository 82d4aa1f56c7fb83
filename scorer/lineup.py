"""Which models are live, and in which role: the line-up, as data, and how it changes. Pure.

champion    decides
canary      decides the payments of a share of the customers, in the champion's place
shadows     decide nothing: they score what was decided, to be compared
previous    was champion before; stays loaded, so that going back to it takes no time
"""

import hashlib
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from scorer.errors import LineupError

MOST_SHADOWS: Final = 4  # each is kept in memory and predicts every payment
_VERSION_DIGITS: Final = 12

ModelVersion = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$", description="model_version of a bundle")]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CanaryRole(_Data):
    version: ModelVersion
    share: float = Field(gt=0, lt=1, description="of the customers")
    salt: str = Field(min_length=1, description="another one draws other customers")


class Lineup(_Data):
    champion: ModelVersion
    canary: CanaryRole | None = None
    shadows: tuple[ModelVersion, ...] = Field((), max_length=MOST_SHADOWS)
    previous: ModelVersion | None = None

    @model_validator(mode="after")
    def _one_role_each(self) -> Self:
        live = [self.champion, *([self.canary.version] if self.canary else []), *self.shadows]
        if twice := sorted({version for version in live if live.count(version) > 1}):
            raise ValueError(f"{', '.join(twice)} would have two roles at once")
        if self.previous == self.champion:
            raise ValueError(f"{self.champion} cannot be both champion and previous")
        return self

    @property
    def lineup_version(self) -> str:
        """12 hexadecimal digits: the same for the same models in the same roles."""
        return hashlib.sha256(self.content).hexdigest()[:_VERSION_DIGITS]

    @property
    def content(self) -> bytes:
        """Canonical JSON."""
        return self.model_dump_json().encode()

    @property
    def versions(self) -> frozenset[str]:
        """Of all that have a role."""
        named = (self.champion, self.previous, self.canary and self.canary.version, *self.shadows)
        return frozenset(version for version in named if version)

    def promoted(self, version: str) -> "Lineup":
        """What it was compared with changes, so a canary ends. Raises: LineupError."""
        if version == self.champion:
            raise LineupError(f"{version} is the champion already")
        shadows = tuple(each for each in self.shadows if each != version)
        return Lineup(champion=version, shadows=shadows, previous=self.champion)

    def rolled_back(self) -> "Lineup":
        """Raises: LineupError."""
        if self.previous is None:
            raise LineupError("no model was champion before: promote the one you want")
        return self.promoted(self.previous)

    def with_canary(self, version: str, *, share: float) -> "Lineup":
        """Salted by the version: a canary's customers stay with it when its share grows. Raises: LineupError."""
        if version == self.champion:
            raise LineupError(f"{version} is the champion: it decides everything already")
        if not 0 < share < 1:
            raise LineupError(f"a canary's share lies between 0 and 1, it cannot be {share:g}")
        shadows = tuple(each for each in self.shadows if each != version)
        return self._changed(canary=CanaryRole(version=version, share=share, salt=version), shadows=shadows)

    def without_canary(self) -> "Lineup":
        """Raises: LineupError."""
        if self.canary is None:
            raise LineupError("there is no canary to stop")
        return self._changed(canary=None)

    def with_shadows(self, versions: tuple[str, ...]) -> "Lineup":
        """These and no others. Raises: LineupError."""
        for version in versions:
            if version == self.champion:
                raise LineupError(f"{version} is the champion: in its own shadow it would learn nothing")
            if self.canary is not None and version == self.canary.version:
                raise LineupError(f"{version} is the canary: stop it first, with `fraudctl models stop-canary`")
        if len(versions) > MOST_SHADOWS:
            raise LineupError(f"{MOST_SHADOWS} shadows are the most")
        return self._changed(shadows=tuple(dict.fromkeys(versions)))

    def _changed(self, **changes: object) -> "Lineup":
        return Lineup.model_validate({**dict(self), **changes})


class LineupEntry(_Data):
    """A line-up with who made it and why; entries are numbered from 1."""

    number: int = Field(ge=1)
    changed_at_ms: int
    changed_by: str = ""
    reason: str = ""
    words: str = Field(description="what was asked for, as `promote 1f0e…`")
    lineup: Lineup
