"""What can go wrong in the scorer.

ScorerError
├── ModelError                a model text or a call that LightGBM refuses, or trees that have no SHAP values
├── PolicyError               a policy file that must not be served; the message names file, place and remedy
├── LineupError               a line-up that cannot be, or a registry that cannot be read; the message says what to do
├── SpoolError                a directory that cannot hold a spool; the message says which, and what to do
└── BundleError               a model bundle that must not be served; the message names file and remedy
    ├── BundleExistsError     a folder to write to that is there already
    ├── BundleMissingError    the folder or one of its files is not there
    ├── BundleFormatError     a file that cannot be read as what it should be, or of another format version
    ├── BundleHashError       a file, or the model's version, is not what the manifest says
    ├── BundleModelError      a model text that LightGBM or `tree_text` refuses, or trained on other features
    ├── UnknownFeatureError   a feature that this code's catalogue does not have
    ├── FeatureVersionError   features that this code computes differently from those the model was trained on
    ├── GoldenRowError        a golden row whose probability comes out with other bits, or cannot be explained
    └── NoProbabilityError    a golden row that the model has no number for
"""


class ScorerError(Exception):
    """Base of this package's errors."""


class ModelError(ScorerError):
    pass


class PolicyError(ScorerError):
    pass


class SpoolError(ScorerError):
    pass


class LineupError(ScorerError):
    pass


class BundleError(ScorerError):
    pass


class BundleExistsError(BundleError):
    pass


class BundleMissingError(BundleError):
    pass


class BundleFormatError(BundleError):
    pass


class BundleHashError(BundleError):
    pass


class BundleModelError(BundleError):
    pass


class UnknownFeatureError(BundleError):
    pass


class FeatureVersionError(BundleError):
    pass


class GoldenRowError(BundleError):
    pass


class NoProbabilityError(BundleError):
    pass
