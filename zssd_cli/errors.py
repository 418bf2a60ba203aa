"""The errors that users see: one line that says what, expected, got and what to do."""


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


class Diverged(ConfigError):
    """A training whose numbers are no longer finite: its state must not be kept."""


class WeightsError(ZssdError):
    """Weights that are missing, damaged, of another version or made for other static fields."""


class OutputError(ZssdError):
    """The output cannot be written."""


class SolverError(ZssdError):
    """Equations that have no unique or no finite solution."""
