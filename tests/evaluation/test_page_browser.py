"""The page in a real browser, where one is installed: maps flip by button and key, the line moves, the console stays empty.

Where ``AXE_CORE`` names axe.min.js of the npm package axe-core, the page is looked at by it, too:
``npm install --prefix /tmp/axe axe-core`` and ``AXE_CORE=/tmp/axe/node_modules/axe-core/axe.min.js``.
"""

import html
import json
import os
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
LOOK = """
axe.run(document).then((result) => {
  const out = document.createElement("pre");
  out.textContent = "AXE " + JSON.stringify({
    rules: result.passes.length, violations: result.violations.map((one) => [one.id, one.nodes.map((node) => node.target)]),
  });
  document.body.append(out);
});
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    output = write_output(folder / "out.nc", "-30,0,30,50")
    path = folder / "report.html"
    path.write_text(page(evaluate_paired(open_output(output), World("globe"), "era5"), scenes(output, None)))
    return path


def scripted(report: Path, name: str, *scripts: str) -> Path:
    """The page with scripts of the test at its end, which its own policy forbids."""
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report.read_text())
    ending = "".join("<script>" + script.replace("</script>", r"<\/script>") + "</script>" for script in scripts)
    path = report.with_name(name)
    path.write_text(text.replace("</body>", ending + "</body>"))
    return path


def browse(path: Path, *options: str) -> subprocess.CompletedProcess:
    command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={path.parent / 'profile'}"]
    command += ["--virtual-time-budget=5000", "--enable-logging=stderr", "--dump-dom", *options, path.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_no_word_on_the_console(report) -> None:
    done = browse(report)
    assert "Provenance" in done.stdout
    assert "CONSOLE" not in done.stderr


def test_maps_flip(report) -> None:
    driven = scripted(report, "driven.html", DRIVE)
    (said,) = re.findall(r"<p>DRIVEN (.*?)</p>", browse(driven).stdout)
    expected = "shown true, button true, time true, key true, back true, clip inset(0px 80% 0px 0px), alt true"
    assert said == expected


@pytest.mark.skipif("AXE_CORE" not in os.environ, reason="AXE_CORE names no axe.min.js")
@pytest.mark.parametrize(
    "option", ["--window-size=1400,900", "--window-size=500,800", "--blink-settings=preferredColorScheme=0"]
)
def test_axe_finds_nothing(report, option) -> None:
    """Wide, narrow and dark."""
    path = scripted(report, "axe.html", Path(os.environ["AXE_CORE"]).read_text(), LOOK)
    (found,) = re.findall(r"<pre>AXE (.*?)</pre>", browse(path, option).stdout, re.DOTALL)
    result = json.loads(html.unescape(found))
    assert result["violations"] == []
    assert result["rules"] > 20
