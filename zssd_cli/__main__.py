"""``python -m zssd_cli`` and ``zssd``: nothing is imported before Ctrl-C is known to end without a traceback."""

import os
import signal


def main() -> None:
    """Entry point; what is typed and done is :mod:`zssd_cli.app`'s."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL) if signal.getsignal(signal.SIGINT) != signal.SIG_IGN else None
    # torch's threads wait for each other hundreds of times in a network call: where other processes keep the cores busy they must
    # sleep soon, not spin (docs/benchmarks.md). OpenMP reads this when torch is imported
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    from zssd_cli import app
    from zssd_cli.buffers import keep_buffers

    keep_buffers()
    if before is not None:
        signal.signal(signal.SIGINT, before)
    app.main()


if __name__ == "__main__":
    main()
