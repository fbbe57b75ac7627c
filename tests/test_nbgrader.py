"""Real nbgrader on the exercises of every lesson: hand out, hand in, and grade on a slow core."""

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

from tools.lessons import NOTEBOOKS, ROOT, SOURCES, lesson, read, solutions, sources, tags

LESSONS = [path.stem for path in sources() if path.stem[0] == "0"]  # an assignment each
ALSO_WRONG = ("02_l2_penalty", "03_kl_sparsity")  # those in which mistakes are handed in as well
SLOW_CORE = ["taskset", "-c", "0", "nice", "-n", "19"]
SLOW_CORE = SLOW_CORE if shutil.which("taskset") and shutil.which("nice") else []
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


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A folder with a course, its assignments made, and a function that runs its Python there."""
    folder = tmp_path_factory.mktemp("course")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    scripts = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    path = os.pathsep.join([str(scripts), os.environ["PATH"]])  # nbgrader looks for alembic there
    how = {"cwd": folder, "env": os.environ | {"PATH": path}, "capture_output": True, "text": True}

    def run(*arguments, on=()):
        done = subprocess.run([*on, scripts / "python", *arguments], **how)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    site = run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    also = [sysconfig.get_path("purelib"), str(Path(__file__).parent.parent)]
    Path(site, "course.pth").write_text("\n".join(also))
    run("-m", "pip", "install", "--quiet", "--no-deps", *PACKAGES)

    shutil.copy(NOTEBOOKS / "solutions" / "nbgrader_config.py", folder)
    for name in LESSONS:
        notebook = solutions(source_of(name))
        for cell in notebook.cells:
            if "parameters" in tags(cell):
                cell.source += '\nSOURCE = "digits"'
        (folder / "source" / name).mkdir(parents=True)
        nbformat.write(notebook, folder / "source" / name / f"{name}.ipynb")
        run("-m", "nbgrader", "generate_assignment", name)
    return folder, run


def source_of(name):
    return read(SOURCES / f"{name}.md")


def written_and_points(name):
    """Answer's id → right answer, and → its commonest mistake; check's id → points."""
    right, wrong, points = {}, {}, {}
    for cell in source_of(name).cells:
        if "answer" in tags(cell):
            right[cell.id] = cell.source
        elif "check" in tags(cell):
            points[cell.id] = cell.metadata.points
        elif "mistake" in tags(cell):
            exercise = cell.id.partition("-mistake-")[0]
            wrong.setdefault(f"{exercise}-answer", CODE.findall(cell.source)[0])
    return right, wrong, points


def hand_in(folder, student, name, written):
    """Submit what was handed out, with these sources in place of stubs: cell id → source."""
    notebook = nbformat.read(folder / "release" / name / f"{name}.ipynb", as_version=4)
    for cell in notebook.cells:
        cell.source = written.get(cell.id, cell.source)
    submitted = folder / "submitted" / student / name
    submitted.mkdir(parents=True)
    nbformat.write(notebook, submitted / f"{name}.ipynb")


@pytest.mark.parametrize("name", LESSONS)
def test_nbgrader_hands_out_what_the_lesson_has(course, name):
    folder, _ = course
    released = nbformat.read(folder / "release" / name / f"{name}.ipynb", as_version=4)
    handed_out, of_the_lesson = (
        [(cell.id, cell.source) for cell in notebook.cells if cell.id.startswith("ex-")]
        for notebook in (released, lesson(source_of(name)))
    )
    assert handed_out == of_the_lesson
    assert "SOLUTION" not in "".join(cell.source for cell in released.cells)


def test_nbgrader_grades_right_and_wrong_submissions_and_untouched_ones(course):
    folder, run = course
    expected = {}
    for name in LESSONS:
        right, wrong, points = written_and_points(name)
        first, nothing = min(right), dict.fromkeys(points, 0)
        its_check = first.replace("-answer", "-check")
        handed_in = [("ada", right, points)]
        if name in ALSO_WRONG:
            assert wrong.keys() == right.keys()
            one = nothing | {its_check: points[its_check]}
            handed_in += [("ben", wrong | {first: right[first]}, one), ("cem", {}, nothing)]
        for student, written, scores in handed_in:
            hand_in(folder, student, name, written)
            expected[f"{student} {name}"] = {c: [scores[c], points[c]] for c in points}
        run("-m", "nbgrader", "autograde", name, on=SLOW_CORE)
    assert json.loads(run("-c", SCORES)) == expected


CHEATS = {
    "dan": """
import types
checks = types.SimpleNamespace(**{name: lambda *page: print("Right.") for name in dir(checks)})
""",
    "eve": """
import os
from sparse_autoencoder import verdicts
verdicts._fault = lambda *page: None
for name in [name for name in dir(checks) if callable(getattr(checks, name))]:
    setattr(checks, name, lambda *page: print("Right."))
del os.environ["NBGRADER_EXECUTION"]
""",
    # She brings the package, with checks that find everything right.
    "fay": """
import sys
for name in [name for name in sys.modules if name.startswith("sparse_autoencoder")]:
    del sys.modules[name]
sys.path.insert(0, "")
from sparse_autoencoder import checks
""",
}


def test_nobody_gets_points_by_changing_the_checks(course):
    folder, run = course
    name = "02_l2_penalty"
    for student, cheat in CHEATS.items():
        hand_in(folder, student, name, {min(written_and_points(name)[0]): cheat})
    own = folder / "submitted" / "fay" / name / "sparse_autoencoder"
    shutil.copytree(ROOT / "sparse_autoencoder", own)
    verdicts = own / "verdicts.py"
    edited = verdicts.read_text("utf-8").replace(
        "verdict = _fault(", 'verdict = "Right." or _fault('
    )
    assert edited != verdicts.read_text("utf-8")
    verdicts.write_text(edited, "utf-8")
    for student in CHEATS:
        run("-m", "nbgrader", "autograde", name, "--student", student)
    scores = json.loads(run("-c", SCORES))
    for student in CHEATS:
        points = scores[f"{student} {name}"]
        assert len(points) == 3 and not any(got for got, _ in points.values()), student
    graded = folder / "autograded" / "fay" / name / f"{name}.ipynb"
    assert "is not the course's." in graded.read_text("utf-8")
