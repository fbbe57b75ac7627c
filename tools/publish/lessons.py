"""What slides and pages share: which notebooks there are, and how a cell becomes HTML."""

import base64
import re
import struct
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from latex2mathml.converter import convert
from markupsafe import Markup
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "build"
HERE = Path(__file__).parent


def lessons():
    """The paths of the lessons, in order."""
    return sorted(NOTEBOOKS.glob("0[0-9]_*.ipynb"))


def read(path):
    return nbformat.read(path, as_version=4)


def title(notebook):
    """The text of the notebook's one heading of the first level."""
    return re.match(r"# (.*)", notebook.cells[0].source)[1]


def first_sentence(paragraph):
    """Up to the first full stop, question or exclamation mark that a new sentence follows; the
    lesson's question in full."""
    if paragraph.startswith("**Question"):
        return paragraph[: paragraph.rindex("?") + 1]
    found = re.match(r"(.+?[.?!][*\")]*)(?=\s+[A-Z*(\"]|$)", " ".join(paragraph.split()))
    return found[1] if found else paragraph


def asset(name):
    """The text of a file beside this module, to be put into a page as it is."""
    return Markup((HERE / name).read_text(encoding="utf-8"))


def highlighting(style):
    """The style sheet of highlighted code."""
    return Markup(HtmlFormatter(style=style).get_style_defs(".highlight"))


def mathml(formula, display="inline"):
    """A formula in LaTeX as MathML."""
    math = convert(formula, display=display)
    # A prime is drawn raised already: as an exponent it would fly off.
    prime = r"<msup>(<mi>\w</mi>)<mi>(&#x02032;)</mi></msup>"
    math = re.sub(prime, r'<mrow>\1<mo lspace="0" rspace="0">\2</mo></mrow>', math)
    # Bars of a norm are as high as letters, also where an exponent stands beside one of them.
    math = math.replace("<mo>&#x02016;</mo>", '<mo stretchy="false">&#x02016;</mo>')
    # The name of a function keeps a little room to its left.
    return re.sub(r"<mi>[a-z]{2,}</mi>", r'<mspace width="0.167em"/>\g<0>', math)


class Renderer(IPythonRenderer):
    """Markdown to HTML, with formulas as MathML, which browsers draw without any help."""

    def paragraph(self, text):
        kind = ' class="predict"' if re.match("<strong>(Predict|Find)", text) else ""
        return f"<p{kind}>{text}</p>\n"

    # An open tag, such as that of a folded hint: embedding pictures would close it.
    def inline_html(self, html):
        return html

    def block_html(self, html):  # in which Jupyter sets formulas as well
        return re.sub(r"\$(.+?)\$", lambda found: mathml(found[1]), html) + "\n"

    def inline_math(self, body):
        return mathml(body)

    def block_math(self, body):
        return f'<span class="scroll formula" tabindex="0">{mathml(body, "block")}</span>'


def markdown(source, folder=NOTEBOOKS):
    """Markdown text as HTML, its pictures in it; `folder` is where their paths start."""
    renderer = Renderer(
        escape=False, exclude_anchor_links=True, embed_images=True, path=str(folder)
    )
    return MarkdownWithMath(renderer=renderer).render(source)


class LessonExporter(HTMLExporter):
    """nbconvert's HTML with our templates, MathML, and no word of Jupyter's widgets.

    A picture's description is its cell's metadata "alt".
    """

    exclude_anchor_links = True

    def __init__(self, template):
        super().__init__(
            template_name=template,
            template_file="index.html.j2",
            extra_template_basedirs=[str(HERE / "templates")],
        )

    def markdown2html(self, context, source):
        return markdown(source)

    def default_filters(self):
        yield from super().default_filters()
        yield "markdown2html", lambda source: markdown(source)
        yield "png_size", png_size
        yield "columns", columns

    def page(self, notebook, **resources):
        """The HTML of a notebook; `resources` are what the template knows by these names."""
        page, _ = self.from_notebook_node(notebook, {"course": resources})
        return str(_tidy(BeautifulSoup(page, features="html.parser")))


def png_size(png):
    """Width and height, in pixels, of a PNG in base64."""
    return struct.unpack(">II", base64.b64decode(png[:44])[16:24])


def columns(text):
    """The length of the longest line."""
    return max(map(len, text.splitlines()), default=0)


def _tidy(page):
    """Take pandas' styles off its tables, and let every table scroll inside itself."""
    for head in page.select("thead"):
        if not head.text.strip():  # Markdown has no table without a head
            head.decompose()
    for style in page.select("style[scoped]"):
        style.decompose()
    for table in page.select("table"):
        del table["border"]
        _one_header(table)
        box = {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": "Table"}
        table.wrap(page.new_tag("div", attrs=box))
    return page


def _one_header(table):
    """pandas puts the index's name into a row of its own: move it into the first row."""
    rows = table.select("thead tr")
    if len(rows) == 2 and not any(th.text.strip() for th in rows[1].select("th + th:last-child")):
        for above, below in zip(rows[0].select("th"), rows[1].select("th"), strict=True):
            if below.text.strip():
                above.string = below.text
        rows[1].decompose()
