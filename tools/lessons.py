"""Make the notebooks from their sources: lessons/NN_name.md → two notebooks, executed on MNIST.

    python -m tools.lessons                  # every lesson; with names, those
    python -m tools.lessons --again          # also where no code of the notebook was changed
    python -m tools.lessons --check          # writes nothing: are sources and notebooks in step?

notebooks/NN_name.ipynb has the exercises as stubs, solutions/NN_name_solutions.ipynb their answers.
A notebook whose code is unchanged keeps its outputs; another is written when it ran to its end.
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

from tools.badges import pack

ROOT = Path(__file__).parent.parent
SOURCES, NOTEBOOKS = ROOT / "lessons", ROOT / "notebooks"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
METADATA = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
NOT_HANDED_OUT = {"slide", "notes", "solutions", "mistake", "worked"}
OF_THE_SOURCE = {"solutions", "answer", "check"}  # tags that no notebook needs
ANSWER = re.compile(r"^([ ]*)### BEGIN SOLUTION\n.*?### END SOLUTION", re.M | re.S)
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
BAR_TIMES = re.compile(r"(?<=\d \[)[\d:]+<[\d:?]+, +[\d.?]+(s/epoch|epoch/s)(, )?")
PEAK_MEMORY = "import resource\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


def sources():
    """The paths of all sources, in the order of the lessons."""
    return sorted(SOURCES.glob("*.md"))


def read(path):
    """A source as a notebook: each cell with its id, and its metadata as written in the file."""
    notebook = jupytext.read(path, fmt="md:myst")
    for number, cell in enumerate(notebook.cells):
        cell.id = cell.metadata.get("id", f"no-id-{number}")
    return notebook


def tags(cell):
    """The tags of a cell, as a set."""
    return set(cell.metadata.get("tags", []))


def code_cells(notebook):
    """The cells of a notebook that run, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def lesson(source):
    """The notebook that is handed out, answers replaced by dots; without outputs."""
    notebook = new_notebook(metadata=METADATA)
    for cell in source.cells:
        if not tags(cell) & NOT_HANDED_OUT:
            made = _cell(cell, ANSWER.sub(r"\1...", cell.source))
            if "slide" in cell.metadata:
                made.metadata["slideshow"] = {"slide_type": cell.metadata["slide"]}
            notebook.cells.append(made)
    return notebook


def solutions(source):
    """The exercises with all that belongs to them, ready for nbgrader; without outputs."""
    notebook = new_notebook(metadata=METADATA)
    for cell in source.cells:
        if "solutions" in tags(cell) or cell.id.startswith("ex-"):
            made = _cell(cell, cell.source)
            if tags(cell) & {"answer", "check"}:
                check = "check" in tags(cell)
                facts = dict(grade=check, locked=check, solution=not check, task=False)
                facts |= {"points": cell.metadata["points"]} if check else {}
                made.metadata["nbgrader"] = facts | {"grade_id": cell.id, "schema_version": 3}
            notebook.cells.append(made)
    return notebook


def _cell(cell, code):
    metadata = {"alt": cell.metadata["alt"]} if "alt" in cell.metadata else {}
    if kept := [tag for tag in cell.metadata.get("tags", []) if tag not in OF_THE_SOURCE]:
        metadata["tags"] = kept
    make = new_code_cell if cell.cell_type == "code" else new_markdown_cell
    return make(code, id=cell.id, metadata=metadata)


def notebooks(path):
    """What a source makes: path of a notebook → the notebook, without outputs."""
    source = read(path)
    answers = NOTEBOOKS / "solutions" / f"{path.stem}_solutions.ipynb"
    made = {NOTEBOOKS / f"{path.stem}.ipynb": lesson(source), answers: solutions(source)}
    return {path: pack(path, notebook) for path, notebook in made.items() if notebook.cells}


def differences(notebook, committed):
    """The ids of cells that are new, gone, moved or changed, outputs aside."""
    facts = [
        {cell.id: (i, cell.cell_type, cell.source, cell.metadata) for i, cell in enumerate(n.cells)}
        for n in (notebook, committed)
    ]
    return [name for name in facts[0] | facts[1] if facts[0].get(name) != facts[1].get(name)]


