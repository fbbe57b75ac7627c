"""Turn the lessons into pages to read: build/site/index.html and a page for each lesson.

    python -m tools.publish.pages

They need neither a kernel nor a network. A cell that calls SweepExplorer becomes sliders over the
committed sweep, with the values and words of the widget; of a playground it is said where it runs.
"""

import ast
import itertools
import json
import os
import re
import shutil
from pathlib import Path

from bs4 import BeautifulSoup
from markupsafe import Markup

from helpers import sweep_picture
from sweep_explorer import SweepExplorer
from tools.publish.lessons import (
    BUILD,
    NOTEBOOKS,
    ROOT,
    LessonExporter,
    asset,
    first_sentence,
    highlighting,
    lessons,
    markdown,
    read,
    title,
)


def notebooks():
    """The notebooks that become pages, in the order in which they are read."""
    return [*lessons(), *sorted(NOTEBOOKS.glob("appendix_*.ipynb"))]


def explorer_arguments(source):
    """What a cell hands to SweepExplorer: (positional, by name), or None if it does not call it.

    Raises:
        ValueError: they are not plain values, which alone can be read without running the cell.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "SweepExplorer":
            named = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
            return [ast.literal_eval(value) for value in node.args], named
    return None


def explorer_states(explorer):
    """All that a SweepExplorer can show, as its own widgets say it.

    Returns:
        sliders: a dict for each, with label, texts (one for each place) and place at the start.
        states: "i,j" → a dict with words and scatter (HTML) and the name of the setting or None,
            for each place i of the first slider, j of the second, and so on.
    """
    sliders = explorer._sliders  # name → widget
    described = [
        {
            "label": slider.description,
            "texts": [text for text, _ in slider.options],
            "place": slider.index,
        }
        for slider in sliders.values()
    ]
    states = {}
    for places in itertools.product(*(range(len(s.options)) for s in sliders.values())):
        for slider, place in zip(sliders.values(), places, strict=True):
            slider.index = place
        states[",".join(map(str, places))] = {
            "words": explorer._words.value,
            "scatter": explorer._scatter.value,
            "setting": explorer.setting(**{n: s.value for n, s in sliders.items()}),
        }
    return described, states


def explorer(cell, site):
    """What the page's template needs for a cell that calls SweepExplorer, else None.

    Args:
        site: the folder of the pages, into which the sweep's pictures are copied.
    """
    if cell.cell_type != "code" or "SweepExplorer(" not in cell.source:
        return None
    positional, named = explorer_arguments(cell.source)
    sliders, states = explorer_states(SweepExplorer(*positional, **named))
    folder = site / "sweep"
    folder.mkdir(parents=True, exist_ok=True)
    for state in states.values():
        for kind in ("features", "reconstructions"):
            if state["setting"]:
                file = sweep_picture(state["setting"], kind)
                shutil.copy(file, folder)
                state[kind] = f"sweep/{file.name}"
    start = ",".join(str(slider["place"]) for slider in sliders)
    # Within a script element nothing but "</" can end it.
    data = Markup(json.dumps(states, ensure_ascii=False).replace("</", "<\\/"))
    return {"id": cell.id, "sliders": sliders, "start": states[start], "data": data}


def with_links(page, folder, site):
    """A page, HTML, whose links to files lead to pages, or to copies that lie beside them.

    Args:
        folder: that of the file which the page was made of.
        site: that of the pages.
    """
    pages = {path: f"{path.stem}.html" for path in notebooks()}
    soup = BeautifulSoup(page, features="html.parser")
    for element in soup.select("main a[href]"):
        link, _, place = element["href"].partition("#")
        if not link or link in pages.values() or re.match(r"[a-z]+:", link):
            continue
        file = Path(os.path.normpath(folder / link))
        if file in pages:
            element["href"] = pages[file] + (f"#{place}" if place else "")
            continue
        copy = site / "files" / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
        element["href"] = copy.relative_to(site).as_posix()
    return str(soup)


def table_of_contents():
    """For each page: file, title, question, and the minutes it takes, from the notebook's head."""
    for path in notebooks():
        head = read(path).cells[0].source
        asks = re.search(r"^\*\*Question:\*\* .*", head, re.M)[0]
        question = first_sentence(asks).partition(" ")[2]
        time = re.search(r"^\| Time \| (.*) \|$", head, re.M)[1]
        yield {
            "file": f"{path.stem}.html",
            "title": title(read(path)),
            "question": Markup(markdown(question[0].upper() + question[1:])),
            "time": Markup(markdown(time)),
        }


def styles():
    dark = f"@media (prefers-color-scheme: dark) {{\n{highlighting('github-dark')}\n}}"
    return [highlighting("default"), Markup(dark), asset("page.css")]


def page(path, contents, site):
    """The HTML of a notebook's page; `contents` as from table_of_contents, in a list."""
    notebook = read(path)
    for cell in notebook.cells:
        cell.metadata["explorer"] = explorer(cell, site)
        cell.metadata["playground"] = cell.id == "playground-run"
    here = [entry["file"] for entry in contents].index(f"{path.stem}.html")
    html = LessonExporter("page").page(
        notebook,
        title=title(notebook),
        styles=styles(),
        script=asset("explorer.js"),
        before=contents[here - 1] if here else None,
        after=contents[here + 1] if here + 1 < len(contents) else None,
    )
    return with_links(html, path.parent, site)


def front_page(contents, site):
    """The HTML of the page of contents, which opens with the head of the README."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    head = markdown(readme.split("\n## ")[0], ROOT)
    template = LessonExporter("page").environment.get_template("contents.html.j2")
    course = {"title": re.match("# (.*)", readme)[1], "styles": styles()}
    html = template.render(course=course, head=head, contents=contents)
    return with_links(html, ROOT, site)


def make(site):
    """Write all pages into a folder, which is emptied first; returns their paths."""
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    contents = list(table_of_contents())
    made = {"index": front_page(contents, site)}
    made |= {path.stem: page(path, contents, site) for path in notebooks()}
    for name, html in made.items():
        (site / f"{name}.html").write_text(html, encoding="utf-8")
    return [site / f"{name}.html" for name in made]


def main():
    front, *others = make(BUILD / "site")
    print(f"{len(others)} pages and their contents: open {front.relative_to(ROOT)} in a browser")


if __name__ == "__main__":
    main()
