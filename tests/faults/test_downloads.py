"""Servers that send without end, drip, redirect elsewhere or speak http from afar."""

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from zssd_cli.errors import WeightsError
from zssd_cli.prior import fetching

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@contextmanager
def server(answer):
    """A server whose every request is answered by a function of the handler."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            try:
                answer(self)
            except OSError:
                return

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://user:s3cret@127.0.0.1:{http.server_port}/x"
        finally:
            http.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "ZSSD_ALLOW_HTTP"):
        monkeypatch.delenv(proxy, raising=False)


def refused(tmp_path, url):
    with pytest.raises(WeightsError) as caught:
        fetching.download("tiny", "tiny.safetensors", "0" * 64, 1000, url, tmp_path / "cache", 0)
    text = str(caught.value)
    assert "s3cret" not in text
    assert "\n" not in text
    assert "\x1b" not in text
    assert not (tmp_path / "cache").exists() or list((tmp_path / "cache").iterdir()) == []
    return text


def test_a_server_without_end(tmp_path):
    sent = []

    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        while len(sent) < 10_000:
            handler.wfile.write(b"x" * 10_000)
            sent.append(1)

    with server(endless) as url:
        assert "sends more than the 1000 bytes" in refused(tmp_path, url)
    assert len(sent) < 2000


def test_a_server_that_drips(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "LEAST", 0.5)

    def drip(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.05)

    with server(drip) as url:
        assert "bytes came within" in refused(tmp_path, url)


def test_a_redirection_to_another_scheme(tmp_path):
    def redirect(handler):
        handler.send_response(302)
        handler.send_header("Location", "ftp://elsewhere/x")
        handler.end_headers()

    with server(redirect) as url:
        assert "redirects from http to another scheme, 'ftp'" in refused(tmp_path, url)


def test_a_reason_with_escape_sequences(tmp_path):
    with server(lambda handler: handler.send_error(404, "no\x1b[31m")) as url:
        assert "404" in refused(tmp_path, url)


@pytest.mark.parametrize("url", ["http://example.org/x", "ftp://example.org", "file:///etc", "nothing", "http://[x"])
def test_addresses_that_are_not_asked(tmp_path, url):
    assert "expected an address that begins with https://" in refused(tmp_path, url)


def test_http_from_afar_where_it_is_meant(monkeypatch):
    monkeypatch.setenv("ZSSD_ALLOW_HTTP", "1")
    fetching.check_address("http://example.org/", "X")
