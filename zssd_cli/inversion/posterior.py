r"""Inversion in the latent space of a prior: what field explains the data, and how much do the data leave open.

The unknown :math:`z` has mean 0 and covariance 1 under the prior, the field is :math:`u(z)` (see
:mod:`zssd_cli.inversion.latent_prior`), and any differentiable operator :math:`g(u)` predicts the data
:math:`d = g(u) + \epsilon`, :math:`\epsilon \sim N(0, s^2)`.

* **MAP**: the minimum of :math:`\frac12 |z|^2 + \frac12 |(d - g(u(z))) / s|^2` from several starts in one batch, Adam first,
  then L-BFGS. It is a MAP of z as if z were Gaussian, a point; stopped early where the misfit has reached the noise
  (discrepancy principle).
* **Ensemble by randomised maximum likelihood** (Kitanidis 1995; Oliver et al. 1996). Every member is a prior draw
  :math:`\xi_j` that descends on :math:`\frac12 |z - \xi_j|^2 + \frac12 |(d + \epsilon_j - g(u(z))) / s|^2`. Exact where the
  prior is Gaussian and :math:`g(u(z))` linear, an approximation elsewhere. The Jacobian J at the MAP gives all members their
  start (the linear solution) and the preconditioner :math:`(I + J^T J)^{-1}`, which needs a matrix of the number of data
  only; then a few steps do. Members come in antithetic pairs (:math:`\pm\epsilon` and draws from :math:`\pm` the noise), so
  that their mean has no first-order noise.
* **Ensemble by smoothing** (ES-MDA, Emerick and Reynolds 2013) where gradients mislead, as with two materials: heads
  depend on which bodies touch. Covariances of a large ensemble take the place of the Jacobian, the data enter many times
  with inflated errors, the inflation halved each time. What it finds is right in the large and misses the data by many errors,
  so the first members go on by descents as above [ours]; the MAP starts from the ensemble's mean and its best members.

Interfaces between two materials grow sharp during the descents: every stage of :meth:`LatentMap.sharpened` starts where the one
before ended. The fields that are given are those of the last stage.

The operator is a callable on fields: groundwater heads, wind speed, anything that autograd can follow.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from zssd_cli.errors import ConfigError
from zssd_cli.inversion.ensembles import Gain, antithetic, inflations_of, kalman_step, shrunk_covariance
from zssd_cli.inversion.latent_map import Forward, LatentMap
from zssd_cli.inversion.lbfgs import Evaluated, Objective, Rule, minimise
from zssd_cli.inversion.random_fields import generator
from zssd_cli.inversion.settings import InversionSettings

RADIUS = 5.0
"""Longest step in the unknown, whose numbers have mean 0 and variance 1."""

SOFTENED, FURTHER = 3, 4
"""Stages of the gradual search that are gone through once more, and descents after them at most."""

_STARTS, _MEMBERS, _ERRORS = range(3)
"""Streams of random numbers."""

OnStep = Callable[[str, int, float], None]
"""Stage, step, median root mean square of the residuals in units of the error."""


@dataclass(frozen=True)
class Inversion:
    """Results for P data sets.

    Attributes
    ----------
    map_unknown, map_field
        The best of the starts, (P, size) and (P, ...).
    start_values, start_misfits
        Minimum reached and mean square residual (in units of the errors) for every start, (P, starts).
    members, member_unknowns
        Ensemble, (P, members, ...) and (P, members, size).
    member_misfits
        Mean square residual of the members against the data as they are (not as perturbed), (P, members).
    solves
        How many fields were put through the operator, per data set.
    adjoints
        Further adjoint solves for the Jacobian, per data set; their factorisation is counted in ``solves``.
    """

    map_unknown: Tensor
    map_field: Tensor
    start_values: Tensor
    start_misfits: Tensor
    members: Tensor
    member_unknowns: Tensor
    member_misfits: Tensor
    solves: float
    adjoints: float


def invert(
    prior: LatentMap,
    forward: Forward,
    data: Tensor,
    error: Tensor,
    settings: InversionSettings | None = None,
    progress: OnStep = lambda stage, step, misfit: None,
) -> Inversion:
    """Invert one or several data sets of one operator.

    Parameters
    ----------
    prior
        Where the fields come from.
    forward
        The operator.
    data
        (m,) or (P, m), on the prior's device; random numbers are drawn on the processor, so that devices agree.
    error
        Standard deviations of the errors, broadcast to the data; positive.
    settings
        How; None: the defaults.
    progress
        Is told about every step.

    Raises
    ------
    ConfigError
        Data or errors that are not finite, errors that are not positive.
    """
    settings = settings or InversionSettings()
    data = torch.atleast_2d(data).float()
    error = torch.as_tensor(error, dtype=torch.float32, device=data.device).expand_as(data)
    if not (data.isfinite().all() and error.isfinite().all() and (error > 0).all()):
        msg = "Inversion: expected finite data and positive errors, got others. Remove the data, or give every one an error."
        raise ConfigError(msg)
    problem = _Problem(prior, forward, error, settings.batch)
    if settings.ensemble == "smoother":
        unknowns, starts = _smooth(problem, data, settings, progress)
        best, values, misfits = _map(problem, data, starts, settings, progress)
    else:
        near = _gradual if prior.softened() else _adam
        starts = near(problem, data, _starts(problem, data, settings), settings, progress)
        best, values, misfits = _map(problem, data, starts, settings, progress)
        unknowns = _ensemble(problem, data, best, settings, progress) if settings.members else best[:, None][:, :0]
    map_field = problem.fields(best)
    members = problem.fields(torch.cat([best, unknowns.flatten(0, 1)]))[len(data) :]
    return Inversion(
        map_unknown=best,
        map_field=map_field,
        start_values=values,
        start_misfits=misfits,
        members=members.view(*unknowns.shape[:2], *map_field.shape[1:]),
        member_unknowns=unknowns,
        member_misfits=problem.misfits(members, data),
        solves=problem.solves / len(data),
        adjoints=problem.adjoints / len(data),
    )


class _Problem:
    """Prior and operator together, with a count of what was solved.

    Residuals are in units of the errors. Rows of a batch belong to data sets: ``owner`` (B,) says which.
    """

    def __init__(self, prior: LatentMap, forward: Forward, error: Tensor, batch: int) -> None:
        self._stages = prior.sharpened()
        self.prior, self._forward, self.error, self._batch = self._stages[0], forward, error, batch
        self.inflation = error.new_ones(len(error), 1)
        self.solves = self.adjoints = 0

    def stages(self) -> Iterator[None]:
        """Go through the prior's stages; the last one stays."""
        for stage in self._stages:
            self.prior = stage
            yield

    @torch.no_grad()
    def fields(self, unknown: Tensor) -> Tensor:
        """Fields without gradients, (B, ...)."""
        return torch.cat([self.prior.fields(part) for part in unknown.split(self._batch)])

    def evaluate(self, unknown: Tensor, centre: Tensor, target: Tensor, owner: Tensor) -> Evaluated:
        """Half the squared distance from the centre plus half the squared residual; misfit is its mean square."""
        parts = []
        for z, c, t, o in zip(*(x.split(self._batch) for x in (unknown, centre, target, owner)), strict=True):
            z = z.detach().requires_grad_(True)
            residual = (self._forward(self.prior.fields(z)).float() - t) / (self.error * self.inflation)[o]
            square = residual.square().sum(1)
            value = 0.5 * (z - c).square().sum(1) + 0.5 * square
            (gradient,) = torch.autograd.grad(value.sum(), z)
            self.solves += len(z)
            parts.append((value.detach(), gradient, square.detach() / t.shape[1]))
        return Evaluated(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def unknowns(self, noise: Tensor) -> Tensor:
        """Prior draws from standard normal numbers, (B, size) both."""
        return torch.cat([self.prior.unknowns(part) for part in noise.split(self._batch)])

    @torch.no_grad()
    def predict(self, unknown: Tensor) -> Tensor:
        """Predictions without gradients, (B, m)."""
        self.solves += len(unknown)
        return torch.cat([self._forward(self.prior.fields(part)).float() for part in unknown.split(self._batch)])

    @torch.no_grad()
    def misfits(self, fields: Tensor, data: Tensor) -> Tensor:
        """Mean square residual of fields (P M, ...) against the data sets (P, m), (P, M)."""
        if not len(fields):
            return fields.new_zeros(len(data), 0)
        self.solves += len(fields)
        predicted = torch.cat([self._forward(part).float() for part in fields.split(self._batch)])
        residual = (predicted.view(len(data), -1, data.shape[1]) - data[:, None]) / self.error[:, None]
        return residual.square().mean(2)

    def linearise(self, unknown: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions (P, m) and the Jacobian of predictions in units of their errors (P, m, size).

        First the operator's Jacobian, one adjoint per datum on one forward run, then one batch through the prior.
        """
        predicted, rows = [], []
        for owner, z in enumerate(unknown):
            field = self.fields(z[None]).requires_grad_(True)
            prediction = self._forward(field)
            count = prediction.shape[1]
            towards = [
                torch.autograd.grad(prediction[0, i], field, retain_graph=i + 1 < count)[0] for i in range(count)
            ]
            self.solves += 1
            self.adjoints += count
            jacobian = [self._pull_back(z, part) for part in torch.cat(towards).split(self._batch)]
            rows.append(torch.cat(jacobian) / self.error[owner, :, None])
            predicted.append(prediction[0].detach().float())
        return torch.stack(predicted), torch.stack(rows)

    def _pull_back(self, z: Tensor, towards: Tensor) -> Tensor:
        """Transposed Jacobian of the prior at one point on several fields, (k, ...) -> (k, size)."""
        repeated = z.detach().expand(len(towards), -1).contiguous().requires_grad_(True)
        (pulled,) = torch.autograd.grad(self.prior.fields(repeated), repeated, towards)
        return pulled

    def scaled(self, values: Tensor, owner: int | slice = slice(None)) -> Tensor:
        """Data or differences of data (P, m) in units of the errors; of one data set, (..., m)."""
        return values / self.error[owner]


def _starts(problem: _Problem, data: Tensor, settings: InversionSettings) -> Tensor:
    """The centre of the prior and shrunken normal draws, (P, S, n)."""
    count, size = len(data), problem.prior.size
    z = torch.randn(settings.starts, size, generator=generator(settings.seed, _STARTS)).to(data)
    z = z * min(1.0, math.sqrt(data.shape[1] / size))
    z[0] = 0
    return z.expand(count, -1, -1)


def _objective(problem: _Problem, data: Tensor, starts: int) -> Objective:
    """What a MAP minimises, ``starts`` rows for each data set."""
    owner = torch.arange(len(data), device=data.device).repeat_interleave(starts)

    def objective(x: Tensor, index: Tensor) -> Evaluated:
        return problem.evaluate(x, torch.zeros_like(x), data[owner[index]], owner[index])

    return objective


def _map(
    problem: _Problem, data: Tensor, starts: Tensor, settings: InversionSettings, progress: OnStep
) -> tuple[Tensor, Tensor, Tensor]:
    """From starts (P, S, n): best unknown (P, n), values and misfits of all starts (P, S)."""
    count, each, _ = starts.shape
    rule, z = Rule(settings.lbfgs_steps, misfit=settings.discrepancy, radius=RADIUS), starts.flatten(0, 1)
    for _ in problem.stages():
        z, found = minimise(_objective(problem, data, each), z, rule, progress=_told(progress, "L-BFGS"))
    values, misfits = found.value.view(count, each), found.misfit.view(count, each)
    best = z.view(count, each, -1)[torch.arange(count), values.argmin(1)]
    return best, values, misfits


def _adam(problem: _Problem, data: Tensor, starts: Tensor, settings: InversionSettings, progress: OnStep) -> Tensor:
    """Starts (P, S, n) moved by steps of bounded length while the curvature still means nothing (Kingma and Ba 2015).

    One step length per problem, not per number: the norm of the gradient takes the place of its entries, so that the
    many numbers on which no datum depends do not wander. The learning rate is the length of a step.
    """
    z, objective = starts.flatten(0, 1), _objective(problem, data, starts.shape[1])
    first, second, told = torch.zeros_like(z), z.new_zeros(len(z), 1), _told(progress, "Adam")
    every = torch.arange(len(z), device=z.device)
    for step in range(settings.adam_steps):
        now = objective(z, every)
        told(step, now.misfit)
        first = 0.9 * first + 0.1 * now.gradient
        second = 0.99 * second + 0.01 * now.gradient.square().sum(1, keepdim=True)
        mean = first / (1 - 0.9 ** (step + 1))
        scale = (second / (1 - 0.99 ** (step + 1))).sqrt()
        z = z - settings.learning_rate * mean / scale.clamp(min=1e-12)
    return z.view_as(starts)


def _gradual(problem: _Problem, data: Tensor, starts: Tensor, settings: InversionSettings, progress: OnStep) -> Tensor:
    """Starts (P, S, n) moved by descents whose interfaces harden and whose errors shrink, each towards half of what the best one misses.

    What misses the data then goes once more through soft interfaces: bodies that are in the wrong place can leave it there only.
    """
    z, objective = starts.flatten(0, 1), _objective(problem, data, starts.shape[1])
    rule, told = Rule(settings.lbfgs_steps, misfit=1.0, radius=RADIUS), _told(progress, "search")
    soft, now = problem.prior.softened(), problem.prior
    problem.prior = soft[0]
    misses = problem.scaled(data - problem.predict(starts[:, 0])).square().mean(1)
    for stage in (*soft, now, now, *soft[-SOFTENED:], *[now] * FURTHER):
        if stage is now and (misses <= 1).all():
            break
        problem.prior, problem.inflation = stage, (misses.sqrt() / 2).clamp(min=1)[:, None]
        z, found = minimise(objective, z, rule, progress=told)
        misses = found.misfit.view(len(data), -1).min(1).values * problem.inflation[:, 0].square()
    problem.inflation = torch.ones_like(problem.inflation)
    return z.view_as(starts)


def _smooth(problem: _Problem, data: Tensor, settings: InversionSettings, progress: OnStep) -> tuple[Tensor, Tensor]:
    """Unknowns of the members (P, M, n), and the starts of the MAP (P, S, n): the mean of all that were smoothed and the best."""
    members, starts, told = [], [], _told(progress, "smoother")
    for owner, datum in enumerate(data):
        rng = generator(settings.seed, _MEMBERS)
        draws = problem.unknowns(torch.randn(settings.used_smoothed, problem.prior.size, generator=rng).to(data))
        z, residual = draws, problem.scaled(datum - problem.predict(draws), owner)
        inflations = inflations_of(float(residual.square().mean(1).median()))
        for step, inflation in enumerate(inflations):
            told(step, residual.square().mean(1))
            noise = math.sqrt(inflation) * torch.randn(residual.shape, generator=rng).to(data)
            z = z + kalman_step(z, residual, residual + noise, inflation)
            residual = problem.scaled(datum - problem.predict(z), owner)
        told(len(inflations), residual.square().mean(1))
        value = z.square().sum(1) + residual.square().sum(1)
        members.append((draws[: settings.members], z[: settings.members], shrunk_covariance(z)))
        starts.append(torch.cat([z.mean(0, keepdim=True), z[value.argsort()[: settings.starts - 1]]]))
    draws, z, spread = (torch.stack(part) for part in zip(*members, strict=True))
    errors = torch.randn(settings.members, data.shape[1], generator=generator(settings.seed, _ERRORS)).to(data)
    rule = Rule(settings.polish_steps, tolerance=0.5, radius=RADIUS)

    def precondition(v: Tensor) -> Tensor:
        return (v.view_as(z) @ spread).flatten(0, 1)

    return _randomised(problem, data, draws, errors, z, rule, progress, precondition), torch.stack(starts)


def _ensemble(problem: _Problem, data: Tensor, best: Tensor, settings: InversionSettings, progress: OnStep) -> Tensor:
    """Unknowns of the members, (P, M, n)."""
    count, members, size = len(data), settings.members, best.shape[1]
    predicted, jacobian = problem.linearise(best)
    gain = Gain(jacobian)
    rng = generator(settings.seed, _MEMBERS)
    draws = problem.unknowns(antithetic(members, size, rng).to(data)).expand(count, -1, -1)
    errors = antithetic(members, data.shape[1], rng).to(data)
    innovation = problem.scaled(data - predicted)[:, None] + errors + gain.jacobian(best[:, None] - draws)

    def precondition(v: Tensor) -> Tensor:
        v = v.view(count, members, size)
        return (v - gain(gain.jacobian(v))).flatten(0, 1)

    rule = Rule(settings.member_steps, tolerance=0.1, radius=RADIUS)
    return _randomised(problem, data, draws, errors, draws + gain(innovation), rule, progress, precondition)


def _randomised(
    problem: _Problem,
    data: Tensor,
    draws: Tensor,
    errors: Tensor,
    starts: Tensor,
    rule: Rule,
    progress: OnStep,
    precondition: Callable[[Tensor], Tensor],
) -> Tensor:
    """Members (P, M, n) that descend from their starts, each towards its own draw of the prior and its own errors (M, m) of the data."""
    count, members, size = starts.shape
    owner = torch.arange(count, device=data.device).repeat_interleave(members)
    centre, z = draws.flatten(0, 1), starts.flatten(0, 1)
    target = (data[:, None] + errors * problem.error[:, None]).flatten(0, 1)

    def objective(x: Tensor, index: Tensor) -> Evaluated:
        return problem.evaluate(x, centre[index], target[index], owner[index])

    if members:
        for _ in problem.stages():
            z, _ = minimise(objective, z, rule, precondition, _told(progress, "members"))
    return z.view(count, members, size)


def _told(progress: OnStep, stage: str) -> Callable[[int, Tensor], None]:
    return lambda step, misfit: progress(stage, step, float(misfit.median().sqrt()))
