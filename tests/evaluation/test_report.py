"""Evaluation end to end on a small world with known errors."""

import csv
import io
import json
import math

import netCDF4
import numpy as np
import pytest
from rich.console import Console

from zssd_cli.errors import ConfigError, InputError
from zssd_cli.evaluation.alignment import open_output
from zssd_cli.evaluation.report import (
    WIND_SPEED,
    as_csv,
    as_dict,
    as_markdown,
    as_table,
    check_paired,
    choose_variables,
    evaluate_paired,
    number,
)
from zssd_cli.evaluation.tables import legend, shown_columns

REGION = "-30,0,30,50"


def rows(evaluation):
    return {(row.variable, row.method): row for row in evaluation.rows}


def test_known_errors(tmp_path, make_output, world) -> None:
    output = open_output(make_output(tmp_path / "out.nc", REGION, shifts=(-1.0, 3.0)))
    calls = []
    evaluation = evaluate_paired(output, world("globe"), "era5", on_time=lambda *when: calls.append(when))
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert (evaluation.times, evaluation.members, evaluation.scale) == (3, 2, 5.0)
    assert evaluation.notes == ("Intervals come from 3 blocks of 1 day only: take them as a hint.",)
    table = rows(evaluation)
    for name, factor in (("msl", 100), ("u10", 1)):
        scores = table[name, "zssd"].scores
        assert (scores.mae, scores.rmse) == pytest.approx((factor, factor), rel=1e-3)
        assert scores.bias == pytest.approx(factor, rel=1e-3)
        assert scores.crps == pytest.approx(0, abs=1e-3 * factor)
        assert scores.spread_skill == pytest.approx(math.sqrt(8 * 1.5), rel=1e-3)
        assert table[name, "zssd"].lsd == pytest.approx(0, abs=0.05)
        np.testing.assert_allclose(scores.rank_histogram, (0, 1, 0))
    assert table["msl", "zssd"].observed
    assert not table[WIND_SPEED, "zssd"].observed
    for name in ("msl", "u10", "v10", WIND_SPEED):
        assert table[name, "bicubic"].scores.rmse < table[name, "conservative"].scores.rmse
        assert table[name, "bilinear"].bands[0] < -3
        assert table[name, "bilinear"].scores.members == 1


def test_truth_scores_zero_and_needs_no_member_axis(tmp_path, make_output, world) -> None:
    path = make_output(tmp_path / "out.nc", REGION, shifts=(0.0,))
    squeezed = tmp_path / "flat.nc"
    with netCDF4.Dataset(path) as source, netCDF4.Dataset(squeezed, "w") as data:
        data.zssd_filter_scale = "2.5"
        for name in ("time", "lat", "lon"):
            data.createDimension(name, source.dimensions[name].size)
            variable = data.createVariable(name, "f8", (name,))
            values = source[name][:]
            variable[:] = values[::-1] if name == "lat" else values
        data["time"].units = source["time"].units
        data.createVariable("msl", "f4", ("time", "lat", "lon"))[:] = source["msl"][:, 0, ::-1]
    evaluation = evaluate_paired(open_output(squeezed), world("globe"), "era5")
    row = rows(evaluation)["msl", "zssd"]
    assert row.scores.mae == row.scores.p99_error == row.lsd == 0
    assert math.isnan(row.scores.spread_skill)
    assert evaluation.scale == 2.5


def test_cells_are_cut_to_whole_blocks(tmp_path, make_output, world) -> None:
    output = open_output(make_output(tmp_path / "out.nc", REGION))
    evaluation = evaluate_paired(output, world("-28,10,33,60"), "era5")
    assert evaluation.extent == "-25..0 E, 35..50 N"
    small = evaluate_paired(output, world("-28,-25,33,36"), "era5")
    assert small.scale is None
    assert {row.method for row in small.rows} == {"zssd"}
    assert "no whole block" in small.notes[0]
    finer = evaluate_paired(output, world("-28,-25,33,36"), "era5", scale=1)
    assert {row.method for row in finer.rows} == {"zssd", "conservative", "bilinear", "bicubic", "geostrophic"}


def test_missing_scale_variables_and_times_are_noted(tmp_path, make_output, world) -> None:
    output = open_output(make_output(tmp_path / "out.nc", REGION, scale=None))
    evaluation = evaluate_paired(output, world("globe", variables=("v10", "msl"), start=2), "era5")
    assert evaluation.times == 2
    assert len(evaluation.notes) == 4
    assert {row.variable for row in evaluation.rows} == {"msl", "v10"}
    assert rows(evaluation)["v10", "zssd"].scores.mae == pytest.approx(0, abs=1e-5)


