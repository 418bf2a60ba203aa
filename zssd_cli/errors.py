"""The errors that users see: one line that says what, expected, got and what to do."""

import errno
import signal

STOPPED = {130: "interrupted", 143: "terminated by SIGTERM", 129: "terminated by SIGHUP"}
"""What is said by exit codes of signals."""
if hasattr(signal, "SIGUSR1"):
    # none on Windows, and another number on macOS
    STOPPED[128 + signal.SIGUSR1] = "stopped by SIGUSR1"


class ZssdError(Exception):
    """Anything that the user can mend. The command line prints it as one line and exits with code 1."""


class InputError(ZssdError):
    """An input file cannot be read or holds something that must not be used."""


class OutsideRange(InputError):
    """None of the times of the files lies in the range that was asked for."""


class BadField(InputError):
    """The values of one field must not be used; those of other times may be good."""


class MissingValues(BadField):
    """A field without values, or with holes."""


class EmptyField(MissingValues):
    """A field without a single value."""


class ConfigError(ZssdError):
    """Options or configuration that contradict each other or the weights."""


class UsageError(ConfigError):
    """Something that a call needs is missing on the command line, or something stands there beside what it excludes: exit code 2."""


class Diverged(ConfigError):
    """A training whose numbers are no longer finite: its state must not be kept."""


class WeightsError(ZssdError):
    """Weights that are missing, damaged, of another version or made for other static fields."""


class OutputError(ZssdError):
    """The output cannot be written."""


class OutOfMemory(ZssdError):
    """What was asked for does not fit into the memory."""


class Remark(UserWarning):
    """What the user should know of a run that goes on all the same."""


class SolverError(ZssdError):
    """Equations that have no unique or no finite solution."""


_NO_MEMORY = ("can't allocate memory", "can't start new thread", "failed to map segment from shared object")
"""What torch, Python and the system's linker say."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell Python's own, CUDA's and, by their words, the errors of libraries, without importing torch."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    refused = isinstance(error, OSError) and error.errno == errno.ENOMEM
    return named or refused or any(words in str(error) for words in _NO_MEMORY)
