"""Who may call what: callers named in a file, recognised by certificate or token, with permissions and limits."""

from feature_service.callers.guard import Guard, current_caller
from feature_service.callers.known import KnownCallers, Permission

__all__ = ["Guard", "KnownCallers", "Permission", "current_caller"]
