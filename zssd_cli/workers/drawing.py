"""The process that was called: sends batches to the workers, a bounded number at a time, and keeps what comes back."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Protocol

from zssd_cli.api import Plan
from zssd_cli.errors import ConfigError, ZssdError
from zssd_cli.outputs.parts import Parts
from zssd_cli.posterior.downscaling import batches
from zssd_cli.posterior.resuming import all_doubts, name_of
from zssd_cli.posterior.together import Batch
from zssd_cli.workers.task import Work, draw_batch

if TYPE_CHECKING:
    from distributed import Client, Future

AHEAD = 2
"""Batches per worker that are drawn or wait for it, so that it never waits and the scheduler never holds many."""
LOOK = 5.0
"""Seconds after which the workers are counted again."""


class Limit(Protocol):
    """Whether there is time for more; see :class:`zssd_cli.commands.keeping.Limit`."""

    def __call__(self) -> None:
        """Raise to stop where there is no time for a batch."""

    def leaves(self, rounds: int) -> bool:
        """Whether there is time for that many batches one after the other."""


def draw_missing(
    client: "Client",
    planned: Plan,
    work: Work,
    parts: Parts,
    tick: Callable[[int], None],
    limit: Limit,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Let the workers draw every batch that a folder lacks, and keep it; as :meth:`zssd_cli.api.Plan.draw` does.

    Parameters
    ----------
    client
        Of the workers.
    planned, parts
        The job and its folder.
    work
        The same job, to send.
    tick
        Called with the number of fields' steps of a finished batch.
    limit
        Of time.
    say
        Shows a line.

    Raises
    ------
    ZssdError
        What a worker says, or that workers die on a batch or the scheduler is gone.
    """
    job, steps = planned.job, len(planned.job.noise_levels) - 1
    missing = (batch for batch in batches(job) if name_of(batch) not in parts)
    with all_doubts(job, parts, planned.source.watch), closing(_flown(client, work, missing, limit, say)) as answers:
        for batch, answer in answers:
            if isinstance(answer, ZssdError):
                raise answer
            parts.keep(name_of(batch), *answer)
            tick(len(batch.times) * len(batch.members) * steps)


def _flown(
    client: "Client", work: Work, missing: Iterator[Batch], limit: Limit, say: Callable[[str], None]
) -> Generator[tuple[Batch, Any]]:
    """Batches and what the workers answer, in the order in which it comes."""
    flight = _Flight(client, work, missing, limit, say)
    try:
        while flight.goes_on():
            flight.count()
            flight.send()
            yield from flight.landed()
    finally:
        flight.cancel()


class _Flight:
    """The batches that the workers have now."""

    def __init__(
        self, client: "Client", work: Work, missing: Iterator[Batch], limit: Limit, say: Callable[[str], None]
    ) -> None:
        self._client, self._work, self._missing, self._limit, self._say = client, work, missing, limit, say
        self._flying: dict[Future, Batch] = {}
        self._next, self._workers, self._no_time = next(missing, None), -1, False

    def goes_on(self) -> bool:
        """Whether there is more to do; raises what the limit raises once those that were in time are there."""
        if self._no_time and not self._flying:
            self._limit()
        return self._next is not None or bool(self._flying)

    def count(self) -> None:
        """Look how many workers there are."""
        before, self._workers = self._workers, len(self._client.nthreads())
        if self._workers < before:
            self._say(f"Workers    {self._workers} left of {before}; what a lost one was drawing is drawn again")
        elif before < 0 == self._workers:
            self._say("Workers    none yet; waiting for the first one")

    def send(self) -> None:
        """Send what may be sent; with a limit of time a worker gets no second batch that could end too late."""
        workers = max(self._workers, 1)
        while self._next is not None and len(self._flying) < AHEAD * workers:
            rounds = 1 + len(self._flying) // workers
            if not self._limit.leaves(rounds):
                self._no_time = rounds == 1
                return
            future = self._client.submit(draw_batch, self._work, self._next, pure=False)
            self._flying[future] = self._next
            self._next = next(self._missing, None)

    def landed(self) -> Iterator[tuple[Batch, Any]]:
        """What has come back, after a while at the latest."""
        from distributed import wait

        if not self._flying:
            return
        try:
            with self._client.as_current():
                done = wait(list(self._flying), timeout=LOOK, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            return
        for future in done:
            answer = _answer(future)
            yield self._flying.pop(future), answer

    def cancel(self) -> None:
        """Let the workers drop what is not done."""
        with suppress(Exception):
            self._client.cancel(list(self._flying), force=True)


def _answer(future: "Future") -> Any:
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        msg = (
            f"Workers died over and over on one batch, the last one at {error.last_worker.address}: out of memory? "
            "Use fewer workers, or a smaller --region; --resume goes on."
        )
        raise ConfigError(msg) from error
