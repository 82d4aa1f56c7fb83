"""The catalogue: every feature there is, by view; and the version of an ordered choice of them."""

import hashlib
from collections.abc import Sequence
from typing import Final

from feature_service.catalogue.definitions import REQUEST_FEATURES, Feature, FeatureView, RequestFeature
from feature_service.catalogue.handbook import HANDBOOK
from feature_service.catalogue.production import PRODUCTION
from feature_service.errors import CatalogueError

__all__ = ["KERNEL_VERSION", "REQUEST_FEATURES", "VIEWS", "FeatureView", "feature_set_version", "features", "view"]

# Raised whenever the kernel gives other bits for the same records, so that no model is fed what it was not trained on.
KERNEL_VERSION: Final = 3

VIEWS: Final = {each.name: each for each in (HANDBOOK, PRODUCTION)}


def _by_name() -> dict[str, Feature]:
    found: dict[str, Feature] = {name: RequestFeature(name) for name in REQUEST_FEATURES}
    for each in VIEWS.values():
        for feature in each.features:
            known = found.setdefault(feature.name, feature)
            if known != feature:
                raise CatalogueError(f"two definitions under the name {feature.name!r}")
    return found


_FEATURES: Final = _by_name()


def view(name: str) -> FeatureView:
    """The view of that name. Raises: CatalogueError."""
    if name not in VIEWS:
        raise CatalogueError(f"unknown feature view {name!r}: use one of {', '.join(VIEWS)}")
    return VIEWS[name]


def features(names: Sequence[str]) -> tuple[Feature, ...]:
    """The definitions behind names, in their order. Raises: CatalogueError naming every unknown one."""
    if unknown := [name for name in names if name not in _FEATURES]:
        raise CatalogueError(f"not in the catalogue: {', '.join(unknown)}")
    return tuple(_FEATURES[name] for name in names)


def feature_set_version(names: Sequence[str]) -> str:
    """12 hexadecimal digits of the ordered definitions and the kernel's version; of these features and no others."""
    text = "\n".join([f"kernel {KERNEL_VERSION}", *(feature.definition for feature in features(names))])
    return hashlib.sha256(text.encode()).hexdigest()[:12]
