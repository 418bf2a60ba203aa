"""From a MODFLOW 6 model that FloPy makes (feet and days, an inactive corner) to zssd invert and back."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from tests.commands.conftest import prior_file, zssd  # noqa: F401  fixtures
from tests.examples.test_groundwater import FOLDER
from tests.fuzz.makers import latent
from zssd_cli.inversion.domain import read_domain
from zssd_cli.inversion.flow import FlowSolver

flopy = pytest.importorskip("flopy")
FOOT, DAY = 0.3048, 86400.0
ROWS, COLUMNS, SIZE = 10, 20, 50.0
K, RECHARGE, RATE = 30.0, 2e-3, -4000.0
HIGH, LOW = 60.0, 50.0


@pytest.fixture
def modflow(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("modflow")


def model(folder: Path, *, inside=False, river=False, layers=1, units="FEET", **npf):
    """20 x 10 cells of 50 feet, heads of 60 and 50 feet in the first and last column, one inactive corner."""
    simulation = flopy.mf6.MFSimulation(sim_name="toy", sim_ws=str(folder))
    flopy.mf6.ModflowTdis(simulation, time_units="DAYS")
    flopy.mf6.ModflowIms(simulation)
    gwf = flopy.mf6.ModflowGwf(simulation, modelname="toy")
    idomain = np.ones((layers, ROWS, COLUMNS), int)
    idomain[:, :2, 5:8] = 0  # the two northernmost rows
    flopy.mf6.ModflowGwfdis(
        gwf, nlay=layers, nrow=ROWS, ncol=COLUMNS, delr=SIZE, delc=SIZE, top=100.0, botm=[100.0 - 30 * (n + 1) for n in range(layers)],
        idomain=idomain, length_units=units, xorigin=1000.0, yorigin=0.0,
    )  # fmt: skip
    flopy.mf6.ModflowGwfic(gwf, strt=55.0)
    flopy.mf6.ModflowGwfnpf(gwf, k=K, **npf)
    heads = [((0, row, column), head) for row in range(ROWS) for column, head in ((0, HIGH), (COLUMNS - 1, LOW))]
    flopy.mf6.ModflowGwfchd(gwf, stress_period_data=heads + ([((0, 5, 9), 52.0)] if inside else []))
    flopy.mf6.ModflowGwfwel(gwf, stress_period_data=[((0, 7, 12), RATE)])
    flopy.mf6.ModflowGwfrcha(gwf, recharge=RECHARGE)
    if river:
        flopy.mf6.ModflowGwfriv(gwf, stress_period_data=[((0, 5, 9), 52.0, 1.0, 51.0)])
    simulation.write_simulation(silent=True)
    return folder


def test_a_model_becomes_a_domain_in_si_units(tmp_path, modflow):
    modflow.main(["read", str(model(tmp_path / "model")), "-o", str(tmp_path / "aquifer"), "--cells", "40"])
    domain = read_domain(tmp_path / "aquifer" / "domain.yaml")
    problem = domain.problem()
    # from the centre of the first column to that of the last one
    west, east, south, north = np.array(problem.extent) / FOOT
    assert (west, east, south, north) == pytest.approx((1025, 1975, 0, 500))
    assert problem.thickness == pytest.approx(30 * FOOT)
    assert problem.recharge == pytest.approx(RECHARGE * FOOT / DAY)
    (well,) = problem.wells
    assert (well.x / FOOT, well.y / FOOT) == pytest.approx((1625, 125))
    assert well.rate == pytest.approx(RATE * FOOT**3 / DAY)
    assert np.asarray(problem.west.value) == pytest.approx(HIGH * FOOT)
    assert np.asarray(problem.east.value) == pytest.approx(LOW * FOOT)
    assert (problem.north.kind, problem.south.kind) == ("no-flow", "no-flow")
    assert np.exp(domain.log_k("grf").mean) == pytest.approx(K * FOOT / DAY)
    x, y = np.meshgrid(problem.x / FOOT, problem.y / FOOT)
    np.testing.assert_array_equal(~problem.inside, (x > 1250) & (x < 1400) & (y > 400))


def test_heads_are_those_of_the_flow_between_two_rivers(tmp_path, modflow):
    """Without well and recharge heads fall on a line from the first column's centre to the last one's."""
    modflow.main(["read", str(model(tmp_path / "model")), "-o", str(tmp_path), "--cells", "16"])
    text = (tmp_path / "domain.yaml").read_text()
    kept = [line for line in text.splitlines() if not line.startswith("recharge")]
    lines, skipped = [], False
    for line in kept:
        skipped = line.startswith(("wells", "holes")) or (skipped and line.startswith(("- ", " ", "-")))
        lines += [] if skipped else [line]
    (tmp_path / "plain.yaml").write_text("\n".join(lines))
    problem = read_domain(tmp_path / "plain.yaml").problem()
    heads = FlowSolver(problem).heads(torch.full((1, 16, 16), -9.0, dtype=torch.float64))[0].numpy()
    line = HIGH + (LOW - HIGH) * (problem.x / FOOT - 1025) / 950
    np.testing.assert_allclose(heads / FOOT, np.broadcast_to(line, (16, 16)), rtol=1e-9)


def test_what_was_found_goes_back_into_the_model(tmp_path, modflow, zssd):  # noqa: F811
    """An inversion with a prior of 16 x 16 cells: K in NPF is the exponential of the mean of ln K over the model's cells."""
    folder, prior = model(tmp_path / "model", k22=0.5, k22overk=True), tmp_path / "prior.safetensors"
    prior.write_bytes(Path(latent(tmp_path)).read_bytes())
    side = 16
    modflow.main(["read", str(folder), "-o", str(tmp_path), "--cells", str(side)])
    assert read_domain(tmp_path / "domain.yaml").problem().anisotropy == pytest.approx(0.5)
    wells = "x [ft],y [ft],head [ft],error [ft]\n1325,225,57,0.2\n1625,325,53,0.2\n1825,75,52,0.2\n"
    (tmp_path / "heads.csv").write_text(wells)
    done = zssd(
        "invert", tmp_path / "heads.csv", "--domain", tmp_path / "domain.yaml", "--prior", prior, "-o", tmp_path / "k.nc",
        "--members", "2", "--restarts", "1", "--steps", "2",
    )  # fmt: skip
    assert done.code == 0, done.err
    modflow.main(["write", str(tmp_path / "k.nc"), str(folder), "-o", str(tmp_path / "new"), "--member", "1"])
    again = flopy.mf6.MFSimulation.load(sim_ws=str(tmp_path / "new"), verbosity_level=0).get_model()
    got = again.npf.k.array[0]
    with xr.open_dataset(tmp_path / "k.nc") as data:
        field, x, y = data["log_k"][1], data["x"].values / FOOT, data["y"].values / FOOT
        # by quadrature: a fine raster in the model's cell (row 8 from the north, column 10)
        at_x, at_y = 1000 + 500 + SIZE * (np.arange(500) + 0.5) / 500, 50 + SIZE * (np.arange(500) + 0.5) / 500
        columns, rows = (np.abs(at[:, None] - centres).argmin(1) for at, centres in ((at_x, x), (at_y, y)))
        expected = np.exp(field.values[np.ix_(rows, columns)].mean()) / (FOOT / DAY)
    assert got[8, 10] == pytest.approx(expected, rel=1e-2)
    assert (got[:2, 5:8] == K).all()  # inactive
    assert np.ptp(got) > 0
    assert again.wel.stress_period_data.get_data()[0]["q"][0] == RATE


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"river": True}, "knows nothing of riv; leave out with --ignore riv"),
        ({"inside": True}, "1 cells with prescribed heads"),
        ({"layers": 2}, "has 2 layers; choose one with --layer"),
        ({"units": "UNKNOWN"}, "LENGTH_UNITS in DIS: expected one of METERS"),
    ],
)
def test_what_zssd_does_not_know_is_refused_by_name(tmp_path, modflow, changes, said):
    with pytest.raises(SystemExit, match=said):
        modflow.main(["read", str(model(tmp_path / "model", **changes)), "-o", str(tmp_path / "aquifer")])
    assert not (tmp_path / "aquifer").exists()


def test_ignored_packages_and_a_chosen_layer(tmp_path, modflow):
    folder = model(tmp_path / "model", river=True, layers=2)
    modflow.main(["read", str(folder), "-o", str(tmp_path), "--ignore", "riv", "--layer", "1"])
    assert read_domain(tmp_path / "domain.yaml").problem().shape == (64, 64)
    with pytest.raises(SystemExit, match="no side has prescribed heads"):
        modflow.main(["read", str(folder), "-o", str(tmp_path), "--ignore", "riv", "--layer", "2"])
    with pytest.raises(SystemExit, match="another folder"):
        modflow.main(["read", str(folder), "-o", str(folder)])
