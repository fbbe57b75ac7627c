"""The exercises: lessons and solutions in step, and checks that say what is probably wrong."""

import ast
import builtins
import contextlib
import io
import re
import time

import matplotlib
import nbformat
import pytest

from tools.execute_lessons import execute
from tools.exercises import (
    FIRST,
    LAST,
    ONLY_SOLUTIONS,
    handed_out,
    lesson_of,
    solutions,
    split,
    without_answer,
)

PATHS = solutions()
MESSAGE = re.compile(r"^> (.+)$", re.M)
CODE = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
each_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def tags(cell):
    return cell.metadata.get("tags", [])


def code_cells(cells):
    return [cell for cell in cells if cell.cell_type == "code"]


def exercises(path):
    """name → its cells, in order: the prompt first, then answer, check, mistakes and the rest."""
    found = {}
    for cell in split(read(path))[1]:
        if cell.cell_type == "markdown" and not tags(cell):
            found[cell.id] = []
        (name,) = [name for name in found if f"{cell.id}-".startswith(f"{name}-")]
        found[name].append(cell)
    return found


def part(cells, end):
    """The cell of an exercise whose name ends so."""
    (cell,) = [cell for cell in cells if cell.id.endswith(f"-{end}")]
    return cell


WITH_CODE = [
    (path, name) for path in PATHS for name, cells in exercises(path).items() if code_cells(cells)
]
NAMES = [f"{path.name[:2]}-{name}" for path, name in WITH_CODE]
each_exercise = pytest.mark.parametrize("path, name", WITH_CODE, ids=NAMES)
TRAIN_LONGER = ("ex-reverse", "ex-rho")


def test_every_lesson_has_its_solutions():
    lessons = sorted(PATHS[0].parent.parent.glob("0?_*.ipynb"))
    assert [lesson_of(path) for path in PATHS] == lessons


@each_notebook
def test_lesson_has_the_exercises_of_its_solutions(path):
    cells = read(lesson_of(path)).cells
    names = [cell.id for cell in cells]
    in_lesson = cells[names.index(FIRST) + 1 : names.index(LAST)]
    expected = [(cell.id, cell.cell_type, cell.source) for cell in handed_out(read(path))]
    assert [(cell.id, cell.cell_type, cell.source) for cell in in_lesson] == expected
    assert f"solutions/{path.name}" in cells[names.index(FIRST)].source
    assert names.index("takeaways") < names.index(FIRST) and names[-1] == LAST
    for cell in code_cells(in_lesson):
        if cell.id.endswith("-check"):
            assert "still to do" in cell.outputs[0].text


@each_notebook
def test_exercises_go_from_a_prediction_to_a_piece_of_code(path):
    found = exercises(path)
    assert 3 <= len(found) <= 5
    minutes = []
    for number, (name, cells) in enumerate(found.items(), 1):
        title, facts = cells[0].source.split("\n")[0:3:2]
        assert title.startswith(f"### {number}. ")
        stated = re.fullmatch(r"\*(\d+) minutes · (easy|medium|hard)( · on paper)?\*", facts)
        minutes.append(int(stated[1]))
        if stated[3]:
            assert "<details><summary>Answer</summary>" in cells[0].source
            assert len(cells) == 1
        else:
            assert "<details><summary>Hint" in cells[0].source
            mistakes = [cell for cell in cells if "mistake" in tags(cell)]
            assert len(mistakes) >= 2
            for kind, graded in (("answer", "solution"), ("check", "grade")):
                facts = part(cells, kind).metadata.nbgrader
                assert facts[graded] and facts.grade_id == f"{name}-{kind}"
            assert part(cells, "check").metadata.nbgrader.points > 0
        assert cells[0].source.count("<details>") == cells[0].source.count("</details>")
    assert min(minutes) == 2 and max(minutes) in (15, 20)


@each_notebook
def test_committed_solutions_are_one_clean_run_on_mnist(path):
    notebook = read(path)
    nbformat.validate(notebook)
    cells = code_cells(notebook.cells)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert all(o.output_type != "error" and o.get("name") != "stderr" for o in outputs)
    shown = "\n".join(o.get("text", "") + o.get("data", {}).get("text/plain", "") for o in outputs)
    assert "MNIST (50000, 784)" in shown
    assert not re.search(r"(/home/|/root/|/tmp/|/Users/|/work/|[A-Z]:\\\\|\r)", shown)
    for cell in cells:
        if cell.id.endswith("-check"):
            assert cell.outputs[0].text.startswith("Right")
    assert path.stat().st_size <= 500_000


