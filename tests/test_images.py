"""Loading images: every test serves its files from 127.0.0.1, none uses the network."""

import errno
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

from sparse_autoencoder import as_tensor
from sparse_autoencoder.archives import ARCHIVES, GZIP_FILES
from sparse_autoencoder.images import load_images
from sparse_autoencoder.tables import DATA

SETTINGS = "sparse_autoencoder.archives."
PARTS = ("x_train", "x_validation", "x_test", "y_train", "y_validation", "y_test")
PROXY_PAGE = b"<html><body>Please log in to use the network.</body></html>"


def random_arrays(seed=0):
    """A stand-in for MNIST: 50 training and 10 test images."""
    pixels = np.random.default_rng(seed).integers(0, 256, (60, 28, 28), np.uint8)
    labels = pixels[:, 14, 14] % 10
    return dict(zip(GZIP_FILES, (pixels[:50], pixels[50:], labels[:50], labels[50:]), strict=True))


def npz(arrays):
    np.savez_compressed(file := io.BytesIO(), **arrays)
    return file.getvalue()


def gzip_files(arrays):
    """The four files of the original distribution, by name."""
    packed = {}
    for key, array in arrays.items():
        header = np.array([0x800 + array.ndim, *array.shape], ">u4")
        packed[GZIP_FILES[key]] = gzip.compress(header.tobytes() + array.tobytes())
    return packed


ARRAYS = random_arrays()
GOOD, GOOD_GZIP = npz(ARRAYS), gzip_files(ARRAYS)
released, waited_for = threading.Event(), []


def hang():
    """Stand still until the test is over; that anybody waits for so long fails the test."""
    if not released.wait(10):
        waited_for.append("a host that stands still")


def assert_right(data, name="MNIST"):
    """These are the stand-in's images and labels, split and scaled as promised."""
    pixels = {key: ARRAYS[key].reshape(-1, 784) / 255 for key in ("x_train", "x_test")}
    x, y = pixels["x_train"], ARRAYS["y_train"]
    expected = x[:40], x[40:], pixels["x_test"], y[:40], y[40:], ARRAYS["y_test"]
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


def stand_still(handler):
    break_off(handler)
    hang()


def without_length(handler):
    send(handler, GOOD, length="unknown")


def served_from(monkeypatch, *urls):
    sha256 = tuple(hashlib.sha256(array).hexdigest() for array in ARRAYS.values())
    for source, archive in list(ARCHIVES.items()):
        monkeypatch.setitem(ARCHIVES, source, replace(archive, urls=urls, sha256=sha256))


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path_factory):
    """The user's cache, in a folder of its own; any host but this computer fails the test."""
    look_up, outside = socket.getaddrinfo, []

    def local_only(host, *args, **kwargs):
        if host not in ("127.0.0.1", "localhost"):
            outside.append(host)
            raise socket.gaierror(f"the tests must not look up {host}")
        return look_up(host, *args, **kwargs)

    folder = tmp_path_factory.mktemp("home") / "cache"
    monkeypatch.setattr(pooch, "os_cache", lambda name: folder)
    monkeypatch.setattr(socket, "getaddrinfo", local_only)
    monkeypatch.setenv("NO_PROXY", "*")
    released.clear()
    waited_for.clear()
    yield folder
    released.set()
    assert outside == waited_for == []


@pytest.fixture
def hosts(monkeypatch):
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

    pages = {}
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        served_from(monkeypatch, base + "/mnist.npz", base + "/original/")
        yield pages
        released.set()
        server.shutdown()


@pytest.fixture
def offline(monkeypatch):
    served_from(monkeypatch, "http://127.0.0.1:1/mnist.npz", "http://localhost:1/mnist/")


@pytest.fixture
def here(offline, tmp_path):
    """A folder with the archive in it."""
    (tmp_path / "mnist.npz").write_bytes(GOOD)
    return tmp_path


@pytest.mark.skipif(not (DATA / "mnist.npz").exists(), reason="load_images() downloads MNIST.")
def test_the_real_file_is_mnist(capsys):
    data = load_images("mnist")
    assert [len(getattr(data, part)) for part in PARTS] == [50_000, 10_000, 10_000] * 2
    assert data.y_train[:5].tolist() == [5, 0, 4, 1, 9] and np.bincount(data.y_test).min() > 800
    assert (data.x_train.min(), data.x_train.max()) == (0, 1)
    assert_read_in_place(data)
    assert capsys.readouterr() == ("", "")


