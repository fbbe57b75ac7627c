"""The pages, made as `make site` does and opened in Debian's Chromium."""

import base64
import re
import urllib.parse
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from helpers import sweep_picture
from sweep_explorer import SweepExplorer
from tools import lab_browser
from tools.publish import lessons, pages

STEMS = ["index", *(path.stem for path in pages.notebooks())]
each_page = pytest.mark.parametrize("stem", STEMS)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    assert [file.stem for file in pages.make(folder)] == STEMS
    return folder


@pytest.fixture(scope="module")
def page():
    if lab_browser.CHROMIUM is None:
        pytest.skip(lab_browser.NO_CHROMIUM)
    with lab_browser.chromium() as page:
        page.asked_for = []
        page.on("request", lambda request: page.asked_for.append(request.url))
        yield page


def soup(site, stem):
    return BeautifulSoup((site / f"{stem}.html").read_text(encoding="utf-8"), "html.parser")


@each_page
def test_links_resolve_and_pictures_are_described(stem, site):
    html = soup(site, stem)
    for element in html.select("a[href], img[src]"):
        link = element.get("href") or element["src"]
        if re.match(r"(https?|data):", link):
            continue
        name, _, place = urllib.parse.unquote(link).partition("#")
        assert not name or (site / name).is_file(), link
        if place:
            assert soup(site, Path(name).stem or stem).select(f'[id="{place}"]'), link
    pictures = html.select("img")
    assert pictures
    for picture in pictures:
        assert len(picture["alt"]) >= 20 and not picture["alt"].startswith("No description")


def test_the_pages_follow_each_other(site):
    there, back = [], []
    for stem in STEMS[1:]:
        html = soup(site, stem)
        there += {link["href"] for link in html.select("nav a[rel=next]")}
        back += {link["href"] for link in html.select("nav a[rel=prev]")}
    names = [f"{stem}.html" for stem in STEMS[1:]]
    assert there == names[1:]
    assert back == names[:-1]
    assert [link["href"] for link in soup(site, "index").select(".contents a")] == names


