"""Downloads: what keeps a file away is named, from servers on 127.0.0.1; nothing else is asked."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sparse_autoencoder import archives
from sparse_autoencoder.downloads import NotDownloaded, download
from sparse_autoencoder.images import load_images

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "curl_ca_bundle")
VARIABLES += ("requests_ca_bundle", "ssl_cert_file", "ssl_cert_dir")
PAGE = b"<!DOCTYPE html><html>Welcome to our guests' network. Please log in.</html>"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextlib.contextmanager
def serving(get, context=None):
    """A server on 127.0.0.1 that knows GET alone; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        do_GET = do_CONNECT = get

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"{'https' if context else 'http'}://localhost:{server.server_port}/mnist.npz"
        server.shutdown()


def send(content, status=200, **headers):
    def get(handler):
        handler.send_response(status)
        for name, value in ({"Content-Length": len(content)} | headers).items():
            handler.send_header(name, str(value))
        handler.end_headers()
        handler.wfile.write(content)

    return get


def told(url, seconds=5):
    """What happened, and what to do."""
    with pytest.raises(NotDownloaded) as failed:
        download(url, seconds, 5)
    assert "\n" not in str(failed.value)
    return str(failed.value), failed.value.advice


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate of localhost; its file has the key, too."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("certificate")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    command += " -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def secure(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with serving(send(b"images"), context) as url:
        yield url


def test_head_is_not_asked_for():
    with serving(send(b"images")) as url:  # which refuses HEAD
        assert download(url, 5, 5) == b"images"


def test_a_certificate_that_is_not_trusted(secure, certificate, monkeypatch, tmp_path):
    what, advice = told(secure)
    assert what == "its certificate is not trusted (self-signed certificate)" or "self" in what
    assert advice.startswith("A filter or a virus scanner") and "set REQUESTS_CA_BUNDLE" in advice
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "cert.pem"))
    assert download(secure, 5, 5) == b"images"  # the advice is right


@pytest.mark.parametrize("content", [None, "", "no certificate"])
@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_wrong_bundle_of_certificates(secure, monkeypatch, tmp_path, name, content):
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv(name, str(bundle))
    what, advice = told(secure)
    assert what == f"{name} names {bundle}, which is no file of certificates"
    assert advice == f"Correct the environment variable {name} or unset it"


def test_ssl_cert_file_is_no_hindrance(certificate, monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "not there"))
    with serving(send(b"images")) as url:
        assert download(url, 5, 5) == b"images"


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize(
    "proxy", ["http://127.0.0.1:1", "http://me:secret@127.0.0.1:1", "http://:8080", "http://a:b:c"]
)
def test_a_proxy_that_does_not_work(monkeypatch, name, proxy):
    monkeypatch.setenv(name, proxy)
    scheme = "https" if name == "HTTPS_PROXY" else "http"
    what, advice = told(f"{scheme}://example.invalid/mnist.npz")
    assert what.startswith(f"the proxy {proxy.rpartition('@')[2]} does not work (")
    assert "secret" not in what
    assert advice == f"Correct {name} or, where no proxy is needed, unset it"
    if proxy.endswith(":1"):
        assert "(Connection refused)" in what


def test_a_proxy_that_wants_a_password(monkeypatch):
    with serving(send(b"", 407)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.removesuffix("/mnist.npz"))
        what, _ = told("https://example.invalid/mnist.npz")
        assert "does not work (Tunnel connection failed: 407 " in what
        monkeypatch.setenv("HTTP_PROXY", proxy.removesuffix("/mnist.npz"))
        what, advice = told("http://example.invalid/mnist.npz")
    assert "407" in what and "password" in advice


@pytest.mark.parametrize(
    ("status", "advised"), [(404, "Try again later"), (403, "another network"), (511, "log in")]
)
def test_a_refusal(status, advised):
    with serving(send(b"", status)) as url:
        what, advice = told(url)
    assert what.startswith(f"it answered {status} ") and advised in advice


def test_a_redirection_in_circles():
    with serving(send(b"", 302, Location="/mnist.npz")) as url:
        assert told(url)[0] == "it is redirected in circles"


def test_a_download_that_breaks_off():
    with serving(send(b"half", **{"Content-Length": 8})) as url:
        assert told(url) == ("the download broke off", "Try again")


def test_no_network(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    name = told("https://example.invalid/mnist.npz")
    assert name == ("no connection (its name could not be looked up)", "Connect to the internet")
    monkeypatch.undo()
    assert told("http://127.0.0.1:1/a")[0] == "no connection (Connection refused)"


def unknown(*args, **kwargs):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_silence_and_a_name_that_is_looked_up_for_ever(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        what, _ = told(f"http://127.0.0.1:{silent.getsockname()[1]}/a", seconds=0.3)
        assert what == "no connection (it did not answer in 0.3 seconds)"
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: released.wait(60))
    try:
        what, advice = told("http://example.invalid/a", seconds=0.3)
    finally:
        released.set()
    assert what == "no connection (its name could not be looked up in 0.3 seconds)"
    assert advice == "Connect to the internet"


def test_a_login_page_is_named_and_every_advice_is_given_once(monkeypatch, tmp_path):
    with serving(send(PAGE)) as url:
        urls = (url, url, "http://127.0.0.1:1/mnist.npz")
        archive = archives.Archive("MNIST", urls, archives.ARCHIVES["mnist"].sha256)
        monkeypatch.setitem(archives.ARCHIVES, "mnist", archive)
        with pytest.raises(ConnectionError) as failed:
            load_images("mnist", tmp_path)
    first, second = str(failed.value).split("\n")
    assert "a web page, not a whole archive of MNIST; " in first
    assert second.startswith(
        "If you have to log in to the network, do so in a browser. Connect to the internet, and "
        "run this again, or put mnist.npz "
    )
