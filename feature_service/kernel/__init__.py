"""The window kernel: `compute` is the one definition of every feature's value."""

from feature_service.kernel.vector import APPROXIMATE, READ_BEFORE_HORIZON, compute, make_scratch
from feature_service.kernel.workspace import Workspace, make_workspace

__all__ = ["APPROXIMATE", "READ_BEFORE_HORIZON", "Workspace", "compute", "make_scratch", "make_workspace"]
