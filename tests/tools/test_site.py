"""The pages, made as `make site` does and opened in Debian's Chromium."""

import base64
import functools
import http.server
import json
import re
import sys
import threading
import urllib.parse

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

if sys.version_info < (3, 11):
    pytest.skip("The pages need Python 3.11 or later.", allow_module_level=True)

from sparse_autoencoder import checks
from sparse_autoencoder.tables import sweep_picture
from sparse_autoencoder.vocabulary import HYPERPARAMETERS, PRESETS
from tests.conftest import ROOT, make_site
from tools import badges, lessons

sys.path.append(str(ROOT / "site"))
import course  # noqa: E402

LESSONS = [path.stem for path in lessons.sources()]
NOTEBOOKS = {stem: nbformat.read(lessons.NOTEBOOKS / f"{stem}.ipynb", 4) for stem in LESSONS}
ANSWERS = [f"solutions/{path.stem}_solutions" for path in lessons.sources() if path.stem[0] == "0"]
NAMES = [f"notebooks/{name}" for name in [*LESSONS, *ANSWERS, "solutions/README"]]
NAMES += ["index", "site/glossary", "teaching/README", "data/README", "benchmarks/README", "search"]
NAMES += ["teaching/hub/README"]
EXPLORERS = {"notebooks/04_relu_l1", "notebooks/06_tradeoff"}

# What is too wide, and the luminance of colours, as WCAG defines it.
MEASURE = """() => {
    const all = (selector) => [...document.querySelectorAll(selector)];
    const scrolls = (element) => element.parentElement && (scrolls(element.parentElement)
        || getComputedStyle(element.parentElement).overflowX !== "visible");
    const light = ([selector, property]) => all(selector).slice(0, 1).map((element) => {
        const [r, g, b] = getComputedStyle(element)[property].match(/[\\d.]+/g)
            .map((part) => part / 255)
            .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    });
    const faults = [
        ...all("article *").filter((element) => element.getBoundingClientRect().right > innerWidth)
            .filter((element) => element.checkVisibility() && !scrolls(element)),
        ...all("article img").filter((image) => !image.naturalWidth),
        ...all("article math").filter((math) => math.checkVisibility() && math.clientHeight <= 5),
    ];
    return {
        faults: faults.map((element) => element.outerHTML.slice(0, 100)),
        width: document.documentElement.scrollWidth - innerWidth,
        ground: light(["body", "backgroundColor"])[0],
        pictures: light([".cell_output img", "backgroundColor"]),
        texts: [["article p", "color"], ["article p a", "color"], [".output pre", "color"]]
            .flatMap(light),
    };
}"""


def read(file):
    return BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")