def test_images_are_pages_of_a_file_that_tensorflow_reads_in_place(here):
    data = load_images("mnist", here)
    assert_right(data)
    assert_read_in_place(data)
    if sys.platform == "linux":
        assert str(here / "mnist.pages.npy") in Path("/proc/self/maps").read_text()
    with pytest.raises(AttributeError):
        data.x_train = data.x_test


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
    hosts["/mnist.npz"] = GOOD
    folder = tmp_path / "not" / "there" / "yet"
    assert_right(load_images(directory=folder))
    out, err = capsys.readouterr()
    assert "\rmnist.npz:   0%|" in out and "B/s]" in out  # the progress bar
    assert out.endswith(f"MNIST is now in {folder / 'mnist.npz'}.\n") and err == ""
    assert names(folder) == ["mnist.npz", "mnist.pages.npy"]
    with np.load(folder / "mnist.npz") as file:
        assert set(file) == set(ARRAYS)
        for key, array in ARRAYS.items():
            np.testing.assert_array_equal(file[key], array, strict=True)
    hosts.clear()
    assert_right(load_images("mnist", folder))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "page",
    [None, PROXY_PAGE, npz(random_arrays(1)), break_off, stand_still, "no host", without_length],
    ids=["404", "proxy", "other data", "broken off", "stands still", "no host", "no length"],
)
def test_the_second_host_helps(hosts, page, tmp_path, monkeypatch):
    monkeypatch.setattr(SETTINGS + "SECONDS_OF_SILENCE", 0.3)
    if page == "no host":
        served_from(monkeypatch, "http://127.0.0.1:1/mnist.npz", ARCHIVES["mnist"].urls[1])
    hosts["/mnist.npz"] = page
    if page != without_length:  # which is fine
        hosts.update({"/original/" + name: file for name, file in GOOD_GZIP.items()})
    assert_right(load_images("mnist", tmp_path))
    assert names(tmp_path) == ["mnist.npz", "mnist.pages.npy"]


def test_fashion_mnist_comes_the_same_way(hosts, tmp_path):
    hosts.update({"/original/" + name: file for name, file in GOOD_GZIP.items()})
    assert_right(load_images("fashion-mnist", tmp_path), "Fashion-MNIST")
    assert names(tmp_path) == ["fashion_mnist.npz", "fashion_mnist.pages.npy"]
    hosts.clear()
    assert_right(load_images("fashion-mnist", tmp_path), "Fashion-MNIST")


def test_gzip_files_put_there_by_hand_need_no_network(offline, tmp_path):
    for name, content in GOOD_GZIP.items():
        (tmp_path / name).write_bytes(content)
    assert_right(load_images(directory=tmp_path))
    assert names(tmp_path) == sorted([*GOOD_GZIP, "mnist.npz", "mnist.pages.npy"])
    with np.load(tmp_path / "mnist.npz") as file:
        assert {key: file[key].shape for key in file} == {k: a.shape for k, a in ARRAYS.items()}


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (dict(list(GOOD_GZIP.items())[:3]), "No such file or directory"),
        (gzip_files(random_arrays(1)), "checksum of x_train is not that of MNIST"),
        (dict.fromkeys(GOOD_GZIP, PROXY_PAGE), "not a whole archive of MNIST"),
    ],
    ids=["one missing", "another data set", "proxy's pages"],
)
def test_wrong_gzip_files_are_left_alone_with_a_sentence(hosts, tmp_path, capsys, files, reason):
    hosts["/mnist.npz"] = GOOD
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert_right(load_images("mnist", tmp_path))
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"The .gz files in {tmp_path} are not used for MNIST: ")
    assert reason in first
    assert {name: (tmp_path / name).read_bytes() for name in files} == files


def test_without_a_network_the_digits_stand_in_with_one_notice(offline, tmp_path, capsys):
    assert load_images(directory=tmp_path).name == "digits"
    out, err = capsys.readouterr()
    assert out.count("could not be downloaded") == out.count("stand in") == 1 and err == ""
    for told in ("no connection", "1,200", "will differ", f"into {tmp_path} (data/README.md"):
        assert told in out
    assert names(tmp_path) == []


