"""The pages, made as `make site` does and opened in Debian's Chromium."""

import json
import re
import urllib.parse

import nbformat
import pytest
from bs4 import BeautifulSoup

from sparse_autoencoder.tables import sweep_picture
from tools import lessons, site
from tools.render import markdown
from tools.scatter import scatter_svg

STEMS = [path.stem for path in lessons.sources()]
NOTEBOOKS = {stem: nbformat.read(lessons.NOTEBOOKS / f"{stem}.ipynb", 4) for stem in STEMS}
NAMES = [f"{stem}.html" for stem in STEMS]

# What is wrong with a page on a phone, and the luminance of its colours, as WCAG defines it.
MEASURE = """() => {
    const all = (selector) => [...document.querySelectorAll(selector)];
    const light = ([selector, property]) => all(selector).slice(0, 1).map((element) => {
        const [r, g, b] = getComputedStyle(element)[property].match(/\\d+/g)
            .map((part) => part / 255)
            .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    });
    const faults = [
        ...all("body *").filter((element) => element.getBoundingClientRect().right > 391)
            .filter((element) => !element.closest("pre, .scroll")),  // which scroll by themselves
        ...all("img").filter((image) => !image.naturalWidth),
        ...all("main > .cell > .text math").filter((math) => math.clientHeight <= 5),
    ];
    return {
        faults: faults.map((element) => element.outerHTML.slice(0, 100)),
        width: document.documentElement.scrollWidth,
        ground: light(["body", "backgroundColor"])[0],
        pictures: light(["figure img", "backgroundColor"]),
        texts: [["main p", "color"], ["main a", "color"], ["pre.output", "color"]].flatMap(light),
    };
}"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Name of a page → its file and its HTML."""
    files = site.make(tmp_path_factory.mktemp("site"))
    read = [BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser") for file in files]
    return {file.name: (file, html) for file, html in zip(files, read, strict=True)}


def test_links_resolve_and_pictures_are_described_and_nothing_is_fetched(pages):
    copies = 0
    for name, (file, html) in pages.items():
        assert not html.select("link, script[src], iframe")
        for picture in html.select("img"):
            assert len(picture["alt"]) >= 20 and not picture["alt"].startswith("No description")
            source = picture["src"]
            assert source.startswith("data:") or (file.parent / source).is_file()
        for link in [link["href"] for link in html.select("a")]:
            target, _, place = urllib.parse.unquote(link).partition("#")
            if target.startswith("files/"):
                original = lessons.ROOT / target.removeprefix("files/")
                assert (file.parent / target).read_bytes() == original.read_bytes()
                copies += 1
            elif not re.match("https?:", target):
                assert not place or pages[target or name][1].find(id=place), link
                assert not target or target in pages, link
    assert copies


def test_the_pages_follow_each_other_with_formulas_drawn_and_playgrounds_explained(pages):
    assert list(pages) == ["index.html", *NAMES]
    links = pages["index.html"][1].select("main li strong a")
    assert [link["href"] for link in links] == NAMES
    for i, (name, notebook) in enumerate(zip(NAMES, NOTEBOOKS.values(), strict=True)):
        html = pages[name][1]
        assert {a["href"] for a in html.select("[rel=next]")} == set(NAMES[i + 1 : i + 2])
        assert {a["href"] for a in html.select("[rel=prev]")} == set(NAMES[:i][-1:])
        texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
        formulas = re.findall(r"\$\$.+?\$\$|\$.+?\$", "\n".join(texts), re.S)
        assert len(html.select("math")) == len(formulas)
        assert not [math for math in html.select("math") if re.search(r"[\\$]", math.text)]
        played = [cell for cell in notebook.cells if "playground" in lessons.tags(cell)]
        assert len(html.select("p.note")) == len(played)


def test_answers_and_hints_are_folded_with_all_their_text(pages):
    box = pages["03_kl_sparsity.html"][1].find(id="playground-experiments")
    answers = [answer.text for answer in box.select("details:not([open])")]
    assert len(answers) == 3
    assert sum(map(len, answers)) > len(box.text) / 3, "they are as long as the questions"
    source = "<details>\n<summary>Hint</summary>\n\nUse $\\rho$.\n\n</details>\n\nGo on."
    html = BeautifulSoup(markdown(source), "html.parser")
    assert "Use" in html.details.text and html.details.math
    assert "Go on" not in html.details.text
    assert "<math" in markdown("<details><summary>Hint</summary>$x$.</details>")


@pytest.fixture(scope="module")
def explorers(pages):
    """For each cell that makes a SweepExplorer: file, part of the page, widget."""
    found = []
    for name, notebook in zip(NAMES, NOTEBOOKS.values(), strict=True):
        for cell in notebook.cells:
            if "explorer" in lessons.tags(cell):
                names, (file, html) = {}, pages[name]
                exec(cell.source, names)
                found.append((file, html.find(id=cell.id), names["explorer"]))
    assert [file.name[:2] for file, *_ in found] == ["04", "06"]
    return found


def test_an_explorer_on_a_page_says_what_the_widget_says(explorers):
    for file, box, widget in explorers:
        sliders = widget.sliders.values()
        assert [label.text for label in box.select("label")] == [s.description for s in sliders]
        assert [place.text for place in box.select("output")] == [s.label for s in sliders]
        data = json.loads(box.script.string)
        assert data["places"] == widget.places and len(data["models"]) == len(widget.models)
        assert len(box.select(".scatter circle")) == len(widget.models)
        for model, shown in zip(widget.models, data["models"], strict=True):
            assert model.items() <= shown.items()
            for kind in ("features", "reconstructions"):
                original = sweep_picture(model["setting"], kind)
                assert (file.parent / shown[kind]).read_bytes() == original.read_bytes()


@pytest.mark.parametrize(
    "x_values, y_values", [([3.0, 5.0], [90.2, 91.7]), ([3, 3], [90, 90]), ([0.0], [0.0])]
)
def test_every_scatter_has_its_points_within(x_values, y_values):
    drawing = BeautifulSoup(scatter_svg(x_values, y_values, "SSE", "<probe>"), "html.parser")
    circles = drawing.select("circle")
    assert len(circles) == len(x_values)
    for circle in circles:
        assert 46 <= float(circle["cx"]) <= 384 - 62 and 18 <= float(circle["cy"]) <= 300 - 34
    assert {"SSE", "<probe>"} <= {text.text for text in drawing.select("text")}


@pytest.mark.slow
@pytest.mark.publish
def test_an_explorer_is_worked_by_keyboard(explorers, page):
    for file, box, widget in explorers:
        sliders = list(widget.sliders.values())
        places = [int(handle["value"]) for handle in box.select("input")]
        page.goto(file.as_uri())
        shown = page.locator(f"[id={box['id']}] .explorer")
        for number, slider in enumerate(sliders):
            handle, last = shown.locator("input").nth(number), len(slider.options) - 1
            handle.focus()
            moves = {"Home": 0, "ArrowRight": 1, "End": last, "ArrowLeft": last - 1}
            for key, places[number] in moves.items():
                page.keyboard.press(key)
                chosen = widget.places.get(",".join(map(str, places)))
                model = {"words": "This pair was not trained.", "note": ""}
                if chosen is not None:
                    model = widget.models[chosen]
                    points = shown.locator(".scatter circle").evaluate_all(
                        "circles => circles.map(c => c.classList.contains('chosen'))"
                    )
                    assert [i for i, large in enumerate(points) if large] == [chosen]
                    name = sweep_picture(model["setting"], "features").name
                    assert shown.locator(".features").get_attribute("src") == f"sweep/{name}"
                words = f"{model['words']} {model['note']}"
                assert shown.locator(".words").inner_text().split() == words.split()
                text = slider.options[places[number]][0]
                assert shown.locator("output").nth(number).inner_text() == text
                assert handle.get_attribute("aria-valuetext") == text


@pytest.mark.slow
@pytest.mark.publish
@pytest.mark.parametrize("name", ["index.html", *NAMES])
def test_a_page_can_be_read_on_a_phone_by_day_and_by_night_without_a_network(name, pages, page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.asked_for.clear()
    page.goto(pages[name][0].as_uri())
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        seen = page.evaluate(MEASURE)
        assert seen["faults"] == [] and seen["width"] <= 390
        assert (seen["ground"] > 0.5) == (scheme == "light")
        assert seen["pictures"] == pytest.approx([1] * len(seen["pictures"])), "on white ground"
        for text in seen["texts"]:
            low, high = sorted((text, seen["ground"]))
            assert (high + 0.05) / (low + 0.05) >= 4.5
    assert [url for url in page.asked_for if not url.startswith(("file:", "data:"))] == []
