"""What can go wrong when features are defined, stored or read.

FeatureError
├── CatalogueError      a definition or a name that does not exist, or contradicts another
├── HistoryFormatError  a stored history that this version cannot read
├── HorizonError        a read as of a time whose records may be trimmed already
├── FileError           an input file that cannot be read as events
├── StoreError          the store refused a call
│   ├── FenceMismatch   the shard's fence is not where the caller planned: nothing was written
│   ├── LayoutMismatch  the store was laid out with another shard count, key or format: nothing was written
│   └── ShardOpen       a fold broke off in the middle: the shard needs `fraudctl repair`
└── StoreUnavailable    no answer: whether a call was applied is not known
"""


class FeatureError(Exception):
    """Base of this package's errors."""


class CatalogueError(FeatureError):
    pass


class HistoryFormatError(FeatureError):
    pass


class HorizonError(FeatureError):
    pass


class FileError(FeatureError):
    pass


class StoreError(FeatureError):
    pass


class FenceMismatch(StoreError):
    pass


class LayoutMismatch(StoreError):
    pass


class ShardOpen(StoreError):
    pass


class StoreUnavailable(FeatureError):
    pass
