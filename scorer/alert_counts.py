"""Alerts raised so far, in Redis: by card for some minutes, and by day (UTC) of the decision.

A card's key holds the transaction that raised its last alert; a day's set holds the transactions of all its alerts. So
an alert that comes again, under the same transaction, passes again and counts once.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from feature_service.stores.layout import StoreLayout
from feature_service.stores.redis_answers import accepted
from feature_service.stores.redis_pipe import encode_command
from feature_service.stores.redis_store import RedisServers
from scorer.policy.alert_limits import Suppression
from scorer.publication import AlertToSend

_DAY_MS: Final = 86_400_000
_MINUTE_MS: Final = 60_000
_KEEP_DAY_S: Final = b"172800"  # an alert may come again the day after


class _Waiting(NamedTuple):
    """An alert that nothing has suppressed so far."""

    place: int
    alert: AlertToSend
    card_is_new: bool  # and its key was set for this alert


class RedisAlertCounts:
    """`AlertCounts`."""

    def __init__(self, servers: RedisServers, layout: StoreLayout) -> None:
        """`servers`: such as `RedisHistoryStore.servers`."""
        self._servers = servers
        self._layout = layout

    async def judge(self, alerts: Sequence[AlertToSend]) -> list[Suppression]:
        verdicts: list[Suppression] = [Suppression.NONE] * len(alerts)
        by_day: list[_Waiting] = []
        for place, (alert, holder) in enumerate(zip(alerts, await self._holders(alerts), strict=True)):
            if holder not in (None, _member(alert)):
                verdicts[place] = Suppression.CARD
            elif alert.limits is not None and alert.limits.per_day is not None:
                by_day.append(_Waiting(place, alert, card_is_new=holder is None))
        beyond = await self._beyond_budget(by_day)
        for each in beyond:
            verdicts[each.place] = Suppression.DAILY_BUDGET
        await self._take_back(beyond)
        return verdicts

    async def _holders(self, alerts: Sequence[AlertToSend]) -> list[bytes | None]:
        """Of each alert's card, the transaction that raised its last alert; None where it is this one now."""
        holders: list[bytes | None] = [None] * len(alerts)
        places, keys, commands = [], [], []
        for place, alert in enumerate(alerts):
            if alert.card_hash and alert.limits is not None and alert.limits.per_card_minutes is not None:
                key, expiry = self._card_key(alert), b"%d" % (alert.limits.per_card_minutes * _MINUTE_MS)
                places.append(place)
                keys.append(key)
                commands.append(encode_command(b"SET", key, _member(alert), b"NX", b"GET", b"PX", expiry))
        for place, holder in zip(places, await self._call(keys, commands), strict=True):
            holders[place] = holder
        return holders

    async def _beyond_budget(self, waiting: Sequence[_Waiting]) -> list[_Waiting]:
        """Those that their day has no room for."""
        keys, commands = [], []
        for each in waiting:
            key = self._day_key(each.alert)
            # As one, so that no two scorers take the last place of a day.
            steps = (
                (b"MULTI",),
                (b"SADD", key, _member(each.alert)),
                (b"SCARD", key),
                (b"EXPIRE", key, _KEEP_DAY_S),
                (b"EXEC",),
            )
            keys += [key] * len(steps)
            commands += [encode_command(*step) for step in steps]
        executed = (await self._call(keys, commands))[4::5]
        beyond = []
        for each, answers in zip(waiting, executed, strict=True):
            is_new, count, _ = accepted(answers)
            assert each.alert.limits is not None
            if is_new and count > (each.alert.limits.per_day or 0):
                beyond.append(each)
        return beyond

    async def _take_back(self, beyond: Sequence[_Waiting]) -> None:
        keys, commands = [], []
        for each in beyond:
            key = self._day_key(each.alert)
            keys.append(key)
            commands.append(encode_command(b"SREM", key, _member(each.alert)))
            if each.card_is_new and each.alert.card_hash:
                card_key = self._card_key(each.alert)
                keys.append(card_key)
                commands.append(encode_command(b"DEL", card_key))
        await self._call(keys, commands)

    async def _call(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> list[Any]:
        return accepted(await self._servers.call(keys, commands)) if commands else []

    def _card_key(self, alert: AlertToSend) -> bytes:
        shard = alert.card_hash % self._layout.shard_count
        return b"%s%d}:al:%016x" % (self._layout.prefix, shard, alert.card_hash)

    def _day_key(self, alert: AlertToSend) -> bytes:
        return b"%salerts}:%d" % (self._layout.prefix, alert.decided_at_ms // _DAY_MS)


def _member(alert: AlertToSend) -> bytes:
    return b"%016x" % alert.transaction_hash
