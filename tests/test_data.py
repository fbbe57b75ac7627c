"""The data loading: every test serves its files from 127.0.0.1, none uses the network."""

import gzip
import hashlib
import io
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import image_data

KERAS, ORIGINAL = "/keras/mnist.npz", "/original/"  # the two hosts that the tests play
PROXY_PAGE = b"<html><body>Please log in to use the network.</body></html>"


def random_arrays(seed=0):
    """A stand-in for MNIST: 50 training and 10 test images."""
    rng = np.random.default_rng(seed)
    return {
        "x_train": rng.integers(0, 256, (50, 28, 28), np.uint8),
        "y_train": rng.integers(0, 10, 50, np.uint8),
        "x_test": rng.integers(0, 256, (10, 28, 28), np.uint8),
        "y_test": rng.integers(0, 10, 10, np.uint8),
    }


def npz(arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def gzip_files(arrays):
    """The four files of the original distribution, by name."""
    return {
        image_data._GZIP_FILES[key]: gzip.compress(
            struct.pack(f">HBB{a.ndim}I", 0, 8, a.ndim, *a.shape) + a.tobytes()
        )
        for key, a in arrays.items()
    }


def write_files(folder, files):
    for name, content in files.items():
        (folder / name).write_bytes(content)


def same(data, arrays):
    """Whether data holds these arrays, split and scaled as promised."""
    x, y = arrays["x_train"].reshape(-1, 784), arrays["y_train"]
    expected = {
        "x_train": x[:40] / 255,
        "y_train": y[:40],
        "x_validation": x[40:] / 255,
        "y_validation": y[40:],
        "x_test": arrays["x_test"].reshape(-1, 784) / 255,
        "y_test": arrays["y_test"],
    }
    return all(np.allclose(getattr(data, key), e, atol=1e-7) for key, e in expected.items())


ARRAYS = random_arrays()
GOOD = npz(ARRAYS)


def changed(**arrays):
    """The stand-in's npz file with other arrays in it; None leaves one out."""
    return npz({key: a for key, a in {**ARRAYS, **arrays}.items() if a is not None})


@pytest.fixture(autouse=True)
def no_outside_network(monkeypatch):
    """Refuse every host but this machine, and fail the test that asked for one."""
    look_up, outside = socket.getaddrinfo, []

    def local_only(host, *args, **kwargs):
        if host not in ("127.0.0.1", "localhost"):
            outside.append(host)
            raise socket.gaierror(f"the tests must not look up {host}")
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", local_only)
    monkeypatch.setenv("NO_PROXY", "*")
    yield
    assert outside == []


@pytest.fixture
def pages(monkeypatch):
    """Both hosts of MNIST and of Fashion-MNIST: {path: bytes, or a function of the handler}."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.end_headers()

        def do_GET(self):
            page = pages.get(self.path)
            if callable(page):
                page(self)
            elif page is None:
                self.send_error(404)
            else:
                send(self, page)

        def log_message(self, *args):
            pass

    pages = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    sha256 = {key: hashlib.sha256(a.tobytes()).hexdigest() for key, a in ARRAYS.items()}
    for name, urls in (
        ("_MNIST", (base + KERAS, base + ORIGINAL)),
        ("_FASHION_MNIST", (base + "/fashion/", base + "/fashion-again/")),
    ):
        archive = replace(getattr(image_data, name), urls=urls, sha256=sha256)
        monkeypatch.setattr(image_data, name, archive)
    yield pages
    server.shutdown()
    server.server_close()


def send(handler, content, length=None):
    handler.send_response(200)
    handler.send_header("Content-Length", str(length or len(content)))
    handler.end_headers()
    handler.wfile.write(content)
    handler.wfile.flush()


@pytest.fixture
def offline(monkeypatch):
    """No host answers: connections to a port that nobody listens on are refused."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sha256 = {key: hashlib.sha256(a.tobytes()).hexdigest() for key, a in ARRAYS.items()}
    for name in ("_MNIST", "_FASHION_MNIST"):
        urls = (f"http://127.0.0.1:{port}/mnist.npz", f"http://localhost:{port}/mnist/")
        archive = replace(getattr(image_data, name), urls=urls, sha256=sha256)
        monkeypatch.setattr(image_data, name, archive)


def names(folder):
    return sorted(os.listdir(folder))


# ---------------------------------------------------------------------- what is returned


@pytest.mark.skipif(
    not (image_data._DATA_FOLDER / "mnist.npz").exists(),
    reason="data/mnist.npz is not there: load_mnist() downloads it.",
)
def test_the_real_file_is_mnist(capsys):
    data = image_data.load_mnist("mnist")
    assert (data.name, data.image_shape) == ("MNIST", (28, 28))
    assert data.x_train.shape == (50_000, 784)
    assert data.x_validation.shape == data.x_test.shape == (10_000, 784)
    assert data.y_train[:5].tolist() == [5, 0, 4, 1, 9]
    assert np.bincount(data.y_test).min() > 800
    assert capsys.readouterr() == ("", "")


def test_the_last_training_images_are_for_validation(offline, tmp_path):
    (tmp_path / "mnist.npz").write_bytes(GOOD)
    data = image_data.load_mnist("mnist", tmp_path)
    assert same(data, ARRAYS)
    assert (data.name, data.image_shape) == ("MNIST", (28, 28))
    for part in ("train", "validation", "test"):
        x, y = getattr(data, f"x_{part}"), getattr(data, f"y_{part}")
        assert x.dtype == np.float32 and y.dtype == np.int64
        assert x.min() == 0 and x.max() == 1
        assert x.shape == (len(y), 784)


def test_the_fields_cannot_be_replaced():
    data = image_data.load_mnist("digits")
    with pytest.raises(AttributeError):
        data.x_train = data.x_test


def test_digits_look_like_mnist_and_come_without_a_word(capsys, tmp_path):
    data = image_data.load_mnist("digits", tmp_path)
    parts = {part: getattr(data, f"x_{part}") for part in ("train", "validation", "test")}
    assert data.name == "digits"
    assert [x.shape for x in parts.values()] == [(1200, 784), (297, 784), (300, 784)]
    for part, x in parts.items():
        images = x.reshape(-1, 28, 28)
        assert x.dtype == np.float32 and x.min() == 0 and x.max() == 1
        border = np.ones((28, 28), bool)
        border[4:24, 4:24] = False
        assert not images[:, border].any()
        assert images[:, [4, 23], :].any() and images[:, 8:20, 4:24].any()
        counts = np.bincount(getattr(data, f"y_{part}"))
        assert len(counts) == 10 and counts.max() < 1.15 * counts.min()
    every = np.concatenate(list(parts.values()))
    assert len(np.unique(every, axis=0)) == 1797  # no image is in two parts
    assert (image_data.load_mnist("digits").x_train == data.x_train).all()
    assert capsys.readouterr() == ("", "") and names(tmp_path) == []


def test_an_unknown_source_is_refused_in_one_sentence():
    with pytest.raises(ValueError) as error:
        image_data.load_mnist("cifar")
    assert str(error.value) == 'source must be "mnist", "digits" or None, not \'cifar\'.'


def test_importing_helpers_is_quick_and_imports_nothing_heavy():
    code = (
        "import time; start = time.process_time(); import helpers, sys;"
        "print(time.process_time() - start);"
        "print([m for m in 'tensorflow keras sklearn scipy pooch requests tqdm pandas'.split()"
        " if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(image_data.__file__).parent)}
    seconds = []
    for _ in range(3):  # the best of three, and the processor's time: others may be at work too
        run = [sys.executable, "-c", code]
        out = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
        first, heavy = out.stdout.splitlines()
        seconds.append(float(first))
        assert heavy == "[]"
    assert min(seconds) < 0.5


# ---------------------------------------------------------------------- where it comes from


def test_download_is_kept_in_keras_layout_and_read_the_next_time(pages, tmp_path, capsys):
    pages[KERAS] = GOOD
    folder = tmp_path / "not" / "there" / "yet"
    assert same(image_data.load_mnist(directory=folder), ARRAYS)
    out, err = capsys.readouterr()
    assert "\rmnist.npz:   0%|" in out and "B/s]" in out  # the progress bar
    assert out.endswith(f"MNIST is now in {folder / 'mnist.npz'}.\n")
    assert err == ""
    assert names(folder) == ["mnist.npz"]
    with np.load(folder / "mnist.npz") as file:
        assert set(file) == set(ARRAYS)
        assert all((file[key] == a).all() for key, a in ARRAYS.items())
        assert file["x_train"].shape == (50, 28, 28)

    pages.clear()
    assert same(image_data.load_mnist("mnist", folder), ARRAYS)
    assert capsys.readouterr() == ("", "")


def test_downloads_without_a_length_are_fine(pages, tmp_path):
    def without_length(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(GOOD)

    pages[KERAS] = without_length
    assert same(image_data.load_mnist("mnist", tmp_path), ARRAYS)


def break_off(handler):
    send(handler, GOOD[: len(GOOD) // 2], length=len(GOOD))


def stand_still(handler):
    break_off(handler)
    time.sleep(5)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(None, id="not found"),
        pytest.param(PROXY_PAGE, id="a proxy's page"),
        pytest.param(GOOD[:-100], id="truncated"),
        pytest.param(npz(random_arrays(1)), id="another data set"),
        pytest.param(break_off, id="broken off"),
        pytest.param(stand_still, id="stands still"),
    ],
)
def test_the_second_host_helps_when_the_first_serves_something_else(
    pages, page, tmp_path, monkeypatch
):
    monkeypatch.setattr(image_data, "_SECONDS_OF_SILENCE", 0.3)
    pages[KERAS] = page
    pages.update({ORIGINAL + name: file for name, file in gzip_files(ARRAYS).items()})
    start = time.monotonic()
    assert same(image_data.load_mnist("mnist", tmp_path), ARRAYS)
    assert time.monotonic() - start < 4
    assert names(tmp_path) == ["mnist.npz"]


def test_the_second_host_helps_when_the_first_is_out_of_reach(pages, tmp_path, monkeypatch):
    urls = ("http://127.0.0.1:1/mnist.npz", image_data._MNIST.urls[1])
    monkeypatch.setattr(image_data, "_MNIST", replace(image_data._MNIST, urls=urls))
    pages.update({ORIGINAL + name: file for name, file in gzip_files(ARRAYS).items()})
    assert same(image_data.load_mnist("mnist", tmp_path), ARRAYS)


def test_gzip_files_put_there_by_hand_need_no_network(offline, tmp_path):
    files = gzip_files(ARRAYS)
    write_files(tmp_path, files)
    assert same(image_data.load_mnist(directory=tmp_path), ARRAYS)
    assert names(tmp_path) == sorted([*files, "mnist.npz"])
    with np.load(tmp_path / "mnist.npz") as file:
        assert {key: file[key].shape for key in file} == {k: a.shape for k, a in ARRAYS.items()}


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (dict(list(gzip_files(ARRAYS).items())[:3]), "no such file or directory"),
        (gzip_files(random_arrays(1)), "is not that of MNIST"),
        (dict.fromkeys(gzip_files(ARRAYS), PROXY_PAGE), "not a whole archive of MNIST"),
    ],
    ids=["one missing", "another data set", "proxy's pages"],
)
def test_wrong_gzip_files_are_left_alone_with_a_sentence(pages, tmp_path, capsys, files, reason):
    pages[KERAS] = GOOD
    write_files(tmp_path, files)
    assert same(image_data.load_mnist("mnist", tmp_path), ARRAYS)
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"The .gz files in {tmp_path} are not used for MNIST: ")
    assert reason in first
    assert {name: (tmp_path / name).read_bytes() for name in files} == files


