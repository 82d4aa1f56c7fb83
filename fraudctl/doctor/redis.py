"""Redis: reachable, safe to hold state, with room, of this layout, folded lately, and with a clock like this one."""

import time
from typing import Any, Final

from redis.exceptions import ResponseError

from feature_service.errors import FeatureError
from feature_service.stores.cluster_url import ClusterUrl
from feature_service.stores.redis_master import LIBRARIES, SETTINGS, refusal_of
from feature_service.stores.redis_masters import RedisMasters, redis_masters
from fraudctl.doctor.deployment import Deployment
from fraudctl.doctor.finding import Finding, ok, warning, wrong

_SUBJECT: Final = "Redis"
_TIMEOUT_MS: Final = 3_000
_OLDEST_VERSION: Final = 7  # the first with Functions
_ROOM: Final = 0.2  # of its memory
_CLOCKS_APART_MS: Final = 500
_STATUSES: Final = ("aof_last_write_status", "aof_last_bgrewrite_status")


async def check_redis(deployment: Deployment) -> list[Finding]:
    url = deployment.store.redis_url.get_secret_value()
    try:
        async with redis_masters(url, timeout_ms=_TIMEOUT_MS) as masters:
            findings = []
            for client in masters.all:
                findings += await _check_master(client, in_cluster=ClusterUrl.matches(url))
            return [*findings, *await _check_histories(masters, deployment)]
    except ResponseError as error:
        return [wrong(_SUBJECT, f"refuses to be looked at: {error}", "allow INFO, CONFIG GET, FUNCTION LIST and TIME")]
    except (FeatureError, ValueError) as error:  # a ValueError may hold a part of the password
        says = str(error) if isinstance(error, FeatureError) else "FRAUD_REDIS_URL is not a URL of Redis"
        return [
            wrong(_SUBJECT, says, "start it, or mend FRAUD_REDIS_URL: scorers without it decide by the request alone")
        ]


async def _check_master(client: Any, *, in_cluster: bool) -> list[Finding]:
    info: dict[str, Any] = await client.info()
    settings = {_text(name): _text(value) for name, value in (await client.config_get(*SETTINGS)).items()}
    findings = []
    version = str(info["redis_version"])
    if int(version.partition(".")[0]) < _OLDEST_VERSION:
        findings.append(wrong(_SUBJECT, f"is version {version}", f"use {_OLDEST_VERSION} or newer"))
    if refusal := refusal_of(settings, in_cluster=in_cluster):
        says, _, remedy = refusal.partition(": ")
        findings.append(wrong(_SUBJECT, says, f"{remedy}; services do not start on it as it is"))
    findings += [
        wrong(_SUBJECT, f"{name} is {info[name]}", "look for room on its disk, and into its log")
        for name in _STATUSES
        if info.get(name, "ok") != "ok"
    ]
    findings += _check_memory(info)
    seconds, microseconds = await client.time()
    apart_ms = abs(seconds * 1_000 + microseconds // 1_000 - time.time_ns() // 1_000_000)
    if apart_ms > _CLOCKS_APART_MS:
        findings.append(
            warning(
                _SUBJECT,
                f"its clock and this one are {apart_ms} ms apart",
                "synchronise both: freshness is off by that",
            )
        )
    for library in LIBRARIES:
        if not await client.execute_command("FUNCTION", "LIST", "LIBRARYNAME", library):
            remedy = "start a service of this version: each loads it"
            findings.append(warning(_SUBJECT, f"has no Function library {library}", remedy))
    return findings or [ok(_SUBJECT, f"version {version}, keeps everything, on disk too; {_memory(info)}")]


def _check_memory(info: dict[str, Any]) -> list[Finding]:
    used, most = info["used_memory"], info.get("maxmemory") or info.get("total_system_memory", 0)
    if not most or used < (1 - _ROOM) * most:
        return []
    return [
        warning(
            _SUBJECT,
            f"{_memory(info)}",
            "give it more: once it is full nothing is folded, and retries are decided anew",
        )
    ]


def _memory(info: dict[str, Any]) -> str:
    most = info.get("maxmemory") or info.get("total_system_memory", 0)
    return f"{info['used_memory'] / 2**20:,.0f} of {most / 2**20:,.0f} MiB used"


async def _check_histories(masters: RedisMasters, deployment: Deployment) -> list[Finding]:
    layout = deployment.layout
    topics = await masters.of(layout.sources_key).hgetall(layout.sources_key)
    sources = [source for value in topics.values() for source in _text(value).split()]
    ages_ms: list[float] = []
    now_ms = time.time_ns() // 1_000_000
    for shard in range(layout.shard_count):
        key = layout.fence_key(shard)
        found, *confirmed = await masters.of(key).hmget(key, ["layout", *(f"{source}@" for source in sources)])
        if found is not None and _text(found) != layout.layout_id:
            return [
                wrong(
                    "histories",
                    f"Redis was laid out as {_text(found)}, these settings say {layout.layout_id}",
                    "give all services the same FRAUD_SHARD_COUNT and id hash key, or another FRAUD_GENERATION",
                )
            ]
        ages_ms += [now_ms - int(at_ms or 0) for at_ms in confirmed]
    if not ages_ms:
        return [
            warning("histories", "nobody has folded any", "start a stream processor: until then decisions have none")
        ]
    oldest_ms, limit_ms = max(ages_ms), deployment.scorer.freshness_limit_ms
    if oldest_ms > limit_ms:
        return [
            wrong(
                "histories",
                f"some were last confirmed {oldest_ms / 1_000:,.0f} s ago: their decisions are DEGRADED_STALE",
                "look at the stream processors' log and lag",
            )
        ]
    return [ok("histories", f"all confirmed within {oldest_ms / 1_000:.1f} s")]


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
