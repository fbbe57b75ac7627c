"""The decks of slides, made as `make slides` does and opened in Debian's Chromium."""

import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import lessons, slides

STEMS = [path.stem for path in lessons.sources() if path.stem[0] == "0"]

# Of the slide on the screen: what leaves its box or is cut off, and the heights of its pictures.
MEASURE = """() => {
    const slide = Reveal.getCurrentSlide(), box = slide.getBoundingClientRect(), outside = [];
    for (const element of slide.querySelectorAll('*:not(aside.notes, aside.notes *)')) {
        const place = element.getBoundingClientRect();
        const beyond = place.left < box.left - 1 || place.right > box.right + 1
            || place.top < box.top - 1 || place.bottom > box.bottom + 1;
        const cut = getComputedStyle(element).overflowX !== 'visible'
            && element.scrollWidth > element.clientWidth + 1;
        if (beyond || cut) outside.push(element.outerHTML.slice(0, 100));
    }
    const images = [...slide.querySelectorAll('img')];
    return {
        cell: slide.dataset.cell,
        outside,
        width: box.width,
        shown: slide.innerText.trim().length + 100 * images.length,
        pictures: images.map(image => image.naturalWidth && image.getBoundingClientRect().height),
        smallest: Math.min(...[...slide.querySelectorAll('p, li, td, th, pre')]
            .filter(element => element.offsetHeight)
            .map(element => parseFloat(getComputedStyle(element).fontSize))),
    };
}"""


@pytest.fixture(scope="module")
def decks(tmp_path_factory):
    """Stem of a lesson → the file of its deck."""
    return {file.stem: file for file in slides.make(tmp_path_factory.mktemp("slides"))}


def in_chromium(test):
    """Mark a test that opens decks in a browser."""
    for mark in ("slow", "publish", "browser"):
        test = getattr(pytest.mark, mark)(test)
    return test


def open_deck(page, file):
    page.set_viewport_size({"width": 1280, "height": 720})
    page.asked_for.clear()
    page.goto(file.as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady()")


def test_a_deck_is_one_file_with_notes_and_descriptions_and_without_rubble(decks):
    assert list(decks) == STEMS
    for stem, file in decks.items():
        deck = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")
        assert not deck.select("link, script[src], iframe")
        sections, notes = deck.select("section"), deck.select("aside.notes")
        assert len(notes) >= len(sections) / 2 and all(note.text.strip() for note in notes)
        for image in deck.select("section img"):
            assert image["src"].startswith("data:image/png;base64,")
            assert len(image["alt"]) > 40 and not image["alt"].startswith("No description")
        marked = {
            c.id for c in lessons.read(lessons.SOURCES / f"{stem}.md").cells if "code" in c.metadata
        }
        assert len(deck.select(".source")) == len(marked)
        for note in notes:
            note.extract()
        text = " ".join(section.get_text(" ") for section in sections)
        for rubble in ("%|", "import ", "assert ", "$", "\\", "Playground(", "What you should see"):
            assert rubble not in text, (stem, rubble)
        assert text.count("Predict") >= 3
        assert deck.select("section table"), "the scorecard"


def test_a_deck_shows_what_the_source_marks_and_nothing_else():
    def text(source, **metadata):
        return new_markdown_cell(source, metadata=metadata)

    def code(name, **metadata):
        return new_code_cell(f"{name}()", id=name, metadata=metadata)

    def picture(name):
        return new_output("display_data", {"image/png": name})

    source = new_notebook(
        cells=[
            text("# Title", slide="slide"),
            text("Said in the lesson.", slide="skip"),
            text("To nobody.", tags=["notes"]),
            text("## 1. First\n\nA long text.", slide="slide"),
            text("## 1. First\n\nA short one.", tags=["slide"]),
            text("Say more.", tags=["notes"]),
            code("define", slide="-", code=True),
            code("draw", slide="slide"),
            code("count", slide="fragment"),
            code("hidden"),
        ]
    )
    made = new_notebook(cells=[code(name) for name in ("define", "draw", "count", "hidden")])
    define, draw, count, hidden = (cell.outputs for cell in made.cells)
    define += [new_output("stream", text="a summary")]
    draw += [new_output("stream", text="beside it"), picture("one"), picture("two")]
    count += [new_output("stream", text="training:  50%|##\ntraining: 100%|####\n23 units\n")]
    count += [new_output("stream", text="again: 100%|####\n")]
    hidden += [picture("three")]

    first, second, *cells = slides.as_slides(source, made).cells
    assert (first.source, first.metadata.slide, "notes" in first.metadata) == (
        "# Title",
        "slide",
        False,
    )
    assert (second.source, second.metadata.notes) == ("## 1. First\n\nA short one.", "Say more.")
    assert [cell.id for cell in cells] == ["define", "draw", "count"]
    defined, drawn, counted = cells
    assert defined.outputs == [] and not defined.metadata.transient.remove_source
    assert drawn.outputs == [picture("one"), picture("two")]
    assert drawn.metadata.transient.remove_source and drawn.metadata.section == "First"
    assert [output.text for output in counted.outputs] == ["23 units"]
    assert counted.metadata.slide == "fragment"


@in_chromium
@pytest.mark.parametrize("stem", STEMS)
def test_no_slide_is_larger_than_the_screen_and_nothing_is_fetched(stem, decks, page):
    open_deck(page, decks[stem])
    page.evaluate("Reveal.configure({fragments: false})")  # all that appears is in place
    measured = []
    for number in range(page.evaluate("Reveal.getTotalSlides()")):
        page.evaluate(f"Reveal.slide({number})")
        page.wait_for_function(f"Reveal.getIndices().h === {number}")
        measured.append(page.evaluate(MEASURE))
    for slide in measured:
        assert slide["outside"] == [], slide["cell"]
        assert slide["shown"] > 20, f"{slide['cell']} is next to empty"
        assert all(height >= 150 for height in slide["pictures"]), slide
        assert slide["smallest"] is None or slide["smallest"] >= 16, slide
        assert slide["width"] > 1100, "the slide should fill the screen"
    assert len(measured) >= 10
    assert sum(len(slide["pictures"]) for slide in measured) >= 4
    assert {"title", "takeaways"} <= {slide["cell"] for slide in measured}
    assert [url for url in page.asked_for if not url.startswith("data:")] == [decks[stem].as_uri()]


@in_chromium
def test_a_measure_that_can_fail(decks, page):
    open_deck(page, decks[STEMS[0]])
    page.evaluate("Reveal.slide(1)")
    assert page.evaluate(MEASURE)["outside"] == []
    lines = "Reveal.getCurrentSlide().insertAdjacentHTML('beforeend', '<p>line</p>'.repeat(40))"
    page.evaluate(lines)
    assert page.evaluate(MEASURE)["outside"] != []


@in_chromium
def test_keys_lead_on_and_the_speaker_sees_the_notes(decks, page):
    def notes():
        return page.locator("section.present aside.notes").first

    open_deck(page, decks[STEMS[0]])
    with page.expect_popup() as popup:
        page.keyboard.press("s")
    view = popup.value.locator(".speaker-controls-notes .value")
    before = notes().text_content().strip()
    view.filter(has_text=before[:40]).wait_for()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("Reveal.getIndices().h === 1")
    after = notes().text_content().strip()
    assert after != before and not notes().is_visible()
    view.filter(has_text=after[:40]).wait_for()
    popup.value.close()