def test_fashion_mnist_is_downloaded_and_kept_the_same_way(pages, tmp_path, capsys):
    pages.update({"/fashion-again/" + name: f for name, f in gzip_files(ARRAYS).items()})
    data = image_data.load_fashion_mnist(tmp_path)
    assert data.name == "Fashion-MNIST" and same(data, ARRAYS)
    assert names(tmp_path) == ["fashion_mnist.npz"]
    pages.clear()
    assert same(image_data.load_fashion_mnist(tmp_path), ARRAYS)


# ---------------------------------------------------------------------- without a network


def test_without_a_network_the_digits_stand_in_with_one_notice(offline, tmp_path, capsys):
    data = image_data.load_mnist(directory=tmp_path)
    out, err = capsys.readouterr()
    assert data.name == "digits" and err == ""
    assert out.count("could not be downloaded") == out.count("stand in") == 1
    for told in ("no connection", "1,200", "will differ", f"into {tmp_path} (data/README.md"):
        assert told in out
    assert names(tmp_path) == []


def test_without_a_network_mnist_asked_for_by_name_is_an_error(offline, tmp_path, capsys):
    with pytest.raises(ConnectionError, match=r"MNIST could not .*no connection[\s\S]*mnist\.npz"):
        image_data.load_mnist("mnist", tmp_path)
    with pytest.raises(ConnectionError, match=r"Fashion-MNIST could not .*[\s\S]*fashion_mnist\."):
        image_data.load_fashion_mnist(tmp_path)
    assert capsys.readouterr() == ("", "")