@each_page
def test_a_phone_shows_the_page_without_scrolling_sideways(stem, site, page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.asked_for.clear()
    page.goto((site / f"{stem}.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # What is wider stands in a box that scrolls inside itself, and can be reached by keyboard.
    wide = page.evaluate(
        """[...document.querySelectorAll('body *')]
            .filter(element => element.getBoundingClientRect().right > 391)
            .filter(element => !element.closest('pre, .scroll'))
            .map(element => element.outerHTML.slice(0, 100))"""
    )
    assert wide == []
    broken = page.evaluate(
        "[...document.images].filter(image => !image.naturalWidth).map(image => image.src)"
    )
    assert broken == []
    assert [url for url in page.asked_for if not url.startswith(("file:", "data:"))] == []


@each_page
def test_formulas_are_drawn(stem, site, page):
    source = {path.stem: path for path in pages.notebooks()}.get(stem)
    formulas = 0
    if source is not None:
        cells = lessons.read(source).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        formulas = len(re.findall(r"\$\$.+?\$\$|\$.+?\$", text, re.S))
    page.goto((site / f"{stem}.html").as_uri())
    drawn = page.evaluate(
        """[...document.querySelectorAll('math')].map(
            math => [math.getBoundingClientRect().height, math.textContent])"""
    )
    assert len(drawn) == formulas
    for height, text in drawn:
        assert height > 5
        assert "\\" not in text and "$" not in text, text


def test_answers_are_folded_until_they_are_asked_for(site, page):
    page.goto((site / "03_kl_sparsity.html").as_uri())
    box = page.locator("#playground-experiments")
    folded = box.locator("details")
    assert folded.count() == 3
    closed = box.inner_text()
    for number in range(3):
        folded.nth(number).locator("summary").press("Enter")
    opened = box.inner_text()
    assert len(opened) > 1.5 * len(closed), "the answers are as long as the questions"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_can_be_read(scheme, site, page):
    page.emulate_media(color_scheme=scheme)
    page.goto((site / "03_kl_sparsity.html").as_uri())
    colors = page.evaluate(
        """Object.fromEntries([['text', 'color', 'main p'], ['page', 'backgroundColor', 'body'],
            ['link', 'color', 'nav a'], ['output', 'color', 'pre.output'],
            ['picture', 'backgroundColor', 'figure img']].map(([name, property, selector]) =>
            [name, getComputedStyle(document.querySelector(selector))[property]]))"""
    )
    light = {name: luminance(color) for name, color in colors.items()}
    assert (light["page"] > 0.5) == (scheme == "light")
    assert light["picture"] == 1, "pictures keep their white ground"
    for name in ("text", "link", "output"):
        low, high = sorted((light[name], light["page"]))
        assert (high + 0.05) / (low + 0.05) >= 4.5, name
    page.emulate_media(color_scheme=None)


def luminance(color):
    """Of a colour such as "rgb(27, 31, 35)", as WCAG defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    parts = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


EXPLORERS = [
    (path.stem, cell.id)
    for path in pages.notebooks()
    for cell in lessons.read(path).cells
    if cell.cell_type == "code" and "SweepExplorer(" in cell.source
]


def test_there_is_an_explorer():
    assert EXPLORERS


def shown(box):
    """What an explorer on a page says and shows."""
    return {
        "words": box.locator(".words").inner_text(),
        "texts": box.locator("output").all_inner_texts(),
        "dot": box.locator(".scatter circle[r='7']").evaluate("dot => dot.outerHTML"),
        "features": Path(
            urllib.parse.urlparse(box.locator(".features").evaluate("image => image.src")).path
        ).name,
    }


@pytest.mark.parametrize("stem, cell_id", EXPLORERS)
def test_the_explorer_is_worked_by_keyboard_and_says_what_the_widget_says(
    stem, cell_id, site, page
):
    (source,) = (
        cell.source
        for cell in lessons.read(lessons.NOTEBOOKS / f"{stem}.ipynb").cells
        if cell.id == cell_id
    )
    positional, named = pages.explorer_arguments(source)
    widget = SweepExplorer(*positional, **named)
    page.goto((site / f"{stem}.html").as_uri())
    box = page.locator(f'[id="{cell_id}"] .explorer')

    def agree():
        page.wait_for_function(
            "box => [...box.querySelectorAll('img')].every(image => image.complete)",
            arg=box.element_handle(),
        )
        seen = shown(box)
        words = BeautifulSoup(widget._words.value.replace("<br>", "\n"), "html.parser").get_text()
        assert seen["words"].split() == words.split()
        assert seen["texts"] == [slider.label for slider in widget._sliders.values()]
        chosen = {name: slider.value for name, slider in widget._sliders.items()}
        setting = widget.setting(**chosen)
        if setting is not None:
            assert seen["features"] == sweep_picture(setting, "features").name
            file = site / "sweep" / seen["features"]
            assert file.read_bytes() == widget._features.value
            place = re.search(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="7"', widget._scatter.value)
            assert f'cx="{place[1]}" cy="{place[2]}"' in seen["dot"]
        return seen

    before = agree()
    for number, (name, slider) in enumerate(widget._sliders.items()):
        handle = box.get_by_label(slider.description)
        handle.focus()
        last = len(slider.options) - 1
        for key, place in (("Home", 0), ("ArrowRight", 1), ("End", last), ("ArrowLeft", last - 1)):
            page.keyboard.press(key)
            moved = slider.index != place
            slider.index = place
            after = agree()
            assert (after["texts"] != before["texts"]) == moved, name
            assert handle.get_attribute("aria-valuetext") == after["texts"][number]
            before = after


def test_an_explorer_whose_values_are_not_plain_is_refused(tmp_path):
    cell = nbformat.v4.new_code_cell("SweepExplorer(sliders=('rho',), lam2=LAM2)")
    with pytest.raises(ValueError):
        pages.explorer(cell, tmp_path)
    assert pages.explorer(nbformat.v4.new_code_cell("1 + 1"), tmp_path) is None


def test_links_to_files_lead_to_copies_beside_the_page(tmp_path):
    html = "<main><a href='../LICENSE'>a</a><a href='06_tradeoff.ipynb#check'>b</a></main>"
    links = BeautifulSoup(pages.with_links(html, lessons.NOTEBOOKS, tmp_path), "html.parser")
    assert [link["href"] for link in links.select("a")] == [
        "files/LICENSE",
        "06_tradeoff.html#check",
    ]
    assert (tmp_path / "files" / "LICENSE").read_bytes() == (lessons.ROOT / "LICENSE").read_bytes()


def test_a_folded_hint_keeps_its_text_inside():
    source = "<details>\n<summary>Hint</summary>\n\nUse $\\rho$.\n\n</details>\n\nGo on."
    html = BeautifulSoup(lessons.markdown(source), "html.parser")
    assert "Use" in html.details.text and html.details.math
    assert "Go on" not in html.details.text
    assert "<math" in lessons.markdown("<details><summary>Hint</summary>$x$.</details>")


def test_the_size_of_a_picture_is_read_from_its_bytes():
    file = sweep_picture("sigmoid rho=0.05 beta=3 lam2=0.003", "features")
    png = base64.b64encode(file.read_bytes()).decode("ascii")
    assert lessons.png_size(png) == (202, 202)