def keep_outputs(notebook, committed):
    """Give a notebook the outputs of another if, installing aside, its code is the same; is it?"""
    cells, old = code_cells(notebook), code_cells(committed)
    same = [cell.source for cell in cells[1:]] == [cell.source for cell in old[1:]]
    for cell, before in zip(cells, old, strict=True) if same else ():
        cell.outputs, cell.execution_count = before.outputs, before.execution_count
    return same


def execute(notebook, parameters=None):
    """Run a notebook in a fresh kernel, with its outputs cleaned; returns it.

    Args:
        notebook: a NotebookNode; changed in place.
        parameters: name → value, set in the cell tagged "parameters" for this run alone.

    Raises:
        RuntimeError: it stopped; the message has the cell's id and the error.
    """
    asked = "".join(f"\n{name} = {value!r}" for name, value in (parameters or {}).items())
    for cell in notebook.cells:
        cell.source += asked if "parameters" in tags(cell) else ""
    here, begun = {"metadata": {"path": str(NOTEBOOKS)}}, []
    client = NotebookClient(notebook, timeout=1800, resources=here)
    client.record_timing, client.coalesce_streams = False, True
    client.on_cell_start = lambda cell, cell_index: begun.append(cell.id)
    try:
        client.execute()
    except Exception as error:  # a cell's own, a kernel that died, or too long a wait
        raise RuntimeError(f"It stopped in cell {begun[-1:]} with this:\n{error}") from error
    for cell in code_cells(notebook):
        cell.source = cell.source.removesuffix(asked)
        cell.outputs = [clean(o) for o in cell.outputs if WIDGET_VIEW not in o.get("data", {})]
    notebook.metadata = nbformat.from_dict(METADATA)  # no widgets' states
    return notebook


def clean(output):
    """An output without a progress bar's earlier states and times, its picture in 256 colours."""
    output.get("metadata", {}).clear()
    if output.output_type == "stream":  # of a line that was rewritten, the last state
        lines = [line.rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in output.text.split("\n")]
        text = BAR_TIMES.sub("", "\n".join(lines))  # how busy the computer was is no result
        output.text = re.sub(r"\n{2,}\Z", "\n", text)
    if png := output.get("data", {}).get("image/png"):
        file, picture = io.BytesIO(), Image.open(io.BytesIO(base64.b64decode(png)))
        picture = picture.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE)  # grays the white
        picture.putpalette([255 if level > 247 else level for level in picture.getpalette()])
        picture.save(file, "PNG", optimize=True)
        output.data["image/png"] = base64.b64encode(file.getvalue()).decode("ascii")
    return output


def make(path, notebook, committed, again=False):
    """Write a notebook, executed where its code is new or `again` asks for it; returns a report."""
    report = "same code, so the outputs stay"
    if again or not keep_outputs(notebook, committed):
        start = time.perf_counter()
        notebook.cells.append(new_code_cell(PEAK_MEMORY))
        execute(notebook)
        megabytes = int(notebook.cells.pop().outputs[0].text) / 1024
        report = f"{time.perf_counter() - start:.0f} s, up to {megabytes:,.0f} MB"
    nbformat.write(notebook, path)
    return f"{path.name}: {report}; the file has {path.stat().st_size / 1000:.0f} KB"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("lessons", nargs="*", help="such as 03_kl_sparsity; default: all")
    parser.add_argument("--again", action="store_true", help="execute unchanged code as well")
    parser.add_argument("--check", action="store_true", help="write nothing; are all in step?")
    wanted = parser.parse_args()
    for source in [SOURCES / f"{Path(name).stem}.md" for name in wanted.lessons] or sources():
        if not source.exists():
            sys.exit(f"There is no {source.name} in lessons/: name one, such as 01_mse_baseline.")
        for path, notebook in notebooks(source).items():
            committed = nbformat.read(path, 4) if path.exists() else new_notebook()
            try:
                if not wanted.check:
                    print(make(path, notebook, committed, wanted.again), flush=True)
                elif changed := differences(notebook, committed):
                    sys.exit(f"{path.name} is behind {source.name} in {changed}: `make lessons`.")
            except RuntimeError as error:
                sys.exit(f"{path.name} was left as it was. {error}")


if __name__ == "__main__":
    main()
