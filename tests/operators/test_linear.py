"""The same properties for every linear operator by name: adjoint, gradient, constants, dtype, longitude, means."""

import numpy as np
import pytest
import torch

from zssd_cli.grids.latlon import GLOBE, Region, block_grid, fine_grid
from zssd_cli.operators.coarsen import Coarsen, linear_weights

REGIONS = {
    "globe": GLOBE,
    "region": Region(10, 40, 20, 50),
    "pole": Region(-60, 0, 60, 90),
    "southern-ring": Region(-180, 180, -90, -75),
    "seam": Region(165, 195, -15, 15),
    "one-block": Region(0, 5, 0, 5),
}
CASES = [(step, name) for step in (5.0, 2.5, 1.5) for name in REGIONS if name != "one-block" or step == 5.0]
MAPS = ("coarsen", "refine", "lift")


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[1]}-{case[0]:g}")
def operator(request):
    step, name = request.param
    return make(step, name)


def make(step, name, **options):
    region = REGIONS[name]
    coarse = block_grid(step, region)
    around = Region(coarse.lon_edges[0], coarse.lon_edges[-1], coarse.lat_edges[0], coarse.lat_edges[-1])
    return Coarsen(fine_grid(around), coarse, **({"dtype": torch.float64} | options))


def apply(operator, name, x):
    return operator(x) if name == "coarsen" else getattr(operator, name)(x)


