"""What can go wrong when features are defined, stored or read.

FeatureError
├── CatalogueError           a definition or a name that does not exist, or contradicts another
├── HistoryFormatError       a stored history that this version cannot read
├── HorizonError             a read as of a time whose records may be trimmed already
├── FileError                an input file that cannot be read as events
├── StoreError               the store refused a call
│   ├── FenceMismatchError   the shard's fence is not where the caller planned: nothing was written
│   ├── LayoutMismatchError  the store was laid out with another shard count, key or format: nothing was written
│   └── ShardOpenError       a fold broke off in the middle: the shard needs `fraudctl repair`
├── StoreUnavailableError    no answer, so that it is not known what was applied, or none can be given now: ask again
│
│   beside the one module that defines them:
├── CallRefusedError         `refusal`: a call that gets no answer, with the reason as gRPC names it
│   └── HttpRefusedError     `rest.refusals`: for a reason that only HTTP knows
├── CallersFileError         `callers.callers_file`: callers that cannot be told apart, or a file that cannot be read
├── ClientIdentityError      `client_identity`: a token, certificate or key that a caller cannot show
├── IdKeyError, TokenError   `identity`: a key or a token that cannot be one
├── IdListError              `id_list`: a line that is none of a list of ids
├── ListenError              `listener`: an address that a server cannot have
├── RateTableError           `money`: a currency table that cannot be used
├── ScoreBatchError          `score_batch`: a batch request that is not a well-formed one
├── ServerError              `grpc_server`: settings a server cannot start with
│   └── ExposedTokensError   tokens that would travel in plain text
└── TlsError                 `tls`: files that are no certificate, key or authorities
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


class FenceMismatchError(StoreError):
    pass


class LayoutMismatchError(StoreError):
    pass


class ShardOpenError(StoreError):
    pass


class StoreUnavailableError(FeatureError):
    pass
