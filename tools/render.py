"""What slides and pages share: how a notebook becomes one HTML file that needs no network."""

import re
from pathlib import Path

from bs4 import BeautifulSoup
from jinja2 import pass_context
from latex2mathml.converter import convert
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter

from tools.lessons import NOTEBOOKS

TEMPLATES = Path(__file__).parent / "templates"
SCROLL = {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": "Table"}


def mathml(formula, display="inline"):
    """A formula in LaTeX as MathML, which browsers draw without any help."""
    math = convert(formula, display=display)
    # A prime is drawn raised already: as an exponent it would fly off.
    prime = r"<msup>(<mi>\w</mi>)<mi>(&#x02032;)</mi></msup>"
    math = re.sub(prime, r'<mrow>\1<mo lspace="0" rspace="0">\2</mo></mrow>', math)
    # Bars of a norm are as high as letters, also where an exponent stands beside one of them.
    math = math.replace("<mo>&#x02016;</mo>", '<mo stretchy="false">&#x02016;</mo>')
    # The name of a function keeps a little room to its left.
    return re.sub(r"<mi>[a-z]{2,}</mi>", r'<mspace width="0.167em"/>\g<0>', math)


class Renderer(IPythonRenderer):
    """Markdown to HTML with formulas as MathML; predictions get a class of their own."""

    def paragraph(self, text):
        kind = ' class="predict"' if re.match("<strong>(Predict|Find)", text) else ""
        return f"<p{kind}>{text}</p>\n"

    # HTML stays as it stands: IPython's renderer would close an open tag, as of a folded hint.
    def inline_html(self, html):
        return html

    def block_html(self, html):
        return re.sub(r"\$(.+?)\$", lambda found: mathml(found[1]), html) + "\n"

    def inline_math(self, body):
        return mathml(body)

    def block_math(self, body):
        return f'<span class="scroll formula" tabindex="0">{mathml(body, "block")}</span>'


def markdown(source, folder=NOTEBOOKS):
    """Markdown as HTML with its pictures inside; `folder` is where their paths start."""
    options = {"escape": False, "exclude_anchor_links": True, "embed_images": True}
    return MarkdownWithMath(renderer=Renderer(path=str(folder), **options)).render(source)


def code_style(name):
    """The style sheet of highlighted code, of a style that Pygments knows."""
    return HtmlFormatter(style=name).get_style_defs(".highlight")


def asset(name):
    """The text of a file beside the templates."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def heading(notebook):
    """The text of the heading that a notebook begins with."""
    return re.match("# (.*)", notebook.cells[0].source)[1]


class Exporter(HTMLExporter):
    """nbconvert's HTML with a template of ours.

    Args:
        template: the name of a file in tools/templates.
        folder: where paths in Markdown start.
    """

    def __init__(self, template, folder=NOTEBOOKS):
        place = {
            "template_name": TEMPLATES.name,
            "extra_template_basedirs": [str(TEMPLATES.parent)],
        }
        super().__init__(template_file=template, **place)
        self.folder = folder

    @pass_context
    def markdown2html(self, context, source):
        """The filter of this name in templates."""
        return markdown(source, self.folder)

    def page(self, notebook, **course):
        """A notebook's HTML as a BeautifulSoup; the template knows `course` by that name."""
        html, _ = self.from_notebook_node(notebook, {"course": course})
        page = BeautifulSoup(html, features="html.parser")
        for style in page.select("style[scoped]"):  # of pandas, as borders are
            style.decompose()
        for table in page.select("table"):
            del table["border"]
            tidy_head(table)
            table.wrap(page.new_tag("div", attrs=SCROLL))
        return page


def tidy_head(table):
    """Drop a head without text, as Markdown must have, or join pandas' two rows in one."""
    rows = table.select("thead tr")
    if rows and not rows[0].text.strip():
        table.thead.decompose()
    elif len(rows) == 2 and not rows[1].select("th")[-1].text.strip():  # the index's name alone
        for above, below in zip(rows[0].select("th"), rows[1].select("th"), strict=True):
            above.string = below.text or above.text
        rows[1].decompose()
