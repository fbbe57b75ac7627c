"""Turn the lessons into decks of slides: build/slides/NN_name.html, each a single file.

    python -m tools.slides

What a slide shows is said in lessons/NN_name.md, cell by cell:

    slide: slide      begins a slide; "-" goes on, "fragment" appears at the next key, "skip" is
                      left off
    code: true        the code is shown as well
    tags: [slide]     Markdown that stands on the slide in place of the cell above it
    tags: [notes]     Markdown for the speaker view, to the cell above it

Of a code cell a slide shows the pictures that it made; where it made none and its code is not
shown, the tables and lines that it printed. These come from the executed notebook.
"""

import re

import nbformat

from tools import lessons
from tools.render import Exporter, asset, code_style, heading

PROGRESS = re.compile(r".*\d+%\|.*\n?")


def shown(outputs, beside_code):
    """Those of a cell's outputs that a slide shows."""
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    if pictures or beside_code:
        return pictures
    for output in outputs:
        if output.output_type == "stream":
            output.text = PROGRESS.sub("", output.text).strip("\n")
    return [output for output in outputs if output.get("text") != ""]


def as_slides(source, notebook):
    """The cells of a deck, as a notebook, from a lesson's source and the executed notebook."""
    outputs = {cell.id: cell.get("outputs", []) for cell in notebook.cells}
    cells, section, above = [], "", None
    for cell in source.cells:
        if "slide" in lessons.tags(cell):
            above.source = cell.source
            continue
        if "notes" in lessons.tags(cell):
            above.metadata.notes = cell.source
            continue
        above = cell
        if begun := re.match(r"## (?:\d+\. )?(.*)", cell.source):
            section = begun[1]
        if cell.metadata.get("slide", "skip") == "skip":
            continue
        cell.metadata.section = "" if cell.source.startswith("#") else section
        if cell.cell_type == "code":
            code = cell.metadata.get("code", False)
            cell.outputs = shown(outputs[cell.id], code)
            cell.metadata.transient = {"remove_source": not code}  # nbconvert's word for it
        cells.append(cell)
    return nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)


def make(folder):
    """Write the deck of every lesson into a folder; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for path in sorted(lessons.SOURCES.glob("0*.md")):
        notebook = nbformat.read(lessons.NOTEBOOKS / f"{path.stem}.ipynb", as_version=4)
        deck = Exporter("deck.html.j2").page(
            as_slides(lessons.read(path), notebook),
            title=heading(notebook),
            styles=[asset("reveal/reveal.css"), code_style("default"), asset("deck.css")],
            scripts=[asset("reveal/reveal.js"), asset("reveal/notes.js")],
        )
        files.append(folder / f"{path.stem}.html")
        files[-1].write_text(str(deck), encoding="utf-8")
    return files


if __name__ == "__main__":
    for file in make(lessons.ROOT / "build" / "slides"):
        print(f"{file.relative_to(lessons.ROOT)}: {file.stat().st_size / 1000:.0f} KB")
