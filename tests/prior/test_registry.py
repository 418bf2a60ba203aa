"""Priors by name: found, fetched and verified, or refused with one line that says why."""

import hashlib
import io
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import save_file
from typer.testing import CliRunner

import zssd_cli
from zssd_cli.commands.shared import folded
from zssd_cli.commands.weights import app
from zssd_cli.errors import WeightsError
from zssd_cli.prior import registry

CONTENT = b"a tiny prior"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = hashlib.sha256(b"another").hexdigest()
ROW = """
[{name}]
file = "{name}.safetensors"
sha256 = "{sha256}"
size = {size}
variables = ["msl", "u10"]
card = "{name}.md"
description = "tiny"
default = {default}
"""


def row(name="tiny", sha256=SHA256, default="true"):
    return ROW.format(name=name, sha256=sha256, size=len(CONTENT), default=default)


@pytest.fixture(autouse=True)
def shipped(tmp_path, monkeypatch):
    """An empty shipped folder with a registry of two priors, an empty cache and no address."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "registry.toml").write_text(row() + row("small", OTHER, "false"))
    monkeypatch.setattr(registry, "shipped_folder", lambda: folder)
    monkeypatch.setattr(registry, "RETRIES", 0)
    monkeypatch.setenv("ZSSD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ZSSD_WEIGHTS_URL", raising=False)
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    return folder


@pytest.fixture
def cached(tmp_path):
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache" / "tiny.safetensors"


@contextmanager
def server(content, failures=0):
    """Serve ``content`` under every address, after some failures; yields the address and the requests seen."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.path, self.headers["User-Agent"]))
            if content is None or len(seen) <= failures:
                self.send_error(404 if content is None else 503)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}/priors", seen
        finally:
            http.shutdown()
            thread.join()


def test_the_real_registry_is_whole(monkeypatch):
    monkeypatch.undo()
    assert registry.default_name() in registry.entries()
    for entry in registry.entries().values():
        path = registry.shipped_folder() / entry.file
        if path.is_file():
            assert (registry.sha256_of(path), path.stat().st_size) == (entry.sha256, entry.size)
            assert (registry.shipped_folder() / entry.card).is_file()


@pytest.mark.parametrize("asked", [None, "tiny"])
def test_shipped_file_is_found_and_verified(shipped, asked):
    (shipped / "tiny.safetensors").write_bytes(CONTENT)
    assert registry.locate(asked, offline=True) == (shipped / "tiny.safetensors", SHA256)


def test_shipped_comes_before_cached(shipped, cached):
    cached.write_bytes(CONTENT)
    assert registry.locate("tiny")[0] == cached
    (shipped / "tiny.safetensors").write_bytes(CONTENT)
    assert registry.locate("tiny")[0] == shipped / "tiny.safetensors"


def test_damaged_shipped_file_names_hashes_and_remedy(shipped):
    (shipped / "tiny.safetensors").write_bytes(b"cut off")
    got = hashlib.sha256(b"cut off").hexdigest()
    with pytest.raises(WeightsError, match=f"expected sha256 {SHA256}, got {got}. Restore it"):
        registry.locate("tiny")


def test_damaged_cached_file_without_network_says_what_to_do(cached):
    cached.write_bytes(b"cut off")
    with pytest.raises(WeightsError, match=f"{cached} is damaged.*Delete it.*zssd weights fetch tiny"):
        registry.locate("tiny")


@pytest.mark.parametrize(("offline", "reason"), [(False, "ZSSD_WEIGHTS_URL is not set"), (True, "--offline forbids")])
def test_missing_prior_says_where_it_was_looked_for(offline, reason):
    with pytest.raises(WeightsError, match=f"tiny.safetensors.*{reason}.*--weights"):
        registry.locate("tiny", offline=offline)


