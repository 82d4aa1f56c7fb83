"""`forget`: an entity's history erased, and kept erased."""
# ruff: noqa: PLC0415  -- `fraudctl --help` imports this module, and must not import what its commands need

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from fraudctl.errors import UserError

if TYPE_CHECKING:
    from feature_service.identity import IdKey
    from stream_processor.erasures import Erasure


def forget(
    entities: Annotated[
        list[str] | None, typer.Argument(help="ENTITY:ID, such as customer:c42.", metavar="ENTITY:ID")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="All that were ever forgotten, after a restore.")] = False,
) -> None:
    """Erase what Redis holds of an entity until now, in every generation, and remember to keep it erased.

    The decision index, which reads the same register, deletes its decisions. What other entities' histories hold of it
    are keyed hashes; what Kafka holds goes with the topics' retention.
    """
    from aiokafka.errors import KafkaError
    from rich.console import Console

    from feature_service.contract_settings import ContractSettings
    from feature_service.settings import StoreSettings, make_redis_masters
    from feature_service.stores.generations import found_generations
    from feature_service.stores.layout import StoreLayout
    from fraudctl.local import use_local_environment
    from stream_processor.erasures import apply, register, registered
    from stream_processor.settings import KafkaSettings, StreamProcessorSettings

    if bool(entities) == again:
        raise UserError("say whom: ENTITY:ID, or --again for all that were ever forgotten")
    use_local_environment()
    id_key = ContractSettings().read_id_key()
    now_ms = time.time_ns() // 1_000_000
    asked = [_parse(each, id_key, now_ms) for each in entities or ()]
    connection, topic = KafkaSettings().connection(), StreamProcessorSettings().erasures_topic
    store = StoreSettings()
    console = Console(soft_wrap=True)
    foreign: list[int] = []

    async def run() -> None:
        if asked:
            await register(connection, topic, asked)  # first: whatever happens then, --again finishes it
        erasures: Sequence[Erasure] = asked or await registered(connection, topic)
        async with make_redis_masters(store) as masters:
            for generation, layout_id in (await found_generations(masters)).items():
                shard_count, fingerprint, _ = layout_id.split("-")
                if fingerprint != id_key.fingerprint:
                    foreign.append(generation)
                    continue
                layout = StoreLayout(int(shard_count), fingerprint, generation)
                erased = (await apply(masters, erasures, [layout]))[generation]
                console.print(
                    f"generation {generation}: {erased.deleted:,} records deleted, {erased.kept:,} later ones kept"
                )

    try:
        asyncio.run(run())
    except KafkaError as error:
        raise UserError(f"the register of erasures cannot be reached: {error}") from error
    if foreign:
        raise UserError(
            f"generation {', '.join(map(str, foreign))} was built with another id hash key, under which nothing was "
            "erased: run this again with that FRAUD_ID_HASH_KEY_FILE"
        )


def _parse(text: str, id_key: "IdKey", now_ms: int) -> "Erasure":
    """Raises: UserError; TokenError for what is no id, as a card number is not."""
    from feature_service.identity import hash_token
    from feature_service.records import ENTITIES
    from stream_processor.erasures import Erasure

    entity, separator, token = text.partition(":")
    if not separator or entity not in ENTITIES:
        # The rest may be an id, and even a card number: it is not repeated.
        raise UserError(f"give ENTITY:ID, such as customer:c42; an entity is one of: {', '.join(ENTITIES)}")
    return Erasure(id_key.fingerprint, entity, hash_token(token, id_key), now_ms)
