"""The page in a real browser, where one is installed: maps flip by button and key, the line moves, the console stays empty."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.evaluation.conftest import World, write_output
from zssd_cli.evaluation.alignment import open_output
from zssd_cli.evaluation.report import evaluate_paired
from zssd_cli.page.building import page
from zssd_cli.page.scenes import scenes

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no browser here")
DRIVE = """
window.addEventListener("load", () => {
  const get = (id) => document.getElementById(id), said = [];
  const flips = (element, what) => { const before = get(element).value; what(); return get(element).value !== before; };
  const press = (key) => get("swap").dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  said.push("shown " + !get("viewer").hidden);
  said.push("button " + flips("left", () => get("next-left").click()));
  said.push("time " + flips("time", () => get("next-time").click()));
  said.push("key " + flips("right", () => press("r")));
  said.push("back " + !flips("time", () => { press("t"); press("T"); }));
  get("divide").value = 20; get("divide").dispatchEvent(new Event("input"));
  said.push("clip " + get("over").style.clipPath);
  said.push("alt " + /[0-9]/.test(get("over").alt));
  const out = document.createElement("p"); out.textContent = "DRIVEN " + said.join(", "); document.body.append(out);
});
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    output = write_output(folder / "out.nc", "-30,0,30,50")
    path = folder / "report.html"
    path.write_text(page(evaluate_paired(open_output(output), World("globe"), "era5"), scenes(output, None)))
    return path


def browse(path: Path) -> subprocess.CompletedProcess:
    command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={path.parent / 'profile'}"]
    command += ["--virtual-time-budget=5000", "--enable-logging=stderr", "--dump-dom", path.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_no_word_on_the_console(report) -> None:
    done = browse(report)
    assert "Provenance" in done.stdout
    assert "CONSOLE" not in done.stderr


def test_maps_flip(report) -> None:
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report.read_text())
    driven = report.with_name("driven.html")
    driven.write_text(text.replace("</body>", f"<script>{DRIVE}</script></body>"))
    (said,) = re.findall(r"<p>DRIVEN (.*?)</p>", browse(driven).stdout)
    expected = "shown true, button true, time true, key true, back true, clip inset(0px 80% 0px 0px), alt true"
    assert said == expected
