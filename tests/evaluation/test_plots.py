"""The picture of scores is drawn whole."""

from matplotlib.image import imread

from zssd_cli.evaluation.alignment import open_output
from zssd_cli.evaluation.plots import spectra_plot
from zssd_cli.evaluation.report import evaluate_paired


def test_spectra(tmp_path, make_output, world) -> None:
    output = open_output(make_output(tmp_path / "out.nc", "-30,0,30,50", steps=1))
    spectra_plot(evaluate_paired(output, world("-30,0,30,50", steps=1), "era5"), tmp_path / "s.png")
    assert imread(tmp_path / "s.png").std() > 0