@pytest.fixture
def small_course(tmp_path, monkeypatch, digits):
    """A function that makes the pages of one lesson, published at an address."""
    monkeypatch.setattr(course, "load_images", lambda: digits)
    cells = [
        new_markdown_cell(
            "# A title\n\n**Predict:** how large is $\\rho$?\n\n- A. Large\n- B. Small\n\n"
            "<details><summary>Answer</summary>\n\n**B.** It is.\n\n</details>\n\n$$x^2$$"
        ),
        new_code_cell("1 / 0", id="install"),
        new_markdown_cell(
            "<details>\n<summary>Hint</summary>\n\nUse $\\beta$.\n\n</details>\n\n"
            "<details><summary>Hint</summary>Or $y$.</details>\n\nGo on."
        ),
        new_code_cell("play", metadata={"tags": ["playground"]}),
    ]
    metadata = {"kernelspec": lessons.KERNEL}
    files = {
        "index.md": "# Course\n\n```{toctree}\nnotebooks/03_kl_sparsity\n```\n",
        "notebooks/03_kl_sparsity.ipynb": nbformat.writes(
            new_notebook(cells=cells, metadata=metadata)
        ),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")

    def pages(published):
        monkeypatch.setattr(badges, "address", lambda: published)
        return make_site(tmp_path, tmp_path / "made")

    return pages


def test_a_lesson_becomes_a_page_with_formulas_and_a_playground_and_without_installing(
    small_course,
):
    folder = small_course("")
    page = read(folder / "notebooks" / "03_kl_sparsity.html")
    article = page.article
    assert [math["display"] for math in article.select("math")] == [
        "inline",
        "block",
        "inline",
        "inline",
    ]
    answer, first, second = article.select("details")
    assert article.select_one(".question").text.startswith("\nPredict")
    assert answer.parent["class"] == ["question"] and "$" not in answer.parent.text
    assert "Use" in first.text and first.math and "Or" in second.text and second.math
    assert "Go on" not in second.text and "Go on" in article.text
    assert "1 / 0" not in article.text
    frame = urllib.parse.urlparse(article.iframe["src"])
    assert (folder / "notebooks" / frame.path).resolve() == folder / "live.html"
    assert (folder / "live.html").exists() and "beta=3" in frame.fragment
    assert "colab" not in page.decode() and "binder" not in page.decode()


def test_a_published_lesson_can_be_opened_elsewhere(small_course):
    folder = small_course("https://github.com/owner/name")
    links = [
        a["href"] for a in read(folder / "notebooks" / "03_kl_sparsity.html").select("a[href]")
    ]
    for host in ("https://colab.research.google.com", "https://mybinder.org"):
        found = [link for link in links if link.startswith(host)]
        assert found and all("owner/name" in link for link in found)
        assert all(link.endswith("notebooks/03_kl_sparsity.ipynb") for link in found)


def test_the_glossary_has_the_symbols_and_names_of_the_vocabulary():
    table = (ROOT / "site" / "glossary.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in table.splitlines()]
    for one in HYPERPARAMETERS.values():
        assert one.symbol == one.name or [one.symbol, one.name] in rows


@pytest.fixture(scope="module")
def pages(site):
    """Name of a page → its HTML."""
    return {name: read(site / f"{name}.html") for name in NAMES}


@pytest.mark.slow
@pytest.mark.publish
def test_links_resolve_and_pictures_are_described_and_nothing_is_fetched(site, pages):
    made = {path.relative_to(site).with_suffix("").as_posix() for path in site.rglob("*.html")}
    assert {name for name in made if not name.startswith("_static")} == {*NAMES, "live", "genindex"}
    copies = 0
    for name, html in pages.items():
        folder = (site / name).parent
        for element in html.select("[src], link[href]:not([href='#'])"):
            address = element.get("src") or element["href"]
            assert (folder / re.sub("[?#].*", "", address)).resolve().is_file(), address
        for picture in html.select("article img"):
            assert len(picture["alt"]) >= 20 and not picture["alt"].startswith("No description")
        for link in [link["href"] for link in html.select("a[href]")]:
            target, _, place = urllib.parse.unquote(link).partition("#")
            if re.match("https?:", target):
                continue
            file = (folder / target).resolve() if target else site / f"{name}.html"
            assert file.is_file(), link
            if place and file.name != "live.html":
                known = file.relative_to(site).with_suffix("").as_posix()
                assert pages[known].find(id=place), link
            copies += "_downloads" in target
    assert copies


@pytest.mark.slow
@pytest.mark.publish
def test_the_pages_follow_each_other_with_formulas_drawn_and_playgrounds_in_place(site, pages):
    following = pages["index"].select_one("a.right-next")
    for name in LESSONS[:7]:
        assert following["href"].endswith(f"{name}.html")
        following = pages[f"notebooks/{name}"].select_one("a.right-next")
    for stem, notebook in NOTEBOOKS.items():
        article = pages[f"notebooks/{stem}"].article
        texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
        formulas = re.findall(r"\$\$.+?\$\$|\$.+?\$", "\n".join(texts), re.S)
        assert len(article.select("math")) == len(formulas)
        assert not [math for math in article.select("math") if re.search(r"[\\$]", math.text)]
        shown = badges.unpack(notebook).cells
        assert len(article.select(".cell")) == len(lessons.code_cells(notebook))
        played = sum("playground" in lessons.tags(cell) for cell in shown)
        assert len(article.select("figure.playground, p.note")) == played
        printed = [output for cell in lessons.code_cells(notebook) for output in cell.outputs]
        texts += [output.get("data", {}).get("text/html", "") for output in printed]
        folded = article.select("details:not([open])")
        assert len(folded) == sum(text.count("<details") for text in texts)
        assert all(len(answer.text) > len(answer.summary.text) for answer in folded)


@pytest.fixture(scope="module")
def explorers(pages):
    """For each cell that makes a SweepExplorer: name of the page, its HTML, the widget."""
    found = []
    for stem, notebook in NOTEBOOKS.items():
        for cell in notebook.cells:
            if "explorer" in lessons.tags(cell):
                names, name = {}, f"notebooks/{stem}"
                exec(cell.source, names)
                found.append((name, pages[name], names["explorer"]))
    assert {name for name, *_ in found} == EXPLORERS
    return found


@pytest.mark.slow
@pytest.mark.publish
def test_an_explorer_on_a_page_is_given_what_the_widget_has(explorers):
    for _, html, widget in explorers:
        given = json.loads(html.select_one(".explorer + script").string)
        assert given["places"] == widget.places and given["models"] == widget.models
        for kind in ("features", "reconstructions"):
            files = [sweep_picture(model["setting"], kind) for model in widget.models]
            assert [base64.b64decode(png) for png in given[kind]] == [f.read_bytes() for f in files]


@pytest.mark.slow
@pytest.mark.publish
def test_an_explorer_is_worked_by_keyboard(site, explorers, page):
    for name, _, widget in explorers:
        sliders = list(widget.sliders.values())
        places = [slider.index for slider in sliders]
        page.goto((site / f"{name}.html").as_uri())
        shown = page.locator(".explorer")
        assert shown.locator("label span").all_inner_texts() == [s.description for s in sliders]
        for number, slider in enumerate(sliders):
            handle, last = shown.locator("input").nth(number), len(slider.options) - 1
            handle.focus()
            moves = {"Home": 0, "ArrowRight": 1, "End": last, "ArrowLeft": last - 1}
            for key, places[number] in moves.items():
                page.keyboard.press(key)
                chosen = widget.places.get(",".join(map(str, places)))
                model = {"words": "This pair was not trained.", "note": "", "setting": ""}
                if chosen is not None:
                    model = widget.models[chosen]
                    features = shown.locator(".explorer-features")
                    assert features.get_attribute("alt") == f"features of {model['setting']}"
                    assert features.evaluate("image => image.decode().then(() => image.width)") > 0
                status = shown.locator("[role=status]")
                assert status.inner_text().split() == f"{model['words']} {model['note']}".split()
                text = slider.options[places[number]][0]
                assert shown.locator("output").nth(number).inner_text() == text
                assert handle.get_attribute("aria-valuetext") == text


@pytest.fixture(scope="module")
def served(site):
    """The address of the pages on a web server."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.slow
@pytest.mark.publish
def test_search_finds_words_of_lessons_from_a_web_server_and_from_a_stick(site, served, page):
    for start in (served, site.as_uri()):
        page.asked_for.clear()
        page.set_viewport_size({"width": 1280, "height": 800})
        page.goto(f"{start}/index.html")
        page.keyboard.press("Control+k")
        page.keyboard.type("dead unit")
        page.keyboard.press("Enter")
        results = page.locator("#search-results li a")
        results.filter(has_text="04 · ReLU and L1").first.wait_for()
        assert page.asked_for and all(url.startswith(start) for url in page.asked_for)
        results.filter(has_text="04 · ReLU and L1").first.click()
        page.locator("article h1").filter(has_text="04 · ReLU and L1").wait_for()


@pytest.mark.slow
@pytest.mark.publish
def test_a_lesson_s_playground_trains_in_its_page(site, page):
    for name, start in course.PLAYGROUNDS.items():
        page.goto((site / f"{name}.html").as_uri())
        page.locator("figure.playground").scroll_into_view_if_needed()
        frame = page.frame_locator("figure.playground iframe")
        frame.get_by_role("button", name="Train").wait_for()
        assert frame.locator("#message").inner_text() == "", "the address is understood"
        assert start in urllib.parse.unquote(frame.locator("#link").input_value())
        frame.get_by_role("button", name="Step").click()
        frame.locator(".playground-status").filter(has_text="Step 1,").wait_for()


@pytest.mark.slow
@pytest.mark.publish
@pytest.mark.parametrize("name", NAMES)
def test_a_page_can_be_read_on_a_phone_by_day_and_by_night_without_a_network(name, site, page):
    page.asked_for.clear()
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        page.goto((site / f"{name}.html").as_uri())
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")
            seen = page.evaluate(MEASURE)
            assert seen["faults"] == [] and seen["width"] <= 0
            assert (seen["ground"] > 0.5) == (scheme == "light")
            assert scheme == "light" or all(light > 0.5 for light in seen["pictures"])
            for text in seen["texts"]:
                low, high = sorted((text, seen["ground"]))
                assert (high + 0.05) / (low + 0.05) >= 4.5
    local = ("file:", "data:", "blob:")
    assert [url for url in page.asked_for if not url.startswith(local)] == []


@pytest.mark.slow
@pytest.mark.publish
def test_the_glossary_converts_other_people_s_strengths(site, page, capsys):
    page.goto((site / "site" / "glossary.html").as_uri())

    def field(text, key):
        return page.locator(f"#strengths [data-text='{text}'][data-key={key}]")

    def in_our_units(beta, lam, text):
        field(text, "beta").fill(f"{beta}")
        field(text, "lam2").fill(f"{lam}")
        return [float(field("This course", key).input_value()) for key in ("beta", "lam2")]

    checks.in_our_units(in_our_units)
    assert capsys.readouterr().out.startswith("Right")
    ours = PRESETS["UFLDL's settings"]
    assert in_our_units(3, 0.003, "UFLDL") == [ours["beta"], ours["lam2"]]
    assert in_our_units(0.5, 0.01, "The source") == [0.5, 0.01]
    page.locator("#pixels").fill("100")
    assert in_our_units(3, 0.01, "Keras") == [300, 2]


@pytest.mark.slow
@pytest.mark.publish
def test_words_of_a_lesson_lead_to_the_glossary(pages):
    known = pages["site/glossary"].select("dl.glossary dt")
    linked = [
        a["href"].split("#")[1] for a in pages["notebooks/03_kl_sparsity"].select("a:has(strong)")
    ]
    assert "term-mean-activation" in linked and set(linked) <= {term["id"] for term in known}


@pytest.mark.slow
@pytest.mark.publish
def test_a_reader_chooses_dark_or_light(served, page):
    page.emulate_media(color_scheme="light")
    page.goto(f"{served}/index.html")
    page.get_by_role("button", name="Color mode").click()
    page.get_by_role("button", name="Dark").click()
    page.goto(f"{served}/notebooks/01_mse_baseline.html")
    page.locator("html[data-theme=dark]").wait_for()
    page.evaluate("localStorage.clear()")
