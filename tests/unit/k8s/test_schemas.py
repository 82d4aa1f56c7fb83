"""Every object passes Kubernetes' own schema, with unknown fields refused."""

import kubernetes_validate
import pytest

from tests.unit.k8s.manifests import Object, objects

# The oldest release that the base asks for: it uses the sleep action of a lifecycle hook.
OLDEST_VERSION = "1.32"


@pytest.mark.parametrize("version", [OLDEST_VERSION, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("found", objects(), ids=lambda found: f"{found['kind']}-{found['metadata']['name']}")
def test_an_object_passes_its_schema(found: Object, version: str) -> None:
    kubernetes_validate.validate(found, version, strict=True)
