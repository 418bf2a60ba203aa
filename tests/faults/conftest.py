"""The toy prior and the command line of the tests of commands."""

from tests.commands.conftest import model, prior_file, zssd

__all__ = ["model", "prior_file", "zssd"]
