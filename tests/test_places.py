"""Where the course runs: any folder, read-only ones too, beside other projects, without stderr."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

from tools.lessons import code_cells, read, sources

ELSEWHERE = """
import os, sys
if "none" in sys.argv:
    sys.stderr = None
if "closed" in sys.argv:
    sys.stderr.close()
if "gone" in sys.argv:
    os.close(2)
import sparse_autoencoder
from sparse_autoencoder import checks, images, keras, measures, modern, playground, studies, tables
assert "helpers" not in sys.modules
assert len(tables.table("results")) > 100
model = sparse_autoencoder.build_autoencoder(4)
model.save("Modell für später.keras")
assert len(keras.saving.load_model("Modell für später.keras").get_weights()) == 4
print("all is well")
"""


def run_elsewhere(folder, *how):
    """Run in a folder with a space, an umlaut, and the helpers.py of another project."""
    folder = folder / "Kurs für alle"
    folder.mkdir()
    (folder / "helpers.py").write_text("raise ImportError('this is not the one')")
    (folder / "main.py").write_text(ELSEWHERE, encoding="utf-8")
    environ = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    command = [sys.executable, "main.py", *how]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)


def test_from_any_folder_beside_another_helpers_and_without_stderr(tmp_path):
    done = run_elsewhere(tmp_path, "none", "gone")
    assert (done.stdout, done.stderr) == ("all is well\n", "")


@pytest.mark.slow
@pytest.mark.setup
@pytest.mark.parametrize("how", ["none", "closed", "gone", ""])
def test_each_way_to_have_no_stderr(tmp_path, how):
    done = run_elsewhere(tmp_path, how)
    assert (done.stdout, done.stderr) == ("all is well\n", "")


@pytest.mark.parametrize("source", sources(), ids=lambda path: path.stem)
def test_no_lesson_depends_on_the_folder_of_its_kernel(source):
    for cell in code_cells(read(source)):
        for path in ("../", "./", "open(", "chdir", "getcwd", "savefig(", "to_csv("):
            assert path not in cell.source, cell.id
