"""The decks of slides, made as `make slides` does and opened in Debian's Chromium."""

import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import lessons, slides

STEMS = [path.stem for path in lessons.sources() if path.stem[0] == "0"]

# For each slide, with all that appears step by step in place: its cell, and what is wrong with it.
FAULTS = """() => {
    Reveal.configure({fragments: false});
    return Reveal.getSlides().map((slide, number) => {
        Reveal.slide(number);
        const box = slide.getBoundingClientRect(), faults = [];
        for (const element of slide.querySelectorAll("*:not(aside.notes, aside.notes *)")) {
            const place = element.getBoundingClientRect(), style = getComputedStyle(element);
            const fault = (words) => faults.push(`${words}: ${element.outerHTML.slice(0, 100)}`);
            if (place.left < box.left - 1 || place.right > box.right + 1
                || place.top < box.top - 1 || place.bottom > box.bottom + 1
                || style.overflowX !== "visible" && element.scrollWidth > element.clientWidth + 1)
                fault("outside");
            if (element.matches("p, li, td, th, pre") && parseFloat(style.fontSize) < 16)
                fault("small");
            if (element.matches("img") && !(element.naturalWidth && place.height >= 150))
                fault("picture");
        }
        if (!slide.querySelector("img") && slide.innerText.trim().length <= 20)
            faults.push("next to empty");
        if (box.width < 1100) faults.push("does not fill the screen");
        return [slide.dataset.cell, faults];
    });
}"""


@pytest.fixture(scope="module")
def decks(tmp_path_factory):
    """Stem of a lesson → the file of its deck."""
    return {file.stem: file for file in slides.make(tmp_path_factory.mktemp("slides"))}


def test_a_deck_shows_what_the_source_marks_and_nothing_else():
    one, two = (new_output("display_data", {"image/png": name}) for name in ("one", "two"))
    said, beside, bars, counted = (
        new_output("stream", text=text)
        for text in ("a summary", "beside it", "100%|##\n", " 50%|#\n100%|##\n23 units\n")
    )
    outputs = {"define": [said], "draw": [beside, one, two], "count": [counted, bars]}
    made = new_notebook(cells=[new_code_cell(id=name, outputs=outputs[name]) for name in outputs])
    cells = [
        new_markdown_cell("# Title", metadata={"slide": "slide"}),
        new_markdown_cell("For readers.", metadata={"slide": "skip"}),
        new_markdown_cell("To nobody.", metadata={"tags": ["notes"]}),
        new_markdown_cell("## 1. First\n\nA long text.", metadata={"slide": "slide"}),
        new_markdown_cell("A short one.", metadata={"tags": ["slide"]}),
        new_markdown_cell("Say more.", metadata={"tags": ["notes"]}),
        new_code_cell(id="define", metadata={"slide": "-", "code": True}),
        new_code_cell(id="draw", metadata={"slide": "slide"}),
        new_code_cell(id="count", metadata={"slide": "fragment"}),
        new_code_cell(id="hidden"),
    ]
    title, first, *code = slides.as_slides(new_notebook(cells=cells), made).cells
    assert title.source == "# Title" and "notes" not in title.metadata
    assert (first.source, first.metadata.notes) == ("A short one.", "Say more.")
    assert [cell.outputs for cell in code] == [[], [one, two], [counted]]
    assert counted.text == "23 units"
    for cell, (mark, without_source) in zip(
        code, [("-", False), ("slide", True), ("fragment", True)], strict=True
    ):
        assert (cell.metadata.slide, cell.metadata.section) == (mark, "First")
        assert cell.metadata.transient.remove_source == without_source


def test_a_deck_is_one_file_with_notes_and_descriptions_and_without_rubble(decks):
    assert list(decks) == STEMS
    for stem, file in decks.items():
        deck = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")
        assert not deck.select("link, script[src], iframe")
        assert len(deck.select("aside.notes")) >= len(deck.select("section")) / 2
        for image in deck.select("section img"):
            assert image["src"].startswith("data:image/png;base64,")
            assert len(image["alt"]) > 40 and not image["alt"].startswith("No description")
        cells = lessons.read(lessons.SOURCES / f"{stem}.md").cells
        assert len(deck.select(".source")) == sum("code" in cell.metadata for cell in cells)
        assert deck.select("section table"), "a table of results"
        for notes in deck.select("aside.notes"):
            assert notes.extract().text.strip()
        text = deck.select_one(".slides").get_text(" ")
        for rubble in ("%|", "import ", "assert ", "$", "\\", "Playground(", "What you should see"):
            assert rubble not in text, (stem, rubble)
        assert text.count("Predict") >= 3


@pytest.mark.slow
@pytest.mark.publish
@pytest.mark.parametrize("stem", STEMS)
def test_slides_fit_the_screen_fetch_nothing_and_the_speaker_sees_the_notes(stem, decks, page):
    page.set_viewport_size({"width": 1280, "height": 720})
    page.asked_for.clear()
    page.goto(decks[stem].as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    with page.expect_popup() as popup:
        page.keyboard.press("s")
    view = popup.value.locator(".speaker-controls-notes .value")
    notes = page.locator("section.present aside.notes").first
    seen = set()
    for number in (0, 1):
        page.wait_for_function(f"Reveal.getIndices().h === {number}")
        view.filter(has_text=notes.text_content().strip()[:40]).wait_for()
        seen.add(notes.text_content())
        assert not notes.is_visible()
        page.keyboard.press("ArrowRight")
    assert len(seen) == 2
    popup.value.close()
    measured = dict(page.evaluate(FAULTS))
    assert {cell: faults for cell, faults in measured.items() if faults} == {}
    assert len(measured) >= 10 and {"title", "takeaways"} <= set(measured)
    assert page.locator("section figure img").count() >= 4
    assert [url for url in page.asked_for if not url.startswith("data:")] == [decks[stem].as_uri()]
    page.locator("section[data-cell=takeaways]").evaluate(
        "slide => slide.insertAdjacentHTML('beforeend', '<p>line</p>'.repeat(40))"
    )
    assert dict(page.evaluate(FAULTS))["takeaways"], "the measure can fail"