def test_offline_never_asks_the_server(monkeypatch):
    monkeypatch.setenv("ZSSD_WEIGHTS_URL", "http://127.0.0.1:9/")
    with pytest.raises(WeightsError, match="--offline forbids a download"):
        registry.locate("tiny", offline=True)


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize("before", [None, b"cut off"])
def test_download_goes_to_the_cache_and_mends_a_damaged_file(monkeypatch, cached, before):
    if before:
        cached.write_bytes(before)
    with server(CONTENT) as (url, seen):
        monkeypatch.setenv("ZSSD_WEIGHTS_URL", url)
        assert registry.locate("tiny") == (cached, SHA256)
        assert registry.locate("tiny") == (cached, SHA256)
    assert cached.read_bytes() == CONTENT
    assert seen == [("/priors/tiny.safetensors", f"zssd/{zssd_cli.__version__}")]


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_download_is_tried_again(monkeypatch, cached):
    monkeypatch.setattr(registry, "RETRIES", 1)
    with server(CONTENT, failures=1) as (url, seen):
        monkeypatch.setenv("ZSSD_WEIGHTS_URL", url)
        assert registry.locate("tiny")[0] == cached
    assert len(seen) == 2


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize(("content", "reason"), [(b"something else", f"{SHA256}.*but got"), (None, "404")])
def test_bad_download_leaves_nothing(monkeypatch, tmp_path, content, reason):
    with server(content) as (url, _):
        monkeypatch.setenv("ZSSD_WEIGHTS_URL", url)
        with pytest.raises(WeightsError, match=reason) as caught:
            registry.locate("tiny")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize(
    ("url", "reason"), [("http://127.0.0.1:9", "Connection refused"), ("gopher://127.0.0.1", "gopher")]
)
def test_address_that_does_not_answer(monkeypatch, url, reason):
    monkeypatch.setenv("ZSSD_WEIGHTS_URL", url)
    with pytest.raises(WeightsError, match=f"ZSSD_WEIGHTS_URL={url}.*{reason}"):
        registry.locate("tiny")


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_cache_that_cannot_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZSSD_CACHE", str(tmp_path / "file" / "cache"))
    with server(CONTENT) as (url, seen):
        monkeypatch.setenv("ZSSD_WEIGHTS_URL", url)
        with pytest.raises(WeightsError, match="cannot be written.*ZSSD_CACHE"):
            registry.locate("tiny")
    assert seen == []


