"""The denoiser on domains of any size: overlapping windows, blended at every denoising step.

Noise and guidance live on the whole domain; only the network sees windows, one after the other, so memory is bounded
by the window. The network is local (see :mod:`zssd_cli.prior.unet`), so inside a window, away from its rim, the answer
hardly depends on where the windows lie (measured in docs/method.md); the blend gives the rim little weight.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from zssd_cli.posterior.guidance import Denoise
from zssd_cli.prior.coarse import Coarse
from zssd_cli.prior.denoiser import Conditions, Denoiser

OVERLAP = 48


@dataclass(frozen=True)
class Tiles:
    """Windows along one axis: their first cells, their common size and the weight of every cell in every window."""

    starts: tuple[int, ...]
    size: int
    weights: Tensor


def tile_axis(length: int, window: int, overlap: int = OVERLAP, stride: int = 1) -> Tiles:
    """Cover an axis with windows of one size that share at least ``overlap`` cells.

    Windows begin on multiples of ``stride`` (of which the size may fall short by less than one): a network that
    halves its resolution answers alike only there. Weights (windows, size) rise linearly over the middle half of the
    overlap and add up to 1 at every cell.
    """
    window = max(window, overlap + max(overlap, stride) + stride)
    if window >= length:
        return Tiles((0,), length, torch.ones(1, length))
    window -= (window - length) % stride
    steps, longest = (length - window) // stride, (window - overlap) // stride
    count = -(-steps // longest) + 1
    starts = tuple(stride * round(i * steps / (count - 1)) for i in range(count))
    ramp = ((torch.arange(window) + 0.5 - overlap / 4) / (overlap / 2)).clamp(0, 1)
    weights = torch.stack([torch.ones(window) for _ in starts])
    weights[1:] *= ramp
    weights[:-1] *= ramp.flip(0)
    total = torch.zeros(length)
    for start, weight in zip(starts, weights, strict=True):
        total[start : start + window] += weight
    weights = torch.stack([w / total[s : s + window] for s, w in zip(starts, weights, strict=True)])
    return Tiles(starts, window, weights)


def plan(height: int, width: int, circular: bool, max_cells: int, stride: int = 1) -> tuple[Tiles, Tiles]:
    """Windows of at most about ``max_cells`` cells; bands around the whole circle where the domain is one."""
    if height * width <= max_cells:
        rows, columns = height, width
    elif circular and max_cells >= width * 3 * OVERLAP:
        rows, columns = max_cells // width, width
    elif circular:
        msg = "a domain around the globe needs windows that hold the whole circle"
        raise ValueError(msg)
    else:
        side = int(max_cells**0.5)
        columns = min(width, max(side, max_cells // height))
        rows = min(height, max_cells // columns)
    return tile_axis(height, rows, stride=stride), tile_axis(width, columns, stride=stride)


def windowed(
    denoiser: Denoiser,
    conditions: Conditions,
    circular: bool,
    max_cells: int = 600_000,
    call_cells: int | None = None,
    precision: torch.dtype = torch.float32,
) -> Callable[[Tensor, float], Tensor]:
    """The prior on a whole domain as a function of (x (B, C, H, W), sigma).

    Parameters
    ----------
    denoiser
        The network.
    conditions
        Static channels (1, 4, H, W) of the domain and times (B, 2).
    circular
        True where the domain goes around the globe.
    max_cells
        Largest number of cells of a window.
    call_cells
        Largest number of cells that the network sees at once where the same window of several samples shares a call;
        None: ``max_cells``.
    precision
        Of the network alone: the noisy field that the preconditioning adds to its answer stays as it is.
    """

    def denoise(x: Tensor, sigma: float) -> Tensor:
        batch, _, height, width = x.shape
        level = torch.tensor([sigma], dtype=x.dtype, device=x.device)
        rows, columns = plan(height, width, circular, max_cells, denoiser.network.stride)
        group = max(1, (max_cells if call_cells is None else call_cells) // (rows.size * columns.size))
        result = torch.zeros_like(x)
        for part in (slice(i, i + group) for i in range(0, batch, group)):
            time = conditions.time[part] if len(conditions.time) > 1 else conditions.time
            for top, row_weight in zip(rows.starts, rows.weights, strict=True):
                for left, column_weight in zip(columns.starts, columns.weights, strict=True):
                    box = (..., slice(top, top + rows.size), slice(left, left + columns.size))
                    here = Conditions(conditions.static[box], time)
                    with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == torch.bfloat16):
                        answer = denoiser(x[part][box], level, here, circular)
                    weight = row_weight[:, None] * column_weight
                    result[(part, *box)] += answer * weight.to(answer)
        return result

    return denoise


def above(coarse: Coarse, conditions: Conditions, circular: bool, precision: torch.dtype, below: Denoise) -> Denoise:
    """The prior's network of means from its noise level on, on the whole domain at once, and ``below`` it another denoiser."""

    def denoise(x: Tensor, sigma: float) -> Tensor:
        if sigma < coarse.header.above:
            return below(x, sigma)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == torch.bfloat16):
            return coarse(x, torch.tensor([sigma], dtype=x.dtype, device=x.device), conditions, circular).to(x)

    return denoise
