"""Words of a record, and columns of a member: plain integers, which Numba compiles in."""

from feature_service.records import word_of

TIME, ID, AMOUNT, KNOWN_AT = (
    word_of(name) for name in ("event_time_ms", "transaction_hash", "amount_minor", "known_at_ms")
)
COUNTERPART, CODES, LOCATION = (word_of(name) for name in ("counterpart", "mcc", "latitude"))

# The country stands after the counterparts: attribute 3.
M_TIME, M_ID, M_AMOUNT, M_ATTRIBUTE, M_LOCATION, M_FLAGS, MEMBER_COLUMNS = 0, 1, 2, 3, 7, 8, 9
