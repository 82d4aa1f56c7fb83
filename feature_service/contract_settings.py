"""What of the contract a deployment decides: base currency, limits of a record, and the id hash key."""

from pathlib import Path
from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from feature_service.catalogue.definitions import HORIZON_MS
from feature_service.identity import IdKey, IdKeyError
from feature_service.money import SAMPLE_RATES_FILE

_DAY_MS: Final = 86_400_000
# A history sums at most 2**16 amounts in 63 bits, and a smaller amount is exact as float64.
AMOUNT_LIMIT: Final = 2**47


class ContractSettings(BaseSettings):
    """One set of values per cluster: stream processor, scorer and offline features must agree on all of them."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_", frozen=True)

    id_hash_key_file: Path = Field(
        description="File with the key that ids are hashed with: 32 hexadecimal digits (`openssl rand -hex 16`). "
        "Another key makes another store layout."
    )
    base_currency: str = Field(
        "EUR", pattern="^[A-Z]{3}$", description="ISO 4217 code that all amounts are turned into."
    )
    rates_file: Path = Field(
        SAMPLE_RATES_FILE,
        description="CSV with columns currency,from_date,rate: what one unit of the currency is worth in the base "
        "currency from that UTC date on. The default is sample data.",
    )
    max_amount_minor: int = Field(
        100_000_000_000,
        gt=0,
        lt=AMOUNT_LIMIT,
        description="Largest amount accepted, in minor units of the transaction's currency.",
    )
    max_record_bytes: int = Field(65_536, gt=0, le=2**30, description="Longest transaction or label accepted, bytes.")
    future_allowance_ms: int = Field(
        300_000, ge=0, description="How far an event time may lie after its record's timestamp, ms."
    )
    retention_ms: int = Field(
        HORIZON_MS + 7 * _DAY_MS,
        gt=0,
        description="How far an event time may lie before its record's timestamp, ms. The default is what "
        "windows reach back to, 37 days, and a week.",
    )

    def read_id_key(self) -> IdKey:
        """Raises IdKeyError, which names the file and never its content."""
        try:
            text = self.id_hash_key_file.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise IdKeyError(f"{self.id_hash_key_file}: the id hash key cannot be read") from error
        try:
            return IdKey.from_hex(text)
        except IdKeyError as error:
            raise IdKeyError(f"{self.id_hash_key_file}: {error}") from error