def test_refusals(tmp_path, make_output, world) -> None:
    output = open_output(make_output(tmp_path / "out.nc", REGION))
    with pytest.raises(InputError, match="No common time"):
        evaluate_paired(output, world("globe", start=20), "era5")
    with pytest.raises(InputError, match="no overlap"):
        evaluate_paired(output, world("100,120,0,20"), "era5")
    with pytest.raises(InputError, match="expected one of"):
        evaluate_paired(output, world("globe", variables=("z500",)), "era5")
    with pytest.raises(ConfigError, match="multiple of"):
        evaluate_paired(output, world("globe"), "era5", scale=7)
    with pytest.raises(ConfigError, match="no z250"):
        choose_variables(output, ("msl", "z250"))
    nothing = world("globe")
    nothing.read = lambda start, stop: np.full((1, 3, 721, 1440), np.nan, dtype=np.float32)
    with pytest.raises(InputError, match="no cell"):
        evaluate_paired(output, nothing, "era5")
    nothing.grid = None
    with pytest.raises(InputError, match="another kind of grid"):
        evaluate_paired(output, nothing, "era5")


def test_free_running_models_need_a_voucher(tmp_path, make_output) -> None:
    output = open_output(make_output(tmp_path / "out.nc", REGION, zssd_source_id="MIROC6"))
    with pytest.raises(InputError, match=r"MIROC6.*--paired"):
        check_paired(output, paired=False)
    check_paired(output, paired=True)
    check_paired(open_output(make_output(tmp_path / "b.nc", REGION)), paired=False)


def test_missing_cells_are_left_out_for_every_method(tmp_path, make_output, world) -> None:
    output = open_output(make_output(tmp_path / "out.nc", REGION))
    holed, whole = world(REGION), world(REGION)

    def read(start: int, stop: int) -> np.ndarray:
        block = whole.read(start, stop)
        block[..., 20, 20] = np.nan
        return block

    holed.read = read
    evaluation = evaluate_paired(output, holed, "era5")
    (note,) = [note for note in evaluation.notes if note.startswith("Scored where all have values")]
    share = float(note.partition("msl ")[2].partition("%")[0])
    # the missing cell spoils its block, and that the bicubic interpolation for ten degrees around
    assert 45 < share < 55
    assert not any("Scored where" in note for note in evaluate_paired(output, whole, "era5").notes)
    table = rows(evaluation)
    assert table["msl", "zssd"].scores.mae == pytest.approx(0, abs=0.1)
    assert math.isfinite(table["msl", "bilinear"].scores.mae)
    assert math.isfinite(table["msl", "bilinear"].lsd)


def test_table_and_json(tmp_path, make_output, world) -> None:
    output = open_output(make_output(tmp_path / "out.nc", REGION))
    evaluation = evaluate_paired(output, world("globe"), "era5")
    console = Console(width=80, record=True, file=(tmp_path / "x").open("w"))
    console.print(as_table(evaluation))
    text = console.export_text()
    for word in ("Paired", "3 times, 2 members", "msl [Pa]", "u10* [m s-1]", "conservative", "spread/", "LSD", "CRPS"):
        assert word in text
    text += legend(shown_columns(evaluation))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    report = json.loads(json.dumps(as_dict(evaluation, command=["zssd"]), allow_nan=False))
    assert report["kind"] == "paired"
    assert len(report["scores"]) == len(evaluation.rows)
    first = report["scores"][0]
    assert {"mae", "rmse", "bias", "p99_error", "crps", "spread_skill", "lsd_db", "power_1_2_degree_db"} <= set(first)
    assert report["scores"][1]["spread_skill"] is None
    assert set(report["spectra"][0]["power"]) == {"reference", "zssd", "conservative", "bilinear", "bicubic"}


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.5, "1234"), (12.34, "12.3"), (-0.123, "-0.12"), (0.0123, "0.012"), (3.2e5, "3e+05"), (float("nan"), "-")],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


def test_every_column_is_explained_in_a_line(tmp_path, make_output, world) -> None:
    evaluation = evaluate_paired(open_output(make_output(tmp_path / "out.nc", REGION)), world("globe"), "era5")
    columns = shown_columns(evaluation)
    assert [c.one_line for c in columns] == [
        "CRPS", "gain", "MAE", "bias", "P99 error", "spread/ skill", "LSD dB", "resolution",
    ]  # fmt: skip
    assert len(legend(columns).splitlines()) == len(columns)


def test_csv_and_markdown(tmp_path, make_output, world) -> None:
    output = open_output(make_output(tmp_path / "out.nc", REGION, shifts=(-1.0, 3.0)))
    evaluation = evaluate_paired(output, world("globe"), "era5")
    table = list(csv.DictReader(io.StringIO(as_csv(evaluation))))
    assert len(table) == len(evaluation.records) > 200
    bias = [r for r in table if (r["variable"], r["system"], r["score"], r["group"]) == ("u10", "zssd", "bias", "all")]
    assert [float(row["value"]) for row in bias] == [pytest.approx(1, rel=1e-3)]
    assert bias[0]["units"] == "m s-1"
    text = as_markdown(evaluation)
    assert text.startswith("## Paired scores: 3 times, 2 members")
    assert "| msl [Pa] | zssd |" in text
    assert "v10 (inferred) [m s-1]" in text