def test_without_a_network_what_is_asked_for_by_name_is_an_error(offline, tmp_path, capsys):
    for source in ("mnist", "fashion-mnist"):
        told = rf"{ARCHIVES[source].name} could not .*no connection[\s\S]*put {source[:5]}\w*\.npz"
        with pytest.raises(ConnectionError, match=f"(?i){told}"):
            load_images(source, tmp_path)
    assert capsys.readouterr() == ("", "")


def test_the_notice_says_when_the_hosts_serve_something_else(hosts, tmp_path, capsys):
    hosts["/mnist.npz"] = PROXY_PAGE
    assert load_images(directory=tmp_path).name == "digits"
    out = capsys.readouterr().out
    assert "not a whole archive of MNIST; " in out and "404 " in out
    assert names(tmp_path) == []


def test_silent_hosts_are_not_waited_for(tmp_path, monkeypatch):
    """One look-up of a name hangs, as behind some firewalls, and one host never answers."""
    look_up = socket.getaddrinfo

    def hanging(host, *args, **kwargs):
        if host == "localhost":
            hang()
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    monkeypatch.setattr(SETTINGS + "SECONDS_TO_ANSWER", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        served_from(monkeypatch, address, "http://localhost:1/")
        with pytest.raises(ConnectionError, match="no connection.*no connection"):
            load_images("mnist", tmp_path)


def changed(**arrays):
    """The stand-in's npz file with other arrays in it; None leaves one out."""
    return npz({key: a for key, a in {**ARRAYS, **arrays}.items() if a is not None})


one_pixel = ARRAYS["x_test"].copy()
one_pixel[3, 14, 14] ^= 1
NOT_WHOLE = "not a whole archive of MNIST"
DAMAGED = {
    "a folder": (None, "Is a directory"),
    "a byte flipped": (GOOD[:5000] + bytes([GOOD[5000] ^ 1]) + GOOD[5001:], NOT_WHOLE),
    "a proxy's page": (PROXY_PAGE, NOT_WHOLE),
    "no labels": (changed(y_test=None), NOT_WHOLE),
    "pickled": (changed(y_test=np.array([None])), NOT_WHOLE),
    "too few": (changed(x_train=ARRAYS["x_train"][:5]), "checksum of x_train"),
    "floats": (changed(x_test=ARRAYS["x_test"] / 255), "checksum of x_test"),
    "signed": (changed(x_test=ARRAYS["x_test"].view(np.int8)), "checksum of x_test"),
    "one pixel": (changed(x_test=one_pixel), "checksum of x_test is not that of MNIST"),
} | {f"{n} bytes": (GOOD[:n], NOT_WHOLE) for n in (0, 1, 100, len(GOOD) // 2, len(GOOD) - 1)}


@pytest.mark.parametrize(("content", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_kept_aside_and_fetched_again(hosts, tmp_path, capsys, content, reason):
    hosts["/mnist.npz"] = GOOD
    load_images("mnist", tmp_path)
    capsys.readouterr()
    path, aside = tmp_path / "mnist.npz", tmp_path / "mnist.npz.damaged-1"
    if content is None:
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(content)  # after its pages were made
    assert_right(load_images("mnist", tmp_path))
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"{path} cannot be used (") and reason in first
    assert first.endswith("): it is kept as mnist.npz.damaged-1.")
    assert aside.is_dir() if content is None else aside.read_bytes() == content
    assert names(tmp_path) == ["mnist.npz", "mnist.npz.damaged-1", "mnist.pages.npy"]
    assert_right(load_images("mnist", tmp_path))
    assert capsys.readouterr() == ("", "")


def test_a_file_kept_aside_is_never_overwritten(offline, tmp_path):
    for content in (b"first", b"second", b"third"):
        (tmp_path / "mnist.npz").write_bytes(content)
        assert load_images(directory=tmp_path).name == "digits"
    kept = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    assert list(kept) == [f"mnist.npz.damaged-{n}" for n in (1, 2, 3)]
    assert list(kept.values()) == [b"first", b"second", b"third"]


def test_an_interrupted_download_leaves_nothing_behind(hosts, tmp_path):
    def interrupt(handler):
        break_off(handler)
        os.kill(os.getpid(), signal.SIGINT)  # what the stop button of a notebook sends
        hang()

    hosts["/mnist.npz"] = interrupt
    with pytest.raises(KeyboardInterrupt):
        load_images(directory=tmp_path)
    assert names(tmp_path) == []
    hosts["/mnist.npz"] = GOOD
    assert_right(load_images("mnist", tmp_path))


def half_of_it(problem):
    def write(file, *args, **arrays):
        file.write(b"half of it")
        raise problem

    return write


@pytest.mark.parametrize("writes", ["savez_compressed", "save"])
def test_interrupted_saving_leaves_nothing_behind(hosts, tmp_path, monkeypatch, writes):
    hosts["/mnist.npz"] = GOOD
    with monkeypatch.context() as patch:
        patch.setattr(np, writes, half_of_it(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            load_images(directory=tmp_path)
    assert names(tmp_path) == ([] if writes == "savez_compressed" else ["mnist.npz"])
    assert_right(load_images("mnist", tmp_path))


def test_a_full_disk_is_no_hindrance(hosts, tmp_path, monkeypatch, capsys, cache):
    hosts["/mnist.npz"] = GOOD
    for writes in ("savez_compressed", "save"):
        monkeypatch.setattr(np, writes, half_of_it(OSError(errno.ENOSPC, "No space left")))
    assert_right(load_images("mnist", tmp_path))
    assert "mnist.npz could not be saved (No space left)." in capsys.readouterr().out
    assert names(tmp_path) == names(cache) == []


def test_a_file_in_the_place_of_the_data_folder_is_no_hindrance(hosts, tmp_path, capsys, cache):
    hosts["/mnist.npz"] = GOOD
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
    hosts["/mnist.npz"] = GOOD
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
    out, refused = capsys.readouterr().out, "(Permission denied)"
    assert (out == "") == (content == GOOD)
    if out:
        assert f"{NOT_WHOLE}): please remove it yourself {refused}.\n" in out
        assert f"{path} could not be saved {refused}.\n" in out


def test_what_is_written_stays_with_who_wrote_it(here):
    file = here / "mnist.pages.npy"
    mine, others = load_images("mnist", here), load_images("mnist", here)
    before, made = file.read_bytes(), os.stat(file)
    for part in PARTS:
        getattr(mine, part)[:] = 7
    assert_right(others)
    assert_right(load_images("mnist", here))
    assert file.read_bytes() == before
    assert (os.stat(file).st_ino, os.stat(file).st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
    assert (mine.x_train == 7).all()
    sums = joblib.Parallel(2)(joblib.delayed(np.sum)(mine.x_train) for _ in range(2))
    assert sums == [7 * 40 * 784] * 2  # joblib's processes get what was written


@pytest.mark.parametrize("newer", ["time", "size"])
def test_another_archive_makes_new_pages_and_old_ones_stay_as_they_were(here, newer):
    path, file = here / "mnist.npz", here / "mnist.pages.npy"
    data, before, stat = load_images("mnist", here), os.stat(file), os.stat(path)
    if newer == "time":
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    else:
        np.savez(path, **ARRAYS)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert_right(load_images("mnist", here))
    assert os.stat(file).st_ino != before.st_ino
    assert_right(data)


@pytest.mark.parametrize("content", [b"", PROXY_PAGE, "another array", "half"])
def test_a_foreign_or_damaged_file_of_pages_is_made_anew(here, content):
    file = here / "mnist.pages.npy"
    load_images("mnist", here)
    whole = file.read_bytes()
    if content == "another array":
        np.save(file, np.zeros(9))
    else:
        file.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    assert_right(load_images("mnist", here))
    assert file.read_bytes() == whole


def test_pages_lie_in_the_cache_where_the_folder_takes_none(here, cache):
    (here / "mnist.pages.npy").mkdir()  # in their place
    assert_right(load_images("mnist", here))
    assert names(cache) == ["mnist.pages.npy"]
    before = os.stat(cache / "mnist.pages.npy").st_ino
    assert_right(load_images("mnist", here))
    assert os.stat(cache / "mnist.pages.npy").st_ino == before


def test_what_cannot_be_mapped_is_held_in_memory(here, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(errno.ENODEV, "this file system maps nothing")

    with monkeypatch.context() as patch:
        patch.setattr(np, "memmap", refuse)
        data = load_images("mnist", here)
    assert_right(data)
