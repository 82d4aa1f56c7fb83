"""What can go wrong with the index of decisions and with replaying one.

DecisionIndexError
├── IndexUrlError            FRAUD_DECISION_INDEX_URL names no database that can be used
├── IndexMissingError        read before anything was written: no file, or no tables
├── IndexSchemaError         written by a newer version of this code, or under another id hash key
├── IndexUnavailableError    the database gives no answer, or refused for now: nothing was written, ask again
├── PositionMovedError       another process has indexed these records meanwhile: nothing was written
├── UnknownDecisionError     no decision of that transaction_id is in the index
├── BundleUnknownError       no folder holds a bundle of the model_version asked for
└── PolicyUnknownError       neither a bundle nor the audit topic holds the policy_version asked for
"""


class DecisionIndexError(Exception):
    """Base of this package's errors."""


class IndexUrlError(DecisionIndexError):
    pass


class IndexMissingError(DecisionIndexError):
    pass


class IndexSchemaError(DecisionIndexError):
    pass


class IndexUnavailableError(DecisionIndexError):
    pass


class PositionMovedError(DecisionIndexError):
    pass


class UnknownDecisionError(DecisionIndexError):
    pass


class BundleUnknownError(DecisionIndexError):
    pass


class PolicyUnknownError(DecisionIndexError):
    pass
