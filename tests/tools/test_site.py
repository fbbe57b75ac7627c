"""The pages, made as `make site` does and opened in Debian's Chromium."""

import functools
import json
import math
import re
import urllib.parse
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from ipywidgets import HTML

from sparse_autoencoder.tables import sweep_picture
from tools import lessons, site
from tools.render import markdown

STEMS = ["index", *(path.stem for path in lessons.sources())]
each_page = pytest.mark.parametrize("stem", STEMS)


def in_chromium(test):
    """Mark a test that opens pages in a browser."""
    return pytest.mark.slow(pytest.mark.publish(pytest.mark.browser(test)))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The folder of the pages."""
    folder = tmp_path_factory.mktemp("site")
    assert [file.stem for file in site.make(folder)] == STEMS
    return folder


@functools.cache
def soup(file):
    return BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")


def notebook(stem):
    return nbformat.read(lessons.NOTEBOOKS / f"{stem}.ipynb", as_version=4)


def test_links_resolve_and_pictures_are_described(pages):
    html = {stem: soup(pages / f"{stem}.html") for stem in STEMS}
    for stem, page in html.items():
        assert not page.select("link, script[src], iframe")
        for element in page.select("a[href], img[src]"):
            link = element.get("href") or element["src"]
            if re.match(r"(https?|data):", link):
                assert element.name == "a" or link.startswith("data:"), "nothing is fetched"
                continue
            name, _, place = urllib.parse.unquote(link).partition("#")
            assert not name or (pages / name).is_file(), link
            assert not place or html[Path(name).stem or stem].find(id=place), link
        assert page.select("img")
        for picture in page.select("img"):
            assert len(picture["alt"]) >= 20 and not picture["alt"].startswith("No description")


def test_the_pages_follow_each_other_and_formulas_are_drawn(pages):
    names = [f"{stem}.html" for stem in STEMS[1:]]
    lists = soup(pages / "index.html").select("main li strong a")
    assert [link["href"] for link in lists] == names
    for i, stem in enumerate(STEMS[1:]):
        page = soup(pages / f"{stem}.html")
        assert {a["href"] for a in page.select("[rel=next]")} == set(names[i + 1 : i + 2])
        assert {a["href"] for a in page.select("[rel=prev]")} == set(names[:i][-1:])
        texts = [cell.source for cell in notebook(stem).cells if cell.cell_type == "markdown"]
        formulas = re.findall(r"\$\$.+?\$\$|\$.+?\$", "\n".join(texts), re.S)
        assert len(page.select("math")) == len(formulas)
        assert not [math for math in page.select("math") if re.search(r"[\\$]", math.text)]
        played = [cell for cell in notebook(stem).cells if "playground" in lessons.tags(cell)]
        assert len(page.select("p.note")) == len(played)


@pytest.fixture(scope="module")
def explorers(pages):
    """For each cell that makes a SweepExplorer: its page, its part of it, the widget."""
    found = []
    for stem in STEMS[1:]:
        for cell in notebook(stem).cells:
            if "explorer" in lessons.tags(cell):
                names, file = {}, pages / f"{stem}.html"
                exec(cell.source, names)
                found.append((file, soup(file).find(id=cell.id), names["explorer"]))
    assert [file.name[:2] for file, _, _ in found] == ["03", "04", "06"]
    return found


def test_an_explorer_on_a_page_says_what_the_widget_says(explorers):
    for file, box, explorer in explorers:
        sliders = [child for child in explorer.children if hasattr(child, "options")]
        assert [label.text for label in box.select("label")] == [s.description for s in sliders]
        assert [place.text for place in box.select("output")] == [s.label for s in sliders]
        states = json.loads(box.script.string)
        assert len(states) == math.prod(len(slider.options) for slider in sliders)
        for places in [*states][::3]:
            for slider, place in zip(sliders, places.split(","), strict=True):
                slider.index = int(place)
            texts = [child.value for child in explorer.children if isinstance(child, HTML)]
            assert states[places]["words"] in texts
            setting = states[places]["setting"]
            for kind in ("features", "reconstructions") if setting else ():
                picture = file.parent / states[places][kind]
                assert picture.read_bytes() == sweep_picture(setting, kind).read_bytes()


@in_chromium
def test_an_explorer_is_worked_by_keyboard(explorers, page):
    for file, box, explorer in explorers:
        states = json.loads(box.script.string)
        sliders = [child for child in explorer.children if hasattr(child, "options")]
        places = [int(handle["value"]) for handle in box.select("input")]
        page.goto(file.as_uri())
        shown = page.locator(f"[id={box['id']}] .explorer")
        for number, slider in enumerate(sliders):
            handle, last = shown.locator("input").nth(number), len(slider.options) - 1
            handle.focus()
            moves = {"Home": 0, "ArrowRight": 1, "End": last, "ArrowLeft": last - 1}
            for key, place in moves.items():
                page.keyboard.press(key)
                places[number] = place
                state = states[",".join(map(str, places))]
                words = BeautifulSoup(state["words"], "html.parser").get_text(" ").split()
                assert shown.locator(".words").inner_text().split() == words
                text = slider.options[place][0]
                assert shown.locator("output").nth(number).inner_text() == text
                assert handle.get_attribute("aria-valuetext") == text
                if state["setting"]:
                    assert shown.locator(".features").get_attribute("src") == state["features"]
                    dot = shown.locator(".scatter circle[r='7']").get_attribute("cx")
                    assert f'cx="{dot}"' in state["scatter"]


@in_chromium
@each_page
def test_a_phone_shows_the_page_without_scrolling_sideways(stem, pages, page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.asked_for.clear()
    page.goto((pages / f"{stem}.html").as_uri())
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
        """[...document.images].filter(image => !image.naturalWidth).map(image => image.src)"""
    )
    assert broken == []
    flat = page.evaluate(
        """[...document.querySelectorAll('main > .cell > .text math')]
            .filter(math => math.getBoundingClientRect().height <= 5).length"""
    )
    assert flat == 0
    assert [url for url in page.asked_for if not url.startswith(("file:", "data:"))] == []


@in_chromium
def test_answers_are_folded_until_they_are_asked_for(pages, page):
    page.goto((pages / "03_kl_sparsity.html").as_uri())
    box = page.locator("#playground-experiments")
    folded, closed = box.locator("details"), box.inner_text()
    assert folded.count() == 3
    for number in range(3):
        folded.nth(number).locator("summary").press("Enter")
    assert len(box.inner_text()) > 1.5 * len(closed), "the answers are as long as the questions"


@in_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_can_be_read(scheme, pages, page):
    page.emulate_media(color_scheme=scheme)
    page.goto((pages / "03_kl_sparsity.html").as_uri())
    light = page.evaluate(
        """Object.fromEntries([['text', 'color', 'main p'], ['page', 'backgroundColor', 'body'],
            ['link', 'color', 'nav a'], ['output', 'color', 'pre.output'],
            ['picture', 'backgroundColor', 'figure img']].map(([name, property, selector]) => {
            const color = getComputedStyle(document.querySelector(selector))[property];
            const [r, g, b] = color.match(/\\d+/g).map(part => part / 255)
                .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
            return [name, 0.2126 * r + 0.7152 * g + 0.0722 * b];  // luminance, as WCAG defines it
        }))"""
    )
    assert (light["page"] > 0.5) == (scheme == "light")
    assert light["picture"] == pytest.approx(1), "pictures keep their white ground"
    for name in ("text", "link", "output"):
        low, high = sorted((light[name], light["page"]))
        assert (high + 0.05) / (low + 0.05) >= 4.5, name
    page.emulate_media(color_scheme=None)


def test_links_to_files_lead_to_copies_beside_the_page(tmp_path):
    html = "<main><a href='../LICENSE'>a</a><a href='06_tradeoff.ipynb#check'>b</a></main>"
    page = BeautifulSoup(html, "html.parser")
    site.with_links(page, lessons.NOTEBOOKS, tmp_path)
    links = [link["href"] for link in page.select("a")]
    assert links == ["files/LICENSE", "06_tradeoff.html#check"]
    assert (tmp_path / links[0]).read_bytes() == (lessons.ROOT / "LICENSE").read_bytes()


def test_a_folded_hint_keeps_its_text_inside():
    source = "<details>\n<summary>Hint</summary>\n\nUse $\\rho$.\n\n</details>\n\nGo on."
    page = BeautifulSoup(markdown(source), "html.parser")
    assert "Use" in page.details.text and page.details.math
    assert "Go on" not in page.details.text
    assert "<math" in markdown("<details><summary>Hint</summary>$x$.</details>")