def test_the_notice_says_when_the_hosts_serve_something_else(pages, tmp_path, capsys):
    pages[KERAS] = PROXY_PAGE
    assert image_data.load_mnist(directory=tmp_path).name == "digits"
    out = capsys.readouterr().out
    assert "not a whole archive of MNIST; " in out and "HTTP status 404)" in out
    assert names(tmp_path) == []


def test_silent_hosts_are_not_waited_for(offline, tmp_path, monkeypatch):
    """One name look-up hangs, as behind some firewalls, and one host never answers."""
    look_up = socket.getaddrinfo

    def hanging(host, *args, **kwargs):
        if host == "localhost":
            time.sleep(3)
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    monkeypatch.setattr(image_data, "_SECONDS_TO_ANSWER", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        urls = (f"http://127.0.0.1:{silent.getsockname()[1]}/", "http://localhost:1/")
        monkeypatch.setattr(image_data, "_MNIST", replace(image_data._MNIST, urls=urls))
        import requests  # noqa: F401 (its import is not what is timed)

        start = time.monotonic()
        with pytest.raises(ConnectionError):
            image_data.load_mnist("mnist", tmp_path)
        assert 0.4 < time.monotonic() - start < 1.5


# ---------------------------------------------------------------------- files that are no good


one_pixel = ARRAYS["x_test"].copy()
one_pixel[3, 14, 14] ^= 1
DAMAGED = {
    "empty": (b"", "not a whole archive"),
    "truncated": (GOOD[: len(GOOD) // 2], "not a whole archive"),
    "a byte flipped": (GOOD[:5000] + bytes([GOOD[5000] ^ 1]) + GOOD[5001:], "not a whole"),
    "a proxy's page": (PROXY_PAGE, "not a whole archive"),
    "no labels": (changed(y_test=None), "not a whole archive"),
    "too few": (changed(x_train=ARRAYS["x_train"][:5]), "x_train, uint8 (5, 28, 28), is not that"),
    "floats": (changed(x_test=ARRAYS["x_test"] / 255), "x_test, float64 (10, 28, 28), is not"),
    "signed": (changed(x_test=ARRAYS["x_test"].view(np.int8)), "x_test, int8 (10, 28, 28), is not"),
    "one pixel": (changed(x_test=one_pixel), "checksum of x_test"),
    "pickled": (changed(y_test=np.array([None])), "not a whole archive"),
}


@pytest.mark.parametrize(("content", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_kept_aside_and_fetched_again(pages, tmp_path, capsys, content, reason):
    pages[KERAS] = GOOD
    (tmp_path / "mnist.npz").write_bytes(content)
    assert same(image_data.load_mnist("mnist", tmp_path), ARRAYS)
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"{tmp_path / 'mnist.npz'} cannot be used (") and reason in first
    assert first.endswith("it is kept as mnist.npz.damaged, and MNIST is looked for elsewhere.")
    assert (tmp_path / "mnist.npz.damaged").read_bytes() == content
    assert names(tmp_path) == ["mnist.npz", "mnist.npz.damaged"]
    assert same(image_data.load_mnist("mnist", tmp_path), ARRAYS)
    assert capsys.readouterr() == ("", "")


def test_a_file_kept_aside_is_never_overwritten(offline, tmp_path):
    for content in (b"first", b"second", b"third"):
        (tmp_path / "mnist.npz").write_bytes(content)
        assert image_data.load_mnist(directory=tmp_path).name == "digits"
    kept = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    assert kept == {
        "mnist.npz.damaged": b"first",
        "mnist.npz.damaged-2": b"second",
        "mnist.npz.damaged-3": b"third",
    }


def test_a_folder_in_the_place_of_the_file_is_kept_aside(pages, tmp_path):
    pages[KERAS] = GOOD
    (tmp_path / "mnist.npz").mkdir()
    assert same(image_data.load_mnist("mnist", tmp_path), ARRAYS)
    assert (tmp_path / "mnist.npz.damaged").is_dir()


# ---------------------------------------------------------------------- interrupted, or no room


def test_an_interrupted_download_leaves_nothing_behind(pages, tmp_path):
    def interrupt(handler):
        break_off(handler)
        os.kill(os.getpid(), signal.SIGINT)  # what the stop button of a notebook sends
        time.sleep(1)

    pages[KERAS] = interrupt
    with pytest.raises(KeyboardInterrupt):
        image_data.load_mnist(directory=tmp_path)
    assert names(tmp_path) == []
    pages[KERAS] = GOOD
    assert same(image_data.load_mnist("mnist", tmp_path), ARRAYS)


def test_interrupted_saving_leaves_nothing_behind(pages, tmp_path, monkeypatch):
    def interrupt(file, **arrays):
        file.write(b"half of it")
        raise KeyboardInterrupt

    pages[KERAS] = GOOD
    with monkeypatch.context() as patch:
        patch.setattr(np, "savez_compressed", interrupt)
        with pytest.raises(KeyboardInterrupt):
            image_data.load_mnist(directory=tmp_path)
    assert names(tmp_path) == []
    assert same(image_data.load_mnist("mnist", tmp_path), ARRAYS)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full, a full disk, is not there.")
def test_a_full_disk_is_no_hindrance(pages, tmp_path, capsys):
    pages[KERAS] = GOOD
    part = tmp_path / f"mnist.npz.{os.getpid()}.part"
    part.symlink_to("/dev/full")
    assert same(image_data.load_mnist("mnist", tmp_path), ARRAYS)
    out = capsys.readouterr().out
    assert "could not be saved (no space left on device): it is used from memory this time." in out
    assert names(tmp_path) == []


def test_a_file_in_the_place_of_the_data_folder_is_no_hindrance(pages, tmp_path, capsys):
    pages[KERAS] = GOOD
    (tmp_path / "data").write_bytes(b"mine")
    assert same(image_data.load_mnist("mnist", tmp_path / "data"), ARRAYS)
    assert "could not be saved (file exists)" in capsys.readouterr().out
    assert (tmp_path / "data").read_bytes() == b"mine"


@pytest.fixture
def read_only_folder():
    """A folder that is not ours, and, as root may write anywhere, nobody's rights meanwhile."""
    if not hasattr(os, "geteuid"):
        pytest.skip("Windows has no read-only folders.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def close():
            folder.chmod(0o555)
            if os.geteuid() == 0:
                os.seteuid(65534)

        yield folder, close
        if os.getuid() == 0:
            os.seteuid(0)
        folder.chmod(0o755)


def test_a_read_only_folder_is_no_hindrance(pages, tmp_path, capsys, read_only_folder):
    pages[KERAS] = GOOD
    image_data.load_mnist("mnist", tmp_path)  # imports what nobody may not be allowed to read
    folder, close = read_only_folder
    (folder / "mnist.npz").write_bytes(b"damaged")
    close()
    capsys.readouterr()
    assert same(image_data.load_mnist("mnist", folder), ARRAYS)
    out = capsys.readouterr().out
    assert "not a whole archive of MNIST): please remove it yourself (permission denied)." in out
    assert "could not be saved (permission denied): it is used from memory this time." in out
    assert (folder / "mnist.npz").read_bytes() == b"damaged"
    assert names(folder) == ["mnist.npz"]
