"""`repair`: after a fold that broke off."""
# ruff: noqa: PLC0415  -- `fraudctl --help` imports this module, and must not import what its commands need

import asyncio


def repair() -> None:
    """Put fences that a broken-off fold left open back to where it began; stop the stream processor first.

    The records are folded again when it starts. Those that had gone in already are copies, which no feature counts.
    """
    from rich.console import Console

    from feature_service.contract_settings import ContractSettings
    from feature_service.settings import StoreSettings, make_redis_store
    from fraudctl.local import use_local_environment

    use_local_environment()
    contract = ContractSettings()

    async def run() -> int:
        async with make_redis_store(StoreSettings(), contract, contract.read_id_key()) as store:
            return await store.repair()

    Console().print(f"{asyncio.run(run())} open fences put back")
