"""Make the notebooks from their sources: lessons/NN_name.md → two notebooks, executed on MNIST.

    python tools/lessons.py                  # every lesson
    python tools/lessons.py 03_kl_sparsity   # one of them
    python tools/lessons.py --check          # writes nothing: are sources and notebooks in step?

notebooks/NN_name.ipynb has the exercises as stubs, notebooks/solutions/NN_name_solutions.ipynb
answers them. Where no code was changed the old outputs stay and nothing is executed; `--again`
executes all the same, after a change of the package. A notebook is written only when it ran to its
end, so a failure leaves the old one as it was.

A cell's place is said by its tags in the source: `slide` and `notes` belong to the slides alone;
`solutions`, `mistake` and `worked` stand only in the worked answers, which begin with what the
lesson calls ex-…; `answer` loses what is between BEGIN and END SOLUTION on its way to the lesson.
"""

import argparse
import base64
import io
import re
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image

ROOT = Path(__file__).parent.parent
SOURCES, NOTEBOOKS = ROOT / "lessons", ROOT / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
ON_SLIDES = {"slide", "notes"}
ONLY_ANSWERS = {"solutions", "mistake", "worked"}
ANSWER = re.compile(r"^([ ]*)### BEGIN SOLUTION\n.*?### END SOLUTION", re.M | re.S)
HIDDEN = re.compile(r"\n### BEGIN HIDDEN TESTS\n.*?### END HIDDEN TESTS", re.S)
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
PEAK_MEMORY = "import resource\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


def sources():
    """The paths of all sources, in the order of the lessons."""
    return sorted(SOURCES.glob("*.md"))


def read(path):
    """A source as a notebook: each cell with its id, and its metadata as written in the file."""
    notebook = jupytext.read(path, fmt="md:myst")
    for number, cell in enumerate(notebook.cells):
        cell.id = cell.metadata.get("id", f"unnamed-{number}")
    return notebook


def lesson(source):
    """What is handed out: the lesson with its exercises as stubs, without outputs."""
    kept = [c for c in source.cells if not tags(c) & (ON_SLIDES | ONLY_ANSWERS)]
    cells = [_cell(c, HIDDEN.sub("", ANSWER.sub(r"\1...", c.source))) for c in kept]
    for cell, marked in zip(cells, kept, strict=True):
        if "slide" in marked.metadata:
            cell.metadata["slideshow"] = {"slide_type": marked.metadata["slide"]}
    return new_notebook(cells=cells, metadata=METADATA)


def solutions(source):
    """The exercises with answers, mistakes and results, ready for nbgrader, without outputs.

    Returns:
        a NotebookNode; None where the source has no exercises.
    """
    kept = [c for c in source.cells if "solutions" in tags(c) or c.id.startswith("ex-")]
    cells = [_cell(c, c.source) for c in kept]
    for cell, marked in zip(cells, kept, strict=True):
        if kind := tags(marked) & {"answer", "check"}:
            cell.metadata["nbgrader"] = {
                "grade": kind == {"check"},
                "grade_id": cell.id,
                "locked": kind == {"check"},
                "schema_version": 3,
                "solution": kind == {"answer"},
                "task": False,
            }
            if kind == {"check"}:
                cell.metadata.nbgrader["points"] = marked.metadata["points"]
    return new_notebook(cells=cells, metadata=METADATA) if cells else None


def tags(cell):
    return set(cell.metadata.get("tags", []))


def _cell(cell, source):
    """A cell of a notebook made from one of a source: no outputs, and only what Jupyter knows."""
    metadata = {key: cell.metadata[key] for key in ("alt",) if key in cell.metadata}
    kept = [t for t in cell.metadata.get("tags", []) if t not in {"answer", "check", "solutions"}]
    if kept:
        metadata["tags"] = kept
    make = new_code_cell if cell.cell_type == "code" else new_markdown_cell
    return make(source, id=cell.id, metadata=metadata)


def notebooks(path):
    """The notebooks that a source makes: path → NotebookNode without outputs."""
    source = read(path)
    made = {
        NOTEBOOKS / f"{path.stem}.ipynb": lesson(source),
        NOTEBOOKS / "solutions" / f"{path.stem}_solutions.ipynb": solutions(source),
    }
    return {path: notebook for path, notebook in made.items() if notebook}


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def differences(notebook, committed):
    """The ids of cells that are not the same in both, outputs aside; those that one lacks too."""
    facts = [
        {c.id: (i, c.cell_type, c.source, c.metadata) for i, c in enumerate(n.cells)}
        for n in (notebook, committed)
    ]
    names = [*facts[0], *(name for name in facts[1] if name not in facts[0])]
    return [name for name in names if facts[0].get(name) != facts[1].get(name)]


