"""What a person did or lacks, told in a line: the command line prints it without a stack trace and exits with 2."""


class UserError(Exception):
    """The message says what is wrong and what to do about it."""
