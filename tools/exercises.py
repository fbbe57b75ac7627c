"""Keep the exercises at the end of every lesson in step with their worked answers.

    python -m tools.exercises            # execute the answers, then bring the lessons in step
    python -m tools.exercises --lessons  # only bring the lessons in step
    python -m tools.exercises 03_kl_sparsity

The one source is notebooks/solutions/NN_…_solutions.ipynb, which follows nbgrader's conventions:

- cells before the first prompt set up what the answers need, in the names that the lesson uses;
- a prompt (Markdown), an answer (code, nbgrader: solution) and a check (code, nbgrader: grade)
  share a name, such as ex-half-sse, ex-half-sse-answer, ex-half-sse-check;
- cells tagged `mistake` hold what is often got wrong and what the check says to it; cells tagged
  `worked` show what comes out. Neither is for the lesson, nor for what nbgrader hands out.

The exercises of a lesson, the cells between `exercises` and `next`, are the rest, answers removed.
"""

import argparse
import copy
import re
import sys
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError

from tools.execute_lessons import NOTEBOOKS, execute

SOLUTIONS = NOTEBOOKS / "solutions"
ANSWER = re.compile(r"^([ ]*)### BEGIN SOLUTION\n.*?### END SOLUTION", re.M | re.S)
HIDDEN = re.compile(r"\n### BEGIN HIDDEN TESTS\n.*?### END HIDDEN TESTS", re.S)
ONLY_SOLUTIONS = ("mistake", "worked")
FIRST, LAST = "exercises", "next"  # the lesson's cells between which the exercises stand


def solutions():
    """The paths of the notebooks with worked answers, in order."""
    return sorted(SOLUTIONS.glob("*_solutions.ipynb"))


def lesson_of(path):
    """The lesson whose exercises a notebook of solutions answers."""
    return NOTEBOOKS / path.name.replace("_solutions", "")


def without_answer(source):
    """A cell as nbgrader hands it out: dots in place of the answer, no hidden tests."""
    return HIDDEN.sub("", ANSWER.sub(r"\1...", source))


def split(notebook):
    """The cells of a notebook of solutions: (set-up, exercises with all that belongs to them)."""
    first = next(i for i, cell in enumerate(notebook.cells) if cell.id.startswith("ex-"))
    return notebook.cells[:first], notebook.cells[first:]


def handed_out(notebook):
    """The exercises as they stand in the lesson: copies of the cells, without answers."""
    _, cells = split(notebook)
    cells = [c for c in cells if not set(ONLY_SOLUTIONS) & set(c.metadata.get("tags", []))]
    cells = copy.deepcopy(cells)
    for cell in cells:
        cell.source = without_answer(cell.source)
        cell.metadata.pop("nbgrader", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return cells


def execute_solutions(path):
    """Execute a notebook of solutions in place; nbgrader's metadata stays."""
    notebook = nbformat.read(path, as_version=4)
    metadata = {cell.id: copy.deepcopy(cell.metadata) for cell in notebook.cells}
    execute(notebook)
    for cell in notebook.cells:
        cell.metadata = metadata[cell.id]
    nbformat.write(notebook, path)


def bring_in_step(path):
    """Write the exercises into the lesson, each stub and check with its output, unanswered."""
    notebook = nbformat.read(path, as_version=4)
    setup, _ = split(notebook)
    exercises = handed_out(notebook)
    notebook.cells = copy.deepcopy(setup) + exercises
    execute(notebook)

    lesson = nbformat.read(lesson_of(path), as_version=4)
    names = [cell.id for cell in lesson.cells]
    start, end = names.index(FIRST) + 1, names.index(LAST)
    old = {cell.id: cell for cell in lesson.cells[start:end]}
    for cell in exercises:
        cell.metadata = old[cell.id].metadata if cell.id in old else {}
    lesson.cells[start:end] = exercises
    code = [cell for cell in lesson.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, 1):
        cell.execution_count = number
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
    nbformat.write(lesson, lesson_of(path))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="lessons, such as 03_kl_sparsity; default: all")
    parser.add_argument("--lessons", action="store_true", help="do not execute the answers")
    arguments = parser.parse_args()
    paths = [SOLUTIONS / f"{Path(name).stem}_solutions.ipynb" for name in arguments.names]
    for path in paths or solutions():
        if not path.exists():
            sys.exit(f"There is no {path.name} in notebooks/solutions/.")
        try:
            if not arguments.lessons:
                execute_solutions(path)
            bring_in_step(path)
        except CellExecutionError as error:
            sys.exit(f"{path.name} stopped with an error, and was left as it was:\n{error}")
        print(path.name, flush=True)


if __name__ == "__main__":
    main()
