"""Loading images: every test serves its files from 127.0.0.1, none uses the network."""

import gzip
import hashlib
import io
import os
import signal
import socket
import sys
import tempfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import joblib
import numpy as np
import pooch
import pytest
from conftest import needs_mnist

from sparse_autoencoder import archives, as_tensor
from sparse_autoencoder.archives import ARCHIVES, GZIP_FILES
from sparse_autoencoder.images import load_images

PARTS = ("x_train", "x_validation", "x_test", "y_train", "y_validation", "y_test")
PROXY_PAGE = b"<html><body>Please log in to use the network.</body></html>"
NOT_WHOLE = "not a whole archive of MNIST"


def random_arrays(seed=0):
    """A stand-in for MNIST: 50 training and 10 test images."""
    pixels = np.random.default_rng(seed).integers(0, 256, (60, 28, 28), np.uint8)
    labels = pixels[:, 14, 14] % 10
    return dict(zip(GZIP_FILES, (pixels[:50], pixels[50:], labels[:50], labels[50:]), strict=True))


def npz(**changed):
    """The stand-in's archive, with other arrays in it; None leaves one out."""
    arrays = {key: array for key, array in {**ARRAYS, **changed}.items() if array is not None}
    np.savez_compressed(file := io.BytesIO(), **arrays)
    return file.getvalue()


def gzip_files(arrays):
    """The four files of the original distribution, by name."""
    headers = {key: np.array([0x800 + a.ndim, *a.shape], ">u4") for key, a in arrays.items()}
    return {
        name: gzip.compress(headers[key].tobytes() + arrays[key].tobytes())
        for key, name in GZIP_FILES.items()
    }


ARRAYS = random_arrays()
SHA256 = tuple(hashlib.sha256(array).hexdigest() for array in ARRAYS.values())
GOOD, GOOD_GZIP = npz(), gzip_files(ARRAYS)
one_pixel = ARRAYS["x_test"].copy()
one_pixel[3, 14, 14] ^= 1
over, wrong = threading.Event(), []  # the test is over; what must not happen


def assert_right(data, name="MNIST"):
    """These are the stand-in's images and labels, split and scaled as promised."""
    x, x_test = (ARRAYS[key].reshape(-1, 784) / 255 for key in ("x_train", "x_test"))
    y = ARRAYS["y_train"]
    expected = x[:40], x[40:], x_test, y[:40], y[40:], ARRAYS["y_test"]
    assert (data.name, data.image_shape, data.steps) == (name, (28, 28), 390)
    for part, right in zip(PARTS, expected, strict=True):
        np.testing.assert_allclose(getattr(data, part), right, atol=1e-7)
        assert getattr(data, part).dtype == (np.float32 if part[0] == "x" else np.int64)


def assert_read_in_place(data):
    """TensorFlow works on the very memory of the images."""
    for images in (data.x_train, data.x_validation, data.x_test):
        assert images.ctypes.data % 64 == 0
        assert np.shares_memory(np.asarray(as_tensor(images)), images)


def names(folder):
    return sorted(os.listdir(folder))


def send(handler, content, length=None):
    handler.send_response(200)
    if length != "unknown":
        handler.send_header("Content-Length", str(length or len(content)))
    handler.end_headers()
    handler.wfile.write(content)
    handler.wfile.flush()


