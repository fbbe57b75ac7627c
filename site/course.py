"""A Sphinx extension: what pages of this course have that others' pages have not.

Formulas become MathML, which browsers draw without any help. Two tags of cells, as lessons/*.md
give them, ask for more than text:

    explorer      the cell names its SweepExplorer `explorer`: below it stands the same, answering
                  without a kernel
    playground    the cell needs a kernel: below it stands the page that trains without one, with
                  the lesson's settings
"""

import base64
import json
import re
from pathlib import Path

import nbformat
from docutils import nodes
from nbformat.v4 import new_raw_cell
from sphinx.addnodes import pending_xref

from sparse_autoencoder.images import load_images
from sparse_autoencoder.playground import controls
from sparse_autoencoder.playground.sweep import LABELS
from sparse_autoencoder.tables import sweep_picture
from tools import live
from tools.badges import unpack
from tools.formulas import mathml
from tools.lessons import tags
from tools.questions import framed

HERE = Path(__file__).parent
# Where a lesson's playground starts, as the live page's address has it.
PLAYGROUNDS = {
    "notebooks/01_mse_baseline": "beta=0&lam2=0",
    "notebooks/02_l2_penalty": "beta=0&lam2=0.01",
    "notebooks/03_kl_sparsity": "rho=0.05&beta=3&lam2=0.003",
    "notebooks/04_relu_l1": "lam1=0.1&lam2=0.001",
}
MORE = {"notebooks/solutions/README": "\n```{toctree}\n:hidden:\n:glob:\n\n*_solutions\n```\n"}
NEEDS_A_KERNEL = (
    '<p class="note">This one computes in a kernel, so run the notebook in JupyterLab. '
    "Below is a still picture of it.</p>"
)
PLAYGROUND = """
<figure class="playground">
<iframe src="../live.html#{0}&amp;embed=1" loading="lazy" title="Playground: a sparse autoencoder
that trains in this page"></iframe>
<figcaption>The playground trains in this page, on fewer images than in the notebook, and with all
sliders. <a href="../live.html#{0}">Open it on a page of its own.</a></figcaption>
</figure>
"""
EXPLORER = """
<div class="explorer" role="group" aria-label="Sweep explorer"></div>
<script type="application/json">{0}</script>
<style>{1}</style>
<script type="module">
{2}
{3}
</script>
"""


def explorer(source):
    """HTML of an explorer.

    Args:
        source: of the cell that makes it.
    """
    names = {}
    exec(source, names)
    shown = names["explorer"]
    said = {"models": shown.models, "places": shown.places, "labels": LABELS}
    said["sliders"] = [
        {"label": s.description, "texts": [text for text, _ in s.options], "place": s.index}
        for s in shown.sliders.values()
    ]
    for kind in ("features", "reconstructions"):
        files = [sweep_picture(model["setting"], kind) for model in shown.models]
        said[kind] = [base64.b64encode(file.read_bytes()).decode() for file in files]
    data = json.dumps(said, ensure_ascii=False).replace("</", "<\\/")
    style = (controls.HERE / "view.css").read_text("utf-8")
    view = live.view_script(controls.EXPLORER)
    return EXPLORER.format(data, style, view, (HERE / "explorer.js").read_text("utf-8"))


def playground(name):
    """HTML of the playground of a lesson, by the name of its page."""
    start = PLAYGROUNDS.get(name)
    return PLAYGROUND.format(start.replace("&", "&amp;")) if start else NEEDS_A_KERNEL


def read(app, name, source):
    """Sphinx read a file: prepare it for the page of this name, in place."""
    if app.env.doc2path(name).suffix != ".ipynb":
        if name.count("/") < 2:  # deeper, it is another README
            source[0] = source[0].replace("](../README.md", "](../index.md")
        source[0] += MORE.get(name, "")
        return
    notebook = unpack(nbformat.reads(source[0], 4))
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if cell.cell_type == "markdown":
            cell.source = framed(cell.source)
        if "alt" in cell.metadata:
            cell.metadata.mystnb = {"image": {"alt": cell.metadata.alt}}
        if "explorer" in tags(cell):
            html = explorer(cell.source)
        elif "playground" in tags(cell):
            html = playground(name)
        else:
            continue
        cells.append(new_raw_cell(html, metadata={"format": "text/html"}))
    notebook.cells = cells
    source[0] = nbformat.writes(notebook)


def improve(app, page):
    """Sphinx parsed a page: lead words to the glossary, mend what cells printed and raw HTML."""
    for strong in list(page.findall(nodes.strong)):
        # What is bold is explained there; what the glossary knows leads to it.
        target = dict(refdomain="std", reftype="term", reftarget=strong.astext(), refexplicit=True)
        if app.env.docname.startswith("notebooks/"):
            strong.replace_self(pending_xref("", strong.deepcopy(), **target))
    for link in page.findall(nodes.reference):  # those that a cell printed lead to notebooks
        if re.fullmatch(r"\w+\.ipynb", link.get("refuri", "")):
            link["refuri"] = link["refuri"].replace(".ipynb", ".html")
    for html in list(page.findall(nodes.raw)):
        if html.astext().startswith("<details"):
            text = re.sub(r"\$(.+?)\$", lambda found: mathml(found[1]), html.astext())
            text = re.sub(r'(href="\w+)\.ipynb', r"\1.html", text)
            html.replace_self(nodes.raw("", text, format="html"))
    for head in list(page.findall(nodes.thead)):
        if not head.astext().strip():
            head.parent.remove(head)


def write_inline(writer, node):
    """Write a formula within a line."""
    writer.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def write_block(writer, node):
    """Write a formula on a line of its own."""
    formula = mathml(node.astext(), "block")
    writer.body.append(f'<div class="formula" tabindex="0">{formula}</div>')
    raise nodes.SkipNode


def make_live(app):
    """Put the live page beside the others."""
    live.make(Path(app.outdir) / "live.html", load_images())


def setup(app):
    """Tell Sphinx all this; it calls this function."""
    app.add_html_math_renderer("mathml", (write_inline, None), (write_block, None))
    app.connect("builder-inited", make_live)
    app.connect("source-read", read)
    app.connect("doctree-read", improve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
