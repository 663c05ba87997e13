"""How a command ends when it could not do what it was asked."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell is told. They are part of the interface: scripts rely on them."""

    DONE = 0  # it did what it was asked; a batch it watched completed, and no job failed
    FAILED = 1  # it could not; the batch failed; a gate does not hold; an estimate has a problem
    USAGE = 2  # the command line or its input is wrong; nothing was done
    UNREACHABLE = 3  # nothing answers where the API should be
    REFUSED = 4  # the API key is missing, not valid, or not allowed to do that
    JOBS_FAILED = 5  # the batch completed, and some of its jobs failed
    EXPIRED = 6  # the batch's deadline passed; what was finished is there
    CANCELLED = 7  # the batch was cancelled


class Failure(Exception):  # noqa: N818 - it is not only for errors: a batch that was cancelled ends so
    """The end of a command, with what to tell the person."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
