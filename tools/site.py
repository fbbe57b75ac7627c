"""Turn the lessons into pages to read: build/site/index.html and a page for each lesson.

    python -m tools.site

They need neither a kernel nor a network. Two tags in lessons/NN_name.md ask for more than text:

    explorer      a cell that names its SweepExplorer `explorer`: it becomes sliders over the
                  committed sweep, with the values and words of the widget
    playground    a cell that can only run in JupyterLab: the page says so
"""

import json
import re
import shutil

import nbformat
from markupsafe import Markup

from sparse_autoencoder.playground.sweep import LABELS
from sparse_autoencoder.tables import sweep_picture
from tools import lessons
from tools.badges import IN_README, unpack
from tools.render import Exporter, asset, code_style, heading
from tools.scatter import scatter_svg

DARK = f"@media (prefers-color-scheme: dark) {{\n{code_style('github-dark')}\n}}"


def explorer(cell, site):
    """What the template needs for a cell with an explorer; its pictures are copied into site."""
    names = {}
    exec(cell.source, names)
    shown = names["explorer"]
    (site / "sweep").mkdir(exist_ok=True)
    models = [dict(model) for model in shown.models]
    for model in models:
        for kind in ("features", "reconstructions"):
            file = sweep_picture(model["setting"], kind)
            shutil.copy(file, site / "sweep")
            model[kind] = f"sweep/{file.name}"
    sliders = [
        {"label": s.description, "texts": [text for text, _ in s.options], "place": s.index}
        for s in shown.sliders.values()
    ]
    start = shown.places[",".join(str(slider["place"]) for slider in sliders)]
    x, y = ([model[axis] for model in models] for axis in "xy")
    data = json.dumps({"models": models, "places": shown.places}, ensure_ascii=False)
    return {
        "sliders": sliders,
        "start": models[start],
        "scatter": Markup(scatter_svg(x, y, **LABELS)),
        # Within a script element nothing but "</" can end it.
        "data": Markup(data.replace("</", "<\\/")),
    }


def with_links(page, folder, site):
    """Make links, which start in `folder`, lead to pages, or to copies of files beside them."""
    for element in page.select("main a[href]"):
        link, place = re.fullmatch("([^#]*)(.*)", element["href"]).groups()
        if not link or re.match("[a-z]+:", link):
            continue
        file = (folder / link).resolve()
        copy = site / f"{file.stem}.html"
        if file.parent != lessons.NOTEBOOKS:
            copy = site / "files" / file.relative_to(lessons.ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)
        element["href"] = copy.relative_to(site).as_posix() + place


def contents(notebooks):
    """The front page as a notebook: the README's head, then each lesson's question and minutes.

    Both stand in a lesson's first cell: **Question:** begins a paragraph, | Time | a table's row.
    """
    readme = (lessons.ROOT / "README.md").read_text(encoding="utf-8")
    entries = ["## Contents"]
    for stem, notebook in notebooks.items():
        head = notebook.cells[0].source
        question = re.search(r"^\*\*Question:\*\* (.*\?)", head, re.M)[1]
        time = re.search(r"^\| Time \| (.*) \|$", head, re.M)[1]
        entries.append(f"- **[{heading(notebook)}](notebooks/{stem}.ipynb)**")
        entries.append(f"  {question[0].upper()}{question[1:]}\n\n  *{time}*")
    texts = [IN_README.sub("", readme.split("\n## ")[0]), "\n\n".join(entries)]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text) for text in texts])


def write(notebook, folder, file, nav):
    """Write the page of a notebook whose paths start in `folder`.

    `nav` has links to other pages, as (relation, address, text).
    """
    page = Exporter("page.html.j2", folder).page(
        notebook,
        title=heading(notebook),
        nav=nav,
        styles=[code_style("default"), DARK, asset("page.css")],
        script=asset("explorer.js"),
    )
    with_links(page, folder, file.parent)
    file.write_text(str(page), encoding="utf-8")


def make(site):
    """Write all pages into a folder, which is emptied first; returns their paths."""
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    stems = [path.stem for path in lessons.sources()]
    notebooks = {stem: nbformat.read(lessons.NOTEBOOKS / f"{stem}.ipynb", 4) for stem in stems}
    write(contents(notebooks), lessons.ROOT, site / "index.html", [])
    links = [(f"{stem}.html", heading(notebook)) for stem, notebook in notebooks.items()]
    for number, (stem, notebook) in enumerate(notebooks.items()):
        for cell in unpack(notebook).cells:
            if "explorer" in lessons.tags(cell):
                cell.metadata.explorer = explorer(cell, site)
        nav = [("prev", *link) for link in links[:number][-1:]]
        nav += [("up", "index.html", "Contents")]
        nav += [("next", *link) for link in links[number + 1 :][:1]]
        write(notebook, lessons.NOTEBOOKS, site / f"{stem}.html", nav)
    return [site / f"{stem}.html" for stem in ["index", *stems]]


if __name__ == "__main__":
    front, *others = make(lessons.ROOT / "build" / "site")
    print(f"{len(others)} pages and their contents: open {front} in a browser")