def test_path_is_hashed_but_not_compared(tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(b"mine")
    assert registry.locate(str(path)) == (path, hashlib.sha256(b"mine").hexdigest())


@pytest.mark.parametrize("name", ["prior.pt", "prior.ckpt", "prior.PTH", "prior.pkl"])
def test_pickles_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x80\x04")
    with pytest.raises(WeightsError, match="could run code"):
        registry.locate(str(tmp_path / name))


def test_other_paths_are_refused(tmp_path):
    (tmp_path / "prior.nc").write_bytes(b"CDF")
    with pytest.raises(WeightsError, match=r"expected a \.safetensors file, got a file named prior\.nc"):
        registry.locate(str(tmp_path / "prior.nc"))
    with pytest.raises(WeightsError, match="got a folder"):
        registry.locate(str(tmp_path))
    with pytest.raises(WeightsError, match="got nothing there. Did you mean tiny"):
        registry.locate("tinny.safetensors")


def test_unknown_name_lists_the_known_and_the_nearest():
    with pytest.raises(WeightsError, match="Unknown prior 'tinny': expected tiny or small, .*Did you mean tiny"):
        registry.locate("tinny")
    with pytest.raises(WeightsError, match="expected tiny or small") as caught:
        registry.entry("zzzzzz")
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[tiny\n", "cannot be read"),
        ("", "at least one prior"),
        ("tiny = 3", "cannot be read"),
        (row(sha256="abc"), "sha256"),
        (row().replace("tiny.safetensors", "../tiny.safetensors"), "file"),
        (row().replace("tiny.safetensors", "tiny.pt"), "file"),
        (row().replace('["msl", "u10"]', "[]"), "variables"),
        (row() + "extra = 1\n", "extra"),
        (row().replace("default = true", 'default = "yes"'), "default"),
    ],
)
def test_damaged_registry_is_one_line(shipped, text, reason):
    (shipped / "registry.toml").write_text(text)
    with pytest.raises(WeightsError, match=reason) as caught:
        registry.entries()
    assert str(shipped / "registry.toml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_registry(shipped):
    (shipped / "registry.toml").unlink()
    with pytest.raises(WeightsError, match="install zssd again"):
        registry.locate("tiny")


@pytest.mark.parametrize("text", [row(default="false"), row() + row("small")])
def test_there_is_one_default(shipped, text):
    (shipped / "registry.toml").write_text(text)
    with pytest.raises(WeightsError, match="expected one default prior"):
        registry.locate(None)


def test_row_of_a_new_prior_can_be_pasted(shipped):
    path = shipped / "fresh.safetensors"
    save_file({"a": np.zeros(2, np.float32)}, path, {"header": '{"variables": ["msl", "v10"]}'})
    (shipped / "registry.toml").write_text(row() + "\n" + registry.row_of(path))
    assert registry.entry("fresh").variables == ("msl", "v10")
    assert registry.locate("fresh")[0] == path


def test_row_of_something_else(shipped):
    save_file({"a": np.zeros(2, np.float32)}, shipped / "bare.safetensors")
    (shipped / "text.safetensors").write_bytes(b"text")
    for name in ("bare", "text"):
        with pytest.raises(WeightsError, match="expected a prior with its settings"):
            registry.row_of(shipped / f"{name}.safetensors")


def test_list_says_where_files_are(shipped, cached):
    assert "not here" in CliRunner().invoke(app, ["list"]).output
    cached.write_bytes(CONTENT)
    assert "cache" in CliRunner().invoke(app, ["list"]).output
    (shipped / "tiny.safetensors").write_bytes(CONTENT)
    output = CliRunner().invoke(app, ["list"]).output
    assert "shipped" in output
    assert "msl,u10" in output


def test_show_renders_the_card(shipped):
    (shipped / "tiny.md").write_text("# Tiny\n\nKnows *nothing*.\n")
    output = CliRunner().invoke(app, ["show", "tiny"]).output
    assert "Knows nothing." in output
    assert SHA256 in output
    assert isinstance(CliRunner().invoke(app, ["show", "small"]).exception, WeightsError)


def test_fetch_says_where_the_file_is(shipped):
    (shipped / "tiny.safetensors").write_bytes(CONTENT)
    assert CliRunner().invoke(app, ["fetch", "tiny"]).output.strip() == str(shipped / "tiny.safetensors")
    assert isinstance(CliRunner().invoke(app, ["fetch", "small"]).exception, WeightsError)


def test_verify(shipped):
    (shipped / "tiny.safetensors").write_bytes(CONTENT)
    result = CliRunner().invoke(app, ["verify"])
    assert result.exit_code == 0
    assert "tiny: ok" in result.output
    assert "small: not on this machine" in result.output
    assert CliRunner().invoke(app, ["verify", "small"]).exit_code == 1
    (shipped / "small.safetensors").write_bytes(b"cut off")
    result = CliRunner().invoke(app, ["verify"])
    assert result.exit_code == 1
    assert "small: DAMAGED" in result.output


def test_the_card_travels_with_the_weights(tmp_path):
    from tests.prior.test_checkpoint import make_prior
    from zssd_cli.prior.checkpoint import load_prior, save_prior

    path, card = tmp_path / "new.safetensors", tmp_path / "new.md"
    save_prior(path, make_prior(training={"steps": 3}))
    before = load_prior(path)
    card.write_text("# New prior\n\nLicence: CC-BY-4.0. Skill: bad.\n")
    row = registry._main([str(path), "new", "--card", str(card)])
    assert registry.sha256_of(path) in row
    after = load_prior(path)
    assert after.header == before.header
    assert bool((after.lags == before.lags).all())
    text = registry.described(path)
    for words in ("# New prior", "Licence: CC-BY-4.0", "msl: mean 101000", "steps: 3", "ab" * 32, "channels"):
        assert words in text
    shown = CliRunner().invoke(app, ["show", str(path)])
    assert shown.exit_code == 0
    assert "New prior" in shown.output
    assert registry.sha256_of(path) in shown.output.replace("\n", "")


def test_no_number_of_a_card_is_cut_in_a_narrow_terminal():
    """Cells are folded over lines, so digits are counted instead of numbers."""
    card = (Path(__file__).parents[2] / "weights" / "analyses-msl-u10-v10.md").read_text(encoding="utf-8")
    console = Console(width=80, file=io.StringIO())
    console.print(folded(card))
    shown = console.file.getvalue()
    assert "\u2026" not in shown
    table = "".join(line for line in card.splitlines() if line.startswith("|"))
    assert table.count("0") > 10
    assert all(shown.count(digit) >= table.count(digit) for digit in "0123456789")


def test_the_header_of_a_latent_prior_is_shown():
    text = registry.described(Path(__file__).parents[2] / "weights" / "darcy-grf.safetensors")
    for words in ("## In the header of darcy-grf.safetensors", "log_conductivity", "kind: grf", "chain_steps"):
        assert words in text


def test_a_card_that_cannot_be_read(tmp_path):
    with pytest.raises(WeightsError, match=r"--card .*no\.md cannot be read"):
        registry.embed_card(tmp_path / "p.safetensors", tmp_path / "no.md")


def test_a_prior_of_the_other_kind_is_refused_with_those_that_fit(shipped):
    (shipped / "registry.toml").write_text(row() + row("wells", default="false") + 'kind = "conductivity"\n')
    for name in ("tiny", "wells"):
        (shipped / f"{name}.safetensors").write_bytes(CONTENT)
    assert registry.locate("wells", kind="conductivity")[1] == SHA256
    assert registry.locate("wells", kind=None)[1] == SHA256
    with pytest.raises(WeightsError, match=r"wells is one for zssd invert: expected one of kind downscaling \(tiny\)"):
        registry.locate("wells")
    with pytest.raises(
        WeightsError, match=r"tiny is one for zssd downscale: expected one of kind conductivity \(wells\)"
    ):
        registry.locate("tiny", kind="conductivity")


def test_a_file_has_no_registered_hash_to_verify():
    with pytest.raises(WeightsError, match=r"mine\.safetensors is no registered prior and has no hash to compare with"):
        registry.entry("mine.safetensors")