@each_notebook
def test_cells_are_short_and_have_readable_names(path):
    cells = read(path).cells
    names = [cell.id for cell in cells]
    assert len(set(names)) == len(names) and names[:2] == ["title", "parameters"]
    for cell in cells:
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", cell.id), cell.id
        assert set(tags(cell)) <= {"parameters", *ONLY_SOLUTIONS}
        if cell.cell_type == "code":
            lines = cell.source.splitlines()
            assert len(lines) <= 25, cell.id
            assert max(map(len, lines)) <= 110, cell.id


@pytest.fixture(scope="module")
def workplaces():
    """For each notebook of solutions the names that its set-up defines on the digits."""
    matplotlib.use("Agg")
    made = {}

    def workplace(path):
        if path not in made:
            made[path] = {}
            for cell in code_cells(split(read(path))[0]):
                run(cell.source, made[path])
                if "parameters" in tags(cell):
                    made[path] |= {"SOURCE": "digits", "EPOCHS": 3}  # quicker
        return made[path]

    return workplace


def run(source, names):
    """Run a cell; returns what it printed."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(source, "cell", "exec"), names)
    return printed.getvalue()


@pytest.mark.parametrize(
    "path, name",
    [
        pytest.param(*one, marks=pytest.mark.slow if one[1] in TRAIN_LONGER else (), id=name)
        for one, name in zip(WITH_CODE, NAMES, strict=True)
    ],
)
def test_check_tells_answer_stub_and_mistakes_apart(path, name, workplaces):
    names, cells = workplaces(path), exercises(path)[name]
    answer, check = part(cells, "answer").source, part(cells, "check").source
    for cell in code_cells(cells):  # what an exercise hands out besides, such as a picture
        if not tags(cell) and not cell.id.endswith(("-answer", "-check")):
            run(cell.source, names)

    run(without_answer(answer), names)
    start = time.perf_counter()
    with pytest.raises(AssertionError, match="is still to do: replace the dots"):
        run(check, names)
    assert time.perf_counter() - start < 5  # else "Run All" would wait for what nobody answered
    assert "is still to do: replace the dots" in run(without_answer(check), names)

    for cell in cells:
        if "mistake" in tags(cell):
            (message,), (code,) = MESSAGE.findall(cell.source), CODE.findall(cell.source)
            run(code, names)
            with pytest.raises(AssertionError, match=re.escape(message)):
                run(check, names)

    run(answer, names)
    assert run(check, names).startswith("Right")


@each_exercise
def test_a_lesson_knows_the_names_that_its_exercises_use(path, name):
    notebook, lesson = read(path), read(lesson_of(path))
    cells = code_cells(lesson.cells)
    first = [cell.id for cell in cells].index(f"{name}-check")
    known = {n for cell in cells[:first] for n in bound(cell.source)}
    own = code_cells(exercises(path)[name])
    used = {n for cell in own if not tags(cell) for n in free(cell.source)}
    assert used - known - set(dir(builtins)) == set()
    # And those names mean the same in both, as far as they are imported.
    imports = {n: line for c in cells[:first] for n, line in imported(c.source).items()}
    for cell in code_cells(notebook.cells):
        for n in imported(cell.source).keys() & used & imports.keys():
            assert imported(cell.source)[n] == imports[n], n


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS[1:2], ids=lambda path: path.stem)  # half a minute each
def test_answers_pass_where_the_lesson_leaves_off(path):
    """What a reader does: run the lesson, fill in the answers, run the checks."""
    lesson = read(lesson_of(path))
    names = [cell.id for cell in lesson.cells]
    # Up to the first playground stand the lesson's sections, and all names that exercises use.
    before = lesson.cells[: names.index("playground")]
    answered = [cell for cell in code_cells(split(read(path))[1]) if not tags(cell)]
    lesson.cells = before + answered
    parameters = {"SOURCE": "digits", "EPOCHS": 3}
    known = {cell.id: cell.source for cell in before}["parameters"]
    execute(lesson, {name: value for name, value in parameters.items() if name in known})
    for cell in answered:
        if cell.id.endswith("-check"):
            assert "\nRight" in "\n" + cell.outputs[0].text


def bound(source):
    """The names that a cell binds at its top level or in a loop there."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
    return names | set(imported(source))


def imported(source):
    """name → where a cell imports it from."""
    names = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {a.asname or a.name.split(".")[0]: a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return names


def free(source):
    """The names that a cell reads and does not bind anywhere itself."""
    tree = ast.parse(source)
    read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return read - bound(source) - arguments
