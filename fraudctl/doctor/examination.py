"""All checks, side by side."""

import asyncio
from collections.abc import Mapping

from fraudctl.doctor.deployment import read_deployment
from fraudctl.doctor.files import check_model, check_spool, check_tls
from fraudctl.doctor.finding import Finding
from fraudctl.doctor.kafka import check_kafka
from fraudctl.doctor.redis import check_redis
from fraudctl.doctor.services import check_services

_CHECKS = (check_redis, check_kafka, check_services, check_model, check_tls, check_spool)


async def examine(environment: Mapping[str, str]) -> list[Finding]:
    """`environment` is the process's own. Where settings make no sense, they are all that is looked at."""
    deployment, findings = read_deployment(environment)
    if deployment is None:
        return findings
    for found in await asyncio.gather(*(check(deployment) for check in _CHECKS)):
        findings += found
    return findings
