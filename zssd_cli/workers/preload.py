"""Imported by every worker process that zssd starts: Ctrl-C and Slurm's warning reach all processes, and the first one ends the rest."""

import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
