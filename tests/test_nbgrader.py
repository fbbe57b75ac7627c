"""Real nbgrader on the exercises of two lessons: hand out, hand in, and grade."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import nbformat
import pytest

from tools.lessons import NOTEBOOKS, SOURCES, lesson, read, solutions, tags

LESSONS = ("02_l2_penalty", "03_kl_sparsity")  # an assignment each
CODE = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
# The course does not install nbgrader, which would put a teacher's buttons into every JupyterLab.
PACKAGES = ["nbgrader>=0.9.5", "alembic", "mako", "sqlalchemy>=2", "rapidfuzz"]
SCORES = """
import json
from nbgrader.api import Gradebook
with Gradebook("sqlite:///gradebook.db") as book:
    print(json.dumps({
        f"{s.student.id} {s.assignment.name}": {
            g.name: [g.auto_score, g.max_score] for n in s.notebooks for g in n.grades
        }
        for a in book.assignments
        for s in book.assignment_submissions(a.name)
    }))
"""
pytestmark = [pytest.mark.slow, pytest.mark.nbgrader]
each_lesson = pytest.mark.parametrize("name", LESSONS)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A folder with a course, its assignments made, and a function that runs its Python there."""
    folder = tmp_path_factory.mktemp("course")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    scripts = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    path = os.pathsep.join([str(scripts), os.environ["PATH"]])  # nbgrader looks for alembic there

    def run(*arguments):
        done = subprocess.run(
            [scripts / "python", *arguments],
            cwd=folder,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    site = run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    also = [sysconfig.get_path("purelib"), str(Path(__file__).parent.parent)]
    Path(site, "course.pth").write_text("\n".join(also))
    run("-m", "pip", "install", "--quiet", "--no-deps", *PACKAGES)

    shutil.copy(NOTEBOOKS / "solutions" / "nbgrader_config.py", folder)
    for name in LESSONS:
        notebook = solutions(read(SOURCES / f"{name}.md"))
        for cell in notebook.cells:
            if "parameters" in tags(cell):
                cell.source += '\nSOURCE = "digits"'
        (folder / "source" / name).mkdir(parents=True)
        nbformat.write(notebook, folder / "source" / name / f"{name}.ipynb")
        run("-m", "nbgrader", "generate_assignment", name)
    return folder, run


def answers(name):
    """Cell id → the right answer of each exercise of a lesson."""
    return {
        cell.id: cell.source
        for cell in read(SOURCES / f"{name}.md").cells
        if "answer" in tags(cell)
    }


def mistakes(name):
    """Cell id → the first of an exercise's commonest mistakes."""
    found = {}
    for cell in read(SOURCES / f"{name}.md").cells:
        if "mistake" in tags(cell):
            exercise = cell.id.partition("-mistake-")[0]
            found.setdefault(f"{exercise}-answer", CODE.findall(cell.source)[0])
    return found


def hand_in(folder, student, name, written):
    """Submit what was handed out, with these sources in place of stubs: cell id → source."""
    notebook = nbformat.read(folder / "release" / name / f"{name}.ipynb", as_version=4)
    for cell in notebook.cells:
        cell.source = written.get(cell.id, cell.source)
    submitted = folder / "submitted" / student / name
    submitted.mkdir(parents=True)
    nbformat.write(notebook, submitted / f"{name}.ipynb")


@each_lesson
def test_nbgrader_hands_out_what_the_lesson_has(course, name):
    folder, _ = course
    released = nbformat.read(folder / "release" / name / f"{name}.ipynb", as_version=4)
    source = read(SOURCES / f"{name}.md")

    def exercises(notebook):
        return [(cell.id, cell.source) for cell in notebook.cells if cell.id.startswith("ex-")]

    assert exercises(released) == exercises(lesson(source))
    everything = "\n".join(cell.source for cell in released.cells)
    for answer in answers(name).values():
        solved = re.findall(r"### BEGIN SOLUTION\n(.*?)\n\s*### END SOLUTION", answer, re.S)
        assert solved and not any(lines in everything for lines in solved)


def test_nbgrader_grades_right_and_wrong_submissions_and_untouched_ones(course):
    folder, run = course
    for name in LESSONS:
        right, wrong = answers(name), mistakes(name)
        first = min(right)
        assert wrong.keys() == right.keys()
        hand_in(folder, "ada", name, right)
        hand_in(folder, "ben", name, wrong | {first: right[first]})
        hand_in(folder, "cem", name, {})
        run("-m", "nbgrader", "autograde", name)
    scores = json.loads(run("-c", SCORES))
    for name in LESSONS:
        graded = {
            cell.id: cell.metadata.points
            for cell in read(SOURCES / f"{name}.md").cells
            if "check" in tags(cell)
        }
        first = min(answers(name)).replace("-answer", "-check")
        assert scores[f"ada {name}"] == {check: [full, full] for check, full in graded.items()}
        assert scores[f"ben {name}"] == {
            check: [full if check == first else 0, full] for check, full in graded.items()
        }
        assert scores[f"cem {name}"] == {check: [0, full] for check, full in graded.items()}
