"""What can go wrong in training."""


class TrainingError(Exception):
    """Base of this package's errors."""


class FeaturesFileError(TrainingError):
    """A features file that is missing, or lacks columns or rows that are needed."""


class ComparisonError(TrainingError):
    """Models that cannot be compared: what was decided or became known is not there."""
