"""What can end or refuse the processor's work, by name.

StreamProcessorError
├── UnsupportedFaustError      the installed Faust or aiokafka is not the one the transport was written for
├── StartTimeoutError          the owner did not say in time where to start reading
├── BrokersAwayError           no broker can answer now: it is asked again
├── OwnerAwayError             what the owner needs to say where to start cannot be reached now: it is asked again
├── TopicMissingError          a topic that should be read does not exist
├── NotDeliveredError          `publish`: records the broker did not take, all or some of them
├── StuckPartitionError        a partition has not got on for too long, though nothing that it needs is known to be away
├── UnsafeTopicError           a topic's settings would lose records or change their meaning silently
├── BackfillError              histories that are being built beside the live ones cannot be finished
│   ├── LogGapError            records lie in neither the files nor what is left of the log
│   ├── BackfillConflictError  somebody else folds into the same generation
│   └── BackfillLostError      the store went back to a state before the end of the backfill
└── SourceBrokenError          log and state contradict each other: nothing may be folded until someone has decided
    ├── FenceAheadOfLogError   the log ends before what has been applied: an unclean election, or another topic
    ├── FenceBelowLogError     the log starts after what has been applied: retention overtook the processor
    ├── HistoryMissingError    no fence, and the start of the log is gone: a first start needs an explicit `init`
    ├── FetchPositionError     the broker refused the fetch position while running
    └── TopicReplacedError     a topic was deleted and created again while its old records were being read
"""


class StreamProcessorError(Exception):
    """Base of every error the stream processor raises on purpose."""


class UnsupportedFaustError(StreamProcessorError):
    pass


class StartTimeoutError(StreamProcessorError):
    pass


class BrokersAwayError(StreamProcessorError):
    pass


class OwnerAwayError(StreamProcessorError):
    pass


class TopicMissingError(StreamProcessorError):
    pass


class StuckPartitionError(StreamProcessorError):
    pass


class UnsafeTopicError(StreamProcessorError):
    pass


class BackfillError(StreamProcessorError):
    pass


class LogGapError(BackfillError):
    pass


class BackfillConflictError(BackfillError):
    pass


class BackfillLostError(BackfillError):
    pass


class SourceBrokenError(StreamProcessorError):
    """Not curable by retrying: the process must stop and say the way out."""


class FenceAheadOfLogError(SourceBrokenError):
    pass


class FenceBelowLogError(SourceBrokenError):
    pass


class HistoryMissingError(SourceBrokenError):
    pass


class FetchPositionError(SourceBrokenError):
    pass


class TopicReplacedError(SourceBrokenError):
    pass
