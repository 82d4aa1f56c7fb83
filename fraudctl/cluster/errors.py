"""What can go wrong with the local cluster.

UserError
└── ClusterError
    ├── ProgramMissingError  a program that must be on PATH is not there, or too old
    ├── PortInUseError       somebody else listens where a process is to listen
    └── StartError           a process ended, or was not ready in time
NotReadyError                a probe's answer while a process is starting, no error of the user's
"""

from fraudctl.errors import UserError


class ClusterError(UserError):
    pass


class ProgramMissingError(ClusterError):
    pass


class PortInUseError(ClusterError):
    pass


class StartError(ClusterError):
    pass


class NotReadyError(Exception):
    """The message says what the probe met instead of a healthy process, in a few words."""
