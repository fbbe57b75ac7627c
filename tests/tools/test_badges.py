"""A notebook that travels alone: its badges, and the cell that installs the course."""

import re
import shutil

import nbformat
import pytest
from conftest import ROOT
from IPython.core.interactiveshell import InteractiveShell

from tools import badges, lessons


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of its own, published nowhere: the function makes its first lesson again."""
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(badges, "ROOT", tmp_path)
    monkeypatch.setattr(lessons, "NOTEBOOKS", tmp_path / "notebooks")
    source = ROOT / "lessons" / "01_mse_baseline.md"
    return lambda: {path.name: notebook for path, notebook in lessons.notebooks(source).items()}


def test_an_address_reaches_readme_lessons_and_solutions_and_is_taken_back(course, tmp_path):
    def texts():
        return [(tmp_path / name).read_text("utf-8") for name in ("README.md", "pyproject.toml")]

    before = texts()
    badges.publish("owner/name")
    assert badges.address() == "https://github.com/owner/name"
    readme, _ = texts()
    assert "(https://colab.research.google.com/github/owner/name/blob/main/notebooks/01_" in readme
    assert "git-pull?repo=https%3A%2F%2Fgithub.com%2Fowner%2Fname&urlpath=lab%2Ftree%2Fn" in readme
    for name, notebook in course().items():
        _, shown, install = notebook.cells[:3]
        assert (shown.id, install.id) == ("badges", "install")
        folder = "notebooks/solutions" if "solutions" in name else "notebooks"
        links = re.findall(r"\((https[^)]*01_mse_baseline[^)]*)\)", shown.source)
        assert len(links) == 3
        assert all(f"{folder}/{name}" in link.replace("%2F", "/") for link in links)
        assert "%pip install --quiet git+https://github.com/owner/name\n" in install.source
        assert badges.unpack(notebook).cells[1].id not in ("badges", "install")
    badges.publish("")
    assert texts() == before
    assert all(notebook.cells[1].id == "install" for notebook in course().values())


@pytest.mark.parametrize("place", ["owner", "https://github.com/owner/name", "a/b/c"])
def test_what_is_no_address_is_refused_in_a_sentence(course, place):
    with pytest.raises(SystemExit, match="must be like owner/name, but it is '"):
        badges.publish(place)


def test_another_address_executes_nothing(course, monkeypatch):
    badges.publish("owner/name")
    path = ROOT / "notebooks" / "01_mse_baseline.ipynb"
    made, committed = course()[path.name], nbformat.read(path, 4)
    assert lessons.keep_outputs(made, committed)
    kept, before = lessons.code_cells(made), lessons.code_cells(committed)
    assert [cell.outputs for cell in kept] == [cell.outputs for cell in before]
    assert [cell.execution_count for cell in kept] == list(range(1, len(kept) + 1))


@pytest.mark.parametrize(
    "place, installs, present, said",
    [
        ("", False, True, None),
        ("owner/name", False, True, None),
        ("", False, False, "open this notebook in a clone of it"),
        ("owner/name", True, False, None),
        ("owner/name", False, False, "With a network, run this cell again"),
    ],
)
def test_the_cell_installs_where_the_course_is_missing(course, place, installs, present, said):
    badges.publish(place)
    asked = []

    def pip(line):
        asked.append(line)
        shell.user_ns["there"] = installs

    shell = InteractiveShell.instance()
    shell.register_magic_function(pip, "line", "pip")
    shell.user_ns["there"] = present
    install = next(cell for cell in course()["01_mse_baseline.ipynb"].cells if cell.id == "install")
    assert install.metadata.jupyter.source_hidden
    # Whether the course is there is asked of a stand-in, since it is here in any case.
    source = install.source.replace("from importlib.util import find_spec", "")
    shell.user_ns["find_spec"] = lambda name: shell.user_ns["there"] or None
    result = shell.run_cell(source)
    wanted = ["install --quiet git+https://github.com/owner/name"]
    assert asked == (wanted if place and not present else [])
    assert (said is None) == result.success
    assert said is None or said in str(result.error_in_exec)
