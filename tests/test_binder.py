"""Binder's postBuild brings MNIST, or says that it cannot and lets the build go on.

repo2docker itself needs a container engine, and is not run here.
"""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from test_images import GOOD_GZIP, SHA256

# Python runs this before postBuild's own lines: nobody serves MNIST, and the stand-in is right.
STAND_IN = f"""
from dataclasses import replace
from sparse_autoencoder.archives import ARCHIVES
ARCHIVES["mnist"] = replace(ARCHIVES["mnist"], urls=("http://127.0.0.1:1/",), sha256={SHA256})
"""
NO_MNIST = """\
MNIST could not be downloaded (127.0.0.1:1: no connection (Connection refused)), so the lessons \
will go on with the small digits of scikit-learn.
"""


def test_repo2docker_looks_at_the_root():
    # Any of these would make it ignore environment.yml and postBuild.
    assert not any((ROOT / name).exists() for name in ("binder", ".binder", "Dockerfile"))


@pytest.mark.parametrize(
    ("files", "code", "told"),
    [
        ({}, 0, NO_MNIST),
        (
            {f"data/{name}": file for name, file in GOOD_GZIP.items()},
            0,
            "MNIST is now in {path}.\n",
        ),
        ({"sparse_autoencoder/images.py": b"import no_such_module"}, 1, ""),
    ],
    ids=["no network", "MNIST", "a broken environment"],
)
def test_the_build_brings_mnist_or_says_why_not(tmp_path, files, code, told):
    (tmp_path / "data").mkdir()
    package = tmp_path / "sparse_autoencoder"
    package.mkdir()
    (package / "__init__.py").touch()  # ours imports TensorFlow, which takes seconds
    for name in ("images.py", "archives.py", "downloads.py", "files.py", "tables.py"):
        shutil.copy(ROOT / "sparse_autoencoder" / name, package)
    (tmp_path / "sitecustomize.py").write_text(STAND_IN)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    shutil.copy(ROOT / "postBuild", tmp_path)
    environment = os.environ | {
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]),
        "PYTHONPATH": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "NO_PROXY": "*",
    }
    run = [tmp_path / "postBuild"]
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr == "") == (code, code == 0)
    assert done.stdout == told.format(path=tmp_path / "data" / "mnist.npz")