def keep_outputs(notebook, committed):
    """Give a notebook the outputs of the committed one, if all their code is the same.

    Returns:
        bool: whether it is.
    """
    new, old = code_of(notebook), code_of(committed)
    if [cell.source for cell in new] != [cell.source for cell in old]:
        return False
    for cell, before in zip(new, old, strict=True):
        cell.outputs, cell.execution_count = before.outputs, before.execution_count
    return True


def execute(notebook, parameters=None, timeout=1800):
    """Run a notebook in a fresh kernel, with its outputs cleaned; returns it.

    Args:
        notebook: a NotebookNode; changed in place.
        parameters: name → value, set in the cell tagged "parameters" for this run alone.
        timeout: seconds that a cell may take.

    Raises:
        RuntimeError: a cell failed; the message has its id.
    """
    asked = "".join(f"\n{name} = {value!r}" for name, value in (parameters or {}).items())
    marked = [cell for cell in notebook.cells if "parameters" in tags(cell)]
    running = []
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        record_timing=False,
        coalesce_streams=True,
        on_cell_start=lambda cell, cell_index: running.append(cell.id),
    )
    for cell in marked:
        cell.source += asked
    try:
        client.execute()
    except Exception as error:  # a failing cell, a dead kernel, too long a wait
        raise RuntimeError(f"cell {(running or ['?'])[-1]!r} stopped with {error}") from error
    for cell in marked:
        cell.source = cell.source.removesuffix(asked)
    for cell in code_of(notebook):
        cell.outputs = [clean(o) for o in cell.outputs if WIDGET_VIEW not in o.get("data", {})]
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


def clean(output):
    """An output without foreign metadata and progress-bar debris, its picture in 256 colours."""
    output.get("metadata", {}).clear()
    if output.output_type == "stream":
        output.text = last_states(output.text)
    elif "image/png" in output.get("data", {}):
        picture = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
        file = io.BytesIO()
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
            file, "PNG", optimize=True
        )
        output.data["image/png"] = base64.b64encode(file.getvalue()).decode("ascii")
    return output


def last_states(text):
    """What a terminal would show: of a line that was rewritten, the last state."""
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in text.split("\n")]
    return re.sub(r"\n{2,}\Z", "\n", "\n".join(lines))


def make(path, notebook, again):
    """Write a notebook, executed where that is needed; prints what it took."""
    start, report = time.perf_counter(), "no code was changed, so its outputs stay"
    if again or not (path.exists() and keep_outputs(notebook, nbformat.read(path, as_version=4))):
        notebook.cells.append(new_code_cell(PEAK_MEMORY))
        execute(notebook)
        megabytes = int(notebook.cells.pop().outputs[0].text) / 1024
        seconds = time.perf_counter() - start
        report = f"{seconds:.0f} s, the kernel took up to {megabytes:,.0f} MB"
    nbformat.write(notebook, path)
    print(f"{path.name}: {report}; the file has {path.stat().st_size / 1000:.0f} KB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("lessons", nargs="*", help="such as 03_kl_sparsity; default: all")
    parser.add_argument("--again", action="store_true", help="execute unchanged code as well")
    parser.add_argument("--check", action="store_true", help="write nothing: are all in step?")
    arguments = parser.parse_args()
    paths = [SOURCES / f"{Path(name).stem}.md" for name in arguments.lessons] or sources()
    for path in paths:
        if not path.exists():
            sys.exit(f"There is no {path.name} in lessons/: name one, such as 01_mse_baseline.")
        for target, notebook in notebooks(path).items():
            if arguments.check:
                there = target.exists()
                found = differences(notebook, nbformat.read(target, 4)) if there else ["all of it"]
                if found:
                    sys.exit(
                        f"{target.name} is not what lessons/{path.name} says: "
                        f"{', '.join(found)}. Run `make lessons`."
                    )
                continue
            try:
                make(target, notebook, arguments.again)
            except RuntimeError as error:
                sys.exit(f"{target.name} was left as it was: {error}")


if __name__ == "__main__":
    main()