def break_off(handler):
    send(handler, GOOD[: len(GOOD) // 2], length=len(GOOD))


def hang(*args, **kwargs):
    if not over.wait(10):
        wrong.append("somebody waited for a host that stands still")


def stand_still(handler):
    break_off(handler)
    hang()


def interrupt(where, *args, **kwargs):
    """In the middle of a download or of writing a file, what a notebook's stop button sends."""
    where.write(b"half of it") if hasattr(where, "write") else break_off(where)
    os.kill(os.getpid(), signal.SIGINT)
    hang()


def without_length(handler):
    send(handler, GOOD, length="unknown")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path_factory):
    """The user's cache, in a folder of its own; any host but this computer fails the test."""
    look_up, folder = socket.getaddrinfo, tmp_path_factory.mktemp("home") / "cache"

    def local_only(host, *args, **kwargs):
        if host in ("127.0.0.1", "localhost"):
            return look_up(host, *args, **kwargs)
        wrong.append(host)
        raise socket.gaierror(f"the tests must not look up {host}")

    monkeypatch.setattr(pooch, "os_cache", lambda name: folder)
    monkeypatch.setattr(socket, "getaddrinfo", local_only)
    monkeypatch.setattr(archives, "SECONDS_OF_SILENCE", 0.3)
    monkeypatch.setenv("NO_PROXY", "*")
    over.clear()
    wrong.clear()
    yield folder
    over.set()
    assert wrong == []


@pytest.fixture
def offline(monkeypatch):
    """The stand-in takes the place of MNIST; nobody has it, or who is named then."""

    def served_from(*urls):
        for source, archive in list(ARCHIVES.items()):
            monkeypatch.setitem(ARCHIVES, source, replace(archive, urls=urls, sha256=SHA256))

    served_from("http://127.0.0.1:1/mnist.npz", "http://localhost:1/mnist/")
    return served_from


@pytest.fixture
def hosts(offline):
    """What the two hosts serve: {path: bytes, or a function of the handler}."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.end_headers()

        def do_GET(self):
            page = pages.get(self.path) or (lambda handler: handler.send_error(404))
            page(self) if callable(page) else send(self, page)

        def log_message(self, *args):
            pass

    pages = {f"/original/{name}": file for name, file in GOOD_GZIP.items()}
    pages["/mnist.npz"] = GOOD
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        offline(base + "/mnist.npz", base + "/original/")
        yield pages
        over.set()
        server.shutdown()


@pytest.fixture
def here(offline, tmp_path):
    """A folder with the archive in it, and no network."""
    (tmp_path / "mnist.npz").write_bytes(GOOD)
    return tmp_path


@needs_mnist
def test_the_real_file_is_mnist(capsys):
    data = load_images("mnist")
    assert [len(getattr(data, part)) for part in PARTS] == [50_000, 10_000, 10_000] * 2
    assert data.y_train[:5].tolist() == [5, 0, 4, 1, 9] and np.bincount(data.y_test).min() > 800
    assert (data.x_train.min(), data.x_train.max()) == (0, 1)
    assert_read_in_place(data)
    assert capsys.readouterr() == ("", "")


def test_digits_look_like_mnist_and_come_without_a_word(capsys, tmp_path):
    data = load_images("digits", tmp_path)
    images = [getattr(data, part).reshape(-1, 28, 28) for part in PARTS[:3]]
    border = np.pad(np.zeros((20, 20), bool), 4, constant_values=True)
    assert (data.name, data.steps, [len(x) for x in images]) == ("digits", 60, [1200, 297, 300])
    for x, labels in zip(images, (data.y_train, data.y_validation, data.y_test), strict=True):
        assert x.dtype == np.float32 and x.min() == 0 and x.max() == 1
        assert not x[:, border].any()
        assert x[:, [4, 23], :].any() and x[:, 8:20, 4:24].any()
        counts = np.bincount(labels)
        assert len(counts) == 10 and counts.max() < 1.15 * counts.min()
    assert len(np.unique(np.concatenate(images), axis=0)) == 1797  # no image is in two parts
    assert (load_images("digits").x_train == data.x_train).all()
    assert capsys.readouterr() == ("", "") and names(tmp_path) == []


def test_an_unknown_source_is_refused_in_one_sentence():
    right = 'source must be "mnist", "fashion-mnist", "digits" or None, not \'cifar\'.'
    with pytest.raises(ValueError, match=f"^{right}$"):
        load_images("cifar")


def test_a_download_is_kept_in_keras_layout_and_read_the_next_time(hosts, tmp_path, capsys):
    folder = tmp_path / "not" / "there" / "yet"
    assert_right(load_images(directory=folder))
    out, err = capsys.readouterr()
    assert "\rmnist.npz:   0%|" in out and "B/s]" in out  # the progress bar
    assert out.endswith(f"MNIST is now in {folder / 'mnist.npz'}.\n") and err == ""
    with np.load(folder / "mnist.npz") as file:
        assert set(file) == set(ARRAYS)
        for key, array in ARRAYS.items():
            np.testing.assert_array_equal(file[key], array, strict=True)
    hosts.clear()
    assert_right(load_images("mnist", folder))
    assert capsys.readouterr() == ("", "")


DAMAGED = {
    "a byte flipped": (GOOD[:5000] + bytes([GOOD[5000] ^ 1]) + GOOD[5001:], NOT_WHOLE),
    "a proxy's page": (PROXY_PAGE, NOT_WHOLE),
    "no labels": (npz(y_test=None), NOT_WHOLE),
    "pickled": (npz(y_test=np.array([None])), NOT_WHOLE),
    "too few": (npz(x_train=ARRAYS["x_train"][:5]), "checksum of x_train"),
    "another data set": (npz(**random_arrays(1)), "checksum of x_train is not that of MNIST"),
    "floats": (npz(x_test=ARRAYS["x_test"] / 255), "checksum of x_test"),
    "signed": (npz(x_test=ARRAYS["x_test"].view(np.int8)), "checksum of x_test"),
    "one pixel": (npz(x_test=one_pixel), "checksum of x_test"),
} | {f"{n} bytes": (GOOD[:n], NOT_WHOLE) for n in (0, 1, 100, len(GOOD) // 2, len(GOOD) - 1)}


@pytest.mark.parametrize(("content", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_what_is_damaged_is_kept_aside_and_taken_from_no_host(here, hosts, capsys, content, reason):
    load_images("mnist", here)
    (here / "mnist.npz").write_bytes(content)  # after its pages were made
    hosts["/mnist.npz"] = content
    assert_right(load_images("mnist", here))
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"{here / 'mnist.npz'} cannot be used (") and reason in first
    assert first.endswith("): it is kept as mnist.npz.damaged-1.")
    assert (here / "mnist.npz.damaged-1").read_bytes() == content
    assert names(here) == ["mnist.npz", "mnist.npz.damaged-1", "mnist.pages.npy"]
    assert_right(load_images("mnist", here))
    assert capsys.readouterr() == ("", "")


def test_what_is_kept_aside_is_never_overwritten(offline, tmp_path):
    (tmp_path / "mnist.npz").mkdir()
    for content in (b"second", b"third"):
        assert load_images(directory=tmp_path).name == "digits"
        (tmp_path / "mnist.npz").write_bytes(content)
    assert load_images(directory=tmp_path).name == "digits"
    assert names(tmp_path) == [f"mnist.npz.damaged-{n}" for n in (1, 2, 3)]
    assert (tmp_path / "mnist.npz.damaged-1").is_dir()
    assert (tmp_path / "mnist.npz.damaged-2").read_bytes() == b"second"


@pytest.mark.parametrize("page", [None, break_off, stand_still, without_length, "no host"])
def test_the_second_host_helps(hosts, offline, page, tmp_path):
    if page == "no host":
        offline("http://127.0.0.1:1/mnist.npz", ARCHIVES["mnist"].urls[1])
    elif page == without_length:  # which is fine
        offline(ARCHIVES["mnist"].urls[0])
    hosts["/mnist.npz"] = page
    assert_right(load_images("mnist", tmp_path))
    assert names(tmp_path) == ["mnist.npz", "mnist.pages.npy"]


def test_fashion_mnist_comes_the_same_way(hosts, tmp_path):
    for _ in range(2):
        assert_right(load_images("fashion-mnist", tmp_path), "Fashion-MNIST")
        assert names(tmp_path) == ["fashion_mnist.npz", "fashion_mnist.pages.npy"]
        hosts.clear()


def test_gzip_files_put_there_by_hand_need_no_network(offline, tmp_path):
    for name, content in GOOD_GZIP.items():
        (tmp_path / name).write_bytes(content)
    assert_right(load_images(directory=tmp_path))
    assert names(tmp_path) == sorted([*GOOD_GZIP, "mnist.npz", "mnist.pages.npy"])
    with np.load(tmp_path / "mnist.npz") as file:
        assert {key: file[key].shape for key in file} == {k: a.shape for k, a in ARRAYS.items()}


WRONG_GZIP = {
    "one missing": (dict(list(GOOD_GZIP.items())[:3]), "t10k-labels-idx1-ubyte.gz: No such file"),
    "another data set": (gzip_files(random_arrays(1)), "checksum of x_train is not that of MNIST"),
    "a proxy's pages": (dict.fromkeys(GOOD_GZIP, PROXY_PAGE), f"a web page, {NOT_WHOLE}"),
    "one broken": (
        GOOD_GZIP | {GZIP_FILES["y_train"]: b"\x1f\x8b"},
        f"train-labels-idx1-ubyte.gz cannot be read: {NOT_WHOLE}",
    ),
}


@pytest.mark.parametrize("dot", [False, True], ids=["hyphen", "dot"])
@pytest.mark.parametrize("unpacked", [False, True], ids=["packed", "unpacked"])
@pytest.mark.parametrize("suffix", [".gz", ""], ids=[".gz", "no suffix"])
def test_files_that_another_program_unpacked_or_renamed_are_read(
    offline, tmp_path, dot, unpacked, suffix
):
    for name, content in GOOD_GZIP.items():
        name = name.removesuffix(".gz") + suffix
        name = name.replace("-idx", ".idx") if dot else name
        (tmp_path / name).write_bytes(gzip.decompress(content) if unpacked else content)
    assert_right(load_images("mnist", tmp_path))


@pytest.mark.parametrize(("files", "reason"), WRONG_GZIP.values(), ids=WRONG_GZIP)
def test_wrong_gzip_files_are_left_alone_with_a_sentence(hosts, tmp_path, capsys, files, reason):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert_right(load_images("mnist", tmp_path))
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"{tmp_path}/*.gz are not used for MNIST (") and reason in first
    assert {name: (tmp_path / name).read_bytes() for name in files} == files


def test_without_a_network_the_digits_stand_in_with_one_notice(offline, tmp_path, capsys):
    assert load_images(directory=tmp_path).name == "digits"
    out, err = capsys.readouterr()
    assert out.count("could not be downloaded") == out.count("stand in") == 1 and err == ""
    for told in ("no connection", "1,200", "will differ", f"into {tmp_path} (data/README.md"):
        assert told in out
    for source in ("mnist", "fashion-mnist"):  # asked for by name, it is an error
        told = rf"{ARCHIVES[source].name} could not .*no connection[\s\S]*put {source[:5]}\w*\.npz"
        with pytest.raises(ConnectionError, match=told):
            load_images(source, tmp_path)
    assert capsys.readouterr() == ("", "") and names(tmp_path) == []


def test_the_notice_says_when_the_hosts_serve_something_else(hosts, tmp_path, capsys):
    hosts.clear()
    hosts["/mnist.npz"] = PROXY_PAGE
    assert load_images(directory=tmp_path).name == "digits"
    out = capsys.readouterr().out
    assert f"{NOT_WHOLE}; " in out and "404 " in out and names(tmp_path) == []


def test_silent_hosts_are_not_waited_for(offline, tmp_path, monkeypatch):
    """One look-up of a name hangs, as behind some firewalls, and one host never answers."""
    look_up = {"localhost": hang, "127.0.0.1": socket.getaddrinfo}
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *a, **k: look_up[host](host, *a, **k))
    monkeypatch.setattr(archives, "SECONDS_TO_ANSWER", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        offline(f"http://127.0.0.1:{silent.getsockname()[1]}/", "http://localhost:1/")
        with pytest.raises(ConnectionError, match="no connection.*no connection"):
            load_images("mnist", tmp_path)


@pytest.mark.parametrize(
    ("interrupted", "left"),
    [("download", []), ("savez_compressed", []), ("save", ["mnist.npz"])],
)
def test_what_is_interrupted_leaves_nothing_behind(hosts, tmp_path, monkeypatch, interrupted, left):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job ignores
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if interrupted == "download":
            patch.setitem(hosts, "/mnist.npz", interrupt)
        else:
            patch.setattr(np, interrupted, interrupt)
        load_images(directory=tmp_path)
    assert names(tmp_path) == left
    assert_right(load_images("mnist", tmp_path))


def test_a_file_in_the_place_of_the_data_folder_is_no_hindrance(hosts, tmp_path, capsys, cache):
    (tmp_path / "data").write_bytes(b"mine")
    assert_right(load_images("mnist", tmp_path / "data"))
    assert "mnist.npz could not be saved (File exists)" in capsys.readouterr().out
    assert (tmp_path / "data").read_bytes() == b"mine"
    hosts.clear()
    assert_right(load_images("mnist", tmp_path / "data"))  # from the cache
    assert capsys.readouterr() == ("", "") and names(cache) == ["mnist.pages.npy"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has no read-only folders.")
@pytest.mark.parametrize("content", [GOOD, b"damaged"], ids=["whole", "damaged"])
def test_where_nothing_can_be_written_images_are_held_in_memory(hosts, tmp_path, capsys, content):
    load_images("mnist", tmp_path)  # imports what nobody may not be allowed to read
    capsys.readouterr()
    with tempfile.TemporaryDirectory() as name:
        path, root = Path(name, "mnist.npz"), os.geteuid() == 0
        path.write_bytes(content)
        path.parent.chmod(0o555)
        try:
            if root:  # who may write anywhere: with nobody's rights, then
                os.seteuid(65534)
            assert_right(load_images("mnist", path.parent))
        finally:
            if root:
                os.seteuid(0)
            path.parent.chmod(0o755)
        assert names(path.parent) == ["mnist.npz"] and path.read_bytes() == content
    out = capsys.readouterr().out
    assert (out == "") == (content == GOOD)
    if out:
        assert f"{NOT_WHOLE}): please remove it yourself.\n" in out
        assert f"{path} could not be saved (Permission denied).\n" in out


def test_what_is_written_stays_with_who_wrote_it(here):
    file = here / "mnist.pages.npy"
    mine, others = load_images("mnist", here), load_images("mnist", here)
    if sys.platform == "linux":
        assert str(file) in Path("/proc/self/maps").read_text()
    assert_read_in_place(mine)
    with pytest.raises(AttributeError):
        mine.x_train = mine.x_test
    before, made = file.read_bytes(), os.stat(file)
    for part in PARTS:
        getattr(mine, part)[:] = 7
    for data in (others, load_images("mnist", here)):
        assert_right(data)
    assert file.read_bytes() == before
    assert (os.stat(file).st_ino, os.stat(file).st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
    sums = joblib.Parallel(2)(joblib.delayed(np.sum)(mine.x_train) for _ in range(2))
    assert sums == [7 * 40 * 784] * 2  # joblib's processes get what was written


@pytest.mark.parametrize(
    "content", ["newer archive", "larger archive", b"", PROXY_PAGE, "another array", "half"]
)
def test_wrong_pages_are_made_anew_and_old_ones_stay_as_they_were(here, content):
    path, file = here / "mnist.npz", here / "mnist.pages.npy"
    data, stat, before = load_images("mnist", here), os.stat(path), os.stat(file)
    if "archive" in str(content):
        if content == "larger archive":
            np.savez(path, **ARRAYS)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + (content == "newer archive")))
    else:
        whole = file.read_bytes()
        file.unlink()  # else those of `data` would be damaged
        if content == "another array":
            np.save(file, np.zeros(9))
        else:
            file.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    for pages in (load_images("mnist", here), data):
        assert_right(pages)
    assert os.stat(file).st_ino != before.st_ino and os.stat(file).st_size == before.st_size


def test_pages_lie_in_the_cache_where_the_folder_takes_none(here, cache):
    (here / "mnist.pages.npy").mkdir()  # in their place
    made = set()
    for _ in range(2):
        assert_right(load_images("mnist", here))
        assert names(cache) == ["mnist.pages.npy"]
        made.add(os.stat(cache / "mnist.pages.npy").st_ino)
    assert len(made) == 1


def test_a_server_names_one_folder_for_all_its_users(here, cache, monkeypatch):
    monkeypatch.setenv("SPARSE_AUTOENCODER_IMAGES", str(here))
    assert_right(load_images("mnist"))
    assert names(here) == ["mnist.npz", "mnist.pages.npy"] and not cache.exists()
