"""Turn the lessons into decks of slides: build/slides/NN_name.html, each a single file.

    python -m tools.slides

What a slide shows is said in lessons/NN_name.md, cell by cell:

    slide: slide      begins a slide; "-" goes on, "fragment" appears at the next key, "skip" is
                      left off
    code: true        the code is shown as well
    tags: [slide]     Markdown that stands on the slide in place of the cell above it; that cell's
                      questions follow by themselves, without their answers
    tags: [notes]     Markdown for the speaker view, to the cell above it

Of a code cell a slide shows the pictures that it made; where it made none and its code is not
shown, the tables and lines that it printed. These come from the executed notebook.
"""

import re
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from jinja2 import pass_context
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter

from tools import lessons, questions
from tools.formulas import mathml

TEMPLATES = Path(__file__).parent / "templates"
PROGRESS = re.compile(r".*\d+%\|.*\n?")


class Renderer(IPythonRenderer):
    """Markdown to HTML with formulas as MathML; predictions get a class of their own."""

    def paragraph(self, text):
        kind = ' class="predict"' if re.match("<strong>(Predict|Find)", text) else ""
        return f"<p{kind}>{text}</p>\n"

    def inline_math(self, body):
        return mathml(body)

    def block_math(self, body):
        return f'<span class="formula">{mathml(body, "block")}</span>'


class Deck(HTMLExporter):
    """nbconvert's HTML with the template of a deck."""

    def __init__(self):
        place = {
            "template_name": TEMPLATES.name,
            "extra_template_basedirs": [str(TEMPLATES.parent)],
        }
        super().__init__(template_file="deck.html.j2", **place)

    @pass_context
    def markdown2html(self, context, source):
        """The filter of this name in templates: pictures stand within the page."""
        options = {"escape": False, "exclude_anchor_links": True, "embed_images": True}
        return MarkdownWithMath(renderer=Renderer(path=str(lessons.NOTEBOOKS), **options)).render(
            source
        )

    def page(self, notebook):
        """The HTML of a notebook; the template knows styles, scripts and title as `course`."""
        course = {
            "title": notebook.cells[0].source.split("\n")[0].removeprefix("# "),
            "styles": [
                asset("reveal/reveal.css"),
                HtmlFormatter(style="default").get_style_defs(".highlight"),
                asset("deck.css"),
            ],
            "scripts": [asset("reveal/reveal.js"), asset("reveal/notes.js")],
        }
        html, _ = self.from_notebook_node(notebook, {"course": course})
        page = BeautifulSoup(html, features="html.parser")
        for style in page.select("style[scoped]"):  # of pandas, as borders are
            style.decompose()
        for table in page.select("table"):
            del table["border"]
            tidy_head(table)
        return str(page)


def asset(name):
    """The text of a file beside the template."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def tidy_head(table):
    """Drop a head without text, as Markdown must have, or join pandas' two rows in one."""
    rows = table.select("thead tr")
    if rows and not rows[0].text.strip():
        table.thead.decompose()
    elif len(rows) == 2 and not rows[1].select("th")[-1].text.strip():  # the index's name alone
        for above, below in zip(rows[0].select("th"), rows[1].select("th"), strict=True):
            above.string = below.text or above.text
        rows[1].decompose()


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
            above.source = "\n\n".join([cell.source, *questions.asked(above.source)])
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
    for cell in cells:
        cell.source = questions.unanswered(cell.source)
    return nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)


def make(folder):
    """Write the deck of every lesson into a folder; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for path in sorted(lessons.SOURCES.glob("0*.md")):
        notebook = nbformat.read(lessons.NOTEBOOKS / f"{path.stem}.ipynb", as_version=4)
        deck = Deck().page(as_slides(lessons.read(path), notebook))
        files.append(folder / f"{path.stem}.html")
        files[-1].write_text(deck, encoding="utf-8")
    return files


if __name__ == "__main__":
    for file in make(lessons.ROOT / "build" / "slides"):
        print(f"{file.relative_to(lessons.ROOT)}: {file.stat().st_size / 1000:.0f} KB")