def random(shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def ends(operator, name):
    """Shapes of the domain and of the range."""
    pair = operator.fine.shape, operator.coarse.shape
    return pair if name == "coarsen" else pair[::-1]


@pytest.mark.parametrize("name", MAPS)
def test_dot_product_with_the_adjoint(operator, name):
    before, after = ends(operator, name)
    x, y = random(before).requires_grad_(), random(after, 1)
    image = apply(operator, name, x)
    assert image.shape == after
    (back,) = torch.autograd.grad(image, x, y)
    forward = float((image.detach() * y).sum())
    scale = float(image.detach().norm() * y.norm())
    assert abs(forward - float((x.detach() * back).sum())) < 1e-12 * scale
    if name == "coarsen":
        torch.testing.assert_close(operator.adjoint(y), back, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", MAPS)
def test_gradient_of_a_nonlinear_loss_against_finite_differences(operator, name):
    before, _ = ends(operator, name)
    x, direction = random(before), random(before, 2)

    def loss(point):
        return apply(operator, name, point).sin().sum()

    (gradient,) = torch.autograd.grad(loss(x.requires_grad_()), x)
    x, h = x.detach(), 1e-6
    slope = float(loss(x + h * direction) - loss(x - h * direction)) / (2 * h)
    exact = float((gradient * direction).sum())
    assert abs(slope - exact) < 1e-5 * float(gradient.norm() * direction.norm())
    assert abs(exact) > 0


@pytest.mark.parametrize("name", MAPS)
def test_constants_are_preserved(operator, name):
    before, after = ends(operator, name)
    image = apply(operator, name, torch.full(before, 7.0, dtype=torch.float64))
    torch.testing.assert_close(image, torch.full(after, 7.0, dtype=torch.float64), rtol=1e-12, atol=0)


def test_lift_is_a_right_inverse(operator):
    y = random((2, 3, *operator.coarse.shape))
    torch.testing.assert_close(operator(operator.lift(y)), y, rtol=0, atol=1e-11)


def test_refine_stays_within_its_values_and_lift_has_no_block_edges(operator):
    y = random(operator.coarse.shape)
    fine = operator.refine(y)
    assert fine.max() <= y.max() + 1e-12
    assert fine.min() >= y.min() - 1e-12
    # the roughest coarse field: repeating block values would jump by 2 from one cell to the next
    rows, columns = (torch.arange(n) for n in operator.coarse.shape)
    checkers = (-1.0) ** (rows[:, None] + columns).double()
    cells = round(float(np.diff(operator.coarse.lon_edges)[0]) / 0.25)
    for dim in (0, 1):
        assert operator.lift(checkers).diff(dim=dim).abs().max() < 10 / cells


def test_a_block_mean_is_the_area_weighted_mean_of_its_parts(operator):
    """Rows and columns against a direct sum over overlaps of one block."""
    fine, coarse = operator.fine, operator.coarse
    row, column = coarse.shape[0] - 1, 0
    x = random(fine.shape)
    south, north = (np.sin(np.deg2rad(e)) for e in (fine.lat_edges[:-1], fine.lat_edges[1:]))
    low, high = np.sin(np.deg2rad(coarse.lat_edges[row : row + 2]))
    rows = np.maximum(np.minimum(north, high) - np.maximum(south, low), 0)
    west, east = coarse.lon_edges[column : column + 2]
    # degree by degree: position of the fine cell's edges relative to the block, on the circle
    start = (fine.lon_edges[:-1] - west + 180) % 360 - 180
    columns = np.maximum(np.minimum(start + 0.25, east - west) - np.maximum(start, 0), 0)
    weights = np.outer(rows, columns)
    expected = (weights * x.numpy()).sum() / weights.sum()
    assert float(operator(x)[row, column]) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MAPS)
def test_dtype_and_leading_dimensions(name, dtype):
    operator = make(5.0, "pole", dtype=dtype)
    before, after = ends(operator, name)
    x = random((2, 3, *before)).to(dtype)
    image = apply(operator, name, x)
    assert image.dtype == dtype
    assert image.shape == (2, 3, *after)
    exact = apply(make(5.0, "pole"), name, x.double())
    torch.testing.assert_close(image.double(), exact, rtol=0, atol=2e-5 if dtype == torch.float32 else 0)
    torch.testing.assert_close(image[1, 2], apply(operator, name, x[1, 2]), rtol=0, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", MAPS)
def test_device(name):
    operator = make(5.0, "globe", device="cuda")
    before, _ = ends(operator, name)
    x = random(before)
    image = apply(operator, name, x.cuda())
    assert image.is_cuda
    torch.testing.assert_close(image.cpu(), apply(make(5.0, "globe"), name, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("step", [5.0, 2.5, 1.5])
@pytest.mark.parametrize("name", MAPS)
def test_a_roll_by_one_block_rolls_the_image(step, name):
    operator, cells = make(step, "globe"), round(step / 0.25)
    before, _ = ends(operator, name)
    x = random(before)
    shift, moved = (cells, 1) if name == "coarsen" else (1, cells)
    image = apply(operator, name, x.roll(shift, -1))
    torch.testing.assert_close(image, apply(operator, name, x).roll(moved, -1), rtol=0, atol=1e-11)


@pytest.mark.parametrize("step", [5.0, 2.5, 1.5])
def test_the_global_mean_is_kept(step):
    operator = make(step, "globe")
    x = random(operator.fine.shape) + 1e5
    image = operator(x).numpy()
    before = np.average(x.numpy(), weights=operator.fine.area)
    assert np.average(image, weights=operator.coarse.area) == pytest.approx(before, rel=1e-13)


def test_linear_weights_interpolate_and_wrap():
    source, target = np.array([10.0, 130.0, 250.0]), np.array([-50.0, 10.0, 70.0, 310.0, 369.0, 730.0])
    flat = linear_weights(source, target)
    np.testing.assert_allclose(flat @ source, [10, 10, 70, 250, 250, 250])
    around = linear_weights(source, target, 360.0)
    np.testing.assert_allclose(around.sum(1), 1)
    np.testing.assert_allclose(around[0], [0.5, 0, 0.5])
    np.testing.assert_allclose(around[2], [0.5, 0.5, 0])
    np.testing.assert_allclose(around[3], [0.5, 0, 0.5])
    np.testing.assert_allclose(around[4], [119 / 120, 0, 1 / 120])
    np.testing.assert_allclose(around[5], [1, 0, 0], atol=1e-12)
