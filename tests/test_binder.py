"""Binder's postBuild brings MNIST, or says that it cannot and lets the build go on.

repo2docker itself needs a container engine, and is not run here.
"""

import functools
import hashlib
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
# Python reads this before postBuild's own lines: another host, and what it serves.
OTHER_HOST = """
from dataclasses import replace
from sparse_autoencoder.archives import ARCHIVES
ARCHIVES["mnist"] = replace(ARCHIVES["mnist"], urls=({url!r},), sha256={sha256!r})
"""


@pytest.fixture
def course(tmp_path):
    """postBuild and what it needs, in a folder of their own: it must not write into data/."""
    package = tmp_path / "sparse_autoencoder"
    package.mkdir()
    (package / "__init__.py").touch()  # ours imports TensorFlow, which takes seconds
    for name in ("images.py", "archives.py", "tables.py"):
        shutil.copy(ROOT / "sparse_autoencoder" / name, package)
    shutil.copy(ROOT / "postBuild", tmp_path)
    return tmp_path


def post_build(course):
    """Run postBuild as repo2docker does, with every host but this machine out of reach."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    environment = os.environ | {
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]),
        "PYTHONPATH": str(course),
        "XDG_CACHE_HOME": str(course / "cache"),
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), nobody),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1"),
    }
    run = [course / "postBuild"]
    return subprocess.run(run, cwd=course, env=environment, capture_output=True, text=True)


def test_repo2docker_looks_at_the_root():
    # Any of these would make it ignore environment.yml and postBuild.
    for name in ("binder", ".binder", "Dockerfile"):
        assert not (ROOT / name).exists()


def test_post_build_is_a_script_that_bash_understands():
    assert os.access(ROOT / "postBuild", os.X_OK)
    subprocess.run(["bash", "-n", ROOT / "postBuild"], check=True)


def test_without_a_network_it_says_so_in_a_sentence_and_ends_well(course):
    done = post_build(course)
    assert (done.returncode, done.stderr) == (0, "")
    (sentence,) = done.stdout.splitlines()
    assert sentence.startswith("MNIST could not be downloaded (storage.googleapis.com: no conn")
    assert sentence.endswith(", so the lessons will go on with the small digits of scikit-learn.")
    assert not (course / "data").exists()


def test_mnist_is_there_afterwards(course, tmp_path_factory):
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (50, 28, 28), np.uint8),
        "x_test": rng.integers(0, 256, (10, 28, 28), np.uint8),
        "y_train": rng.integers(0, 10, 50, np.uint8),
        "y_test": rng.integers(0, 10, 10, np.uint8),
    }
    pages = tmp_path_factory.mktemp("pages")
    np.savez_compressed(pages / "mnist.npz", **arrays)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=pages)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/mnist.npz"
        sha256 = tuple(hashlib.sha256(array).hexdigest() for array in arrays.values())
        (course / "sitecustomize.py").write_text(OTHER_HOST.format(url=url, sha256=sha256))
        done = post_build(course)
        server.shutdown()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"MNIST is now in {course / 'data' / 'mnist.npz'}.\n")
    with np.load(course / "data" / "mnist.npz") as file:
        assert all((file[key] == array).all() for key, array in arrays.items())


def test_a_broken_environment_stops_the_build(course):
    (course / "sparse_autoencoder" / "images.py").write_text("import no_such_module\n")
    assert post_build(course).returncode != 0
