"""The decks of slides, made as `make slides` does and opened in Debian's Chromium."""

import re

import nbformat
import pytest
from bs4 import BeautifulSoup

from tools import lab_browser
from tools.publish import lessons, slides

STEMS = [path.stem for path in lessons.lessons()]
each_lesson = pytest.mark.parametrize("stem", STEMS)

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
        screen: [box.width, box.height],
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


@pytest.fixture(scope="module")
def page():
    if lab_browser.CHROMIUM is None:
        pytest.skip(lab_browser.NO_CHROMIUM)
    with lab_browser.chromium(1280, 720) as page:
        page.asked_for = []
        page.on("request", lambda request: page.asked_for.append(request.url))
        yield page


def open_deck(page, file):
    page.asked_for.clear()
    page.goto(file.as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady()")


def through_all_slides(page):
    """What MEASURE says of each slide, with all that appears step by step in place."""
    page.evaluate("Reveal.configure({fragments: false})")
    measured = []
    for number in range(page.evaluate("Reveal.getTotalSlides()")):
        page.evaluate(f"Reveal.slide({number})")
        page.wait_for_function(f"Reveal.getIndices().h === {number}")
        measured.append(page.evaluate(MEASURE))
    return measured


def check_slides(measured):
    for slide in measured:
        assert slide["outside"] == [], slide["cell"]
        assert slide["shown"] > 20, f"{slide['cell']} is next to empty"
        assert all(height >= 150 for height in slide["pictures"]), slide
        assert slide["smallest"] is None or slide["smallest"] >= 16, slide
        assert slide["screen"][0] > 1100, "the slide should fill the screen"


@each_lesson
def test_nothing_overflows_a_slide_and_nothing_is_fetched(stem, decks, page):
    open_deck(page, decks[stem])
    measured = through_all_slides(page)
    check_slides(measured)
    assert len(measured) >= 10
    assert sum(len(slide["pictures"]) for slide in measured) >= 4
    assert {"title", "takeaways"} <= {slide["cell"] for slide in measured}
    outside = [url for url in page.asked_for if not url.startswith(("file:", "data:"))]
    assert outside == []
    files = [url for url in page.asked_for if url.startswith("file:")]
    assert len(files) == 1, "a deck is a single file"


@each_lesson
def test_a_lesson_without_any_slideshow_metadata_fits_as_well(stem, page, tmp_path):
    notebook = lessons.read(lessons.NOTEBOOKS / f"{stem}.ipynb")
    for cell in notebook.cells:
        cell.metadata.pop("slideshow", None)
    nbformat.write(notebook, tmp_path / f"{stem}.ipynb")
    file = tmp_path / "deck.html"
    file.write_text(slides.deck(tmp_path / f"{stem}.ipynb"), encoding="utf-8")
    open_deck(page, file)
    check_slides(through_all_slides(page))


def test_a_measure_that_can_fail(decks, page):
    open_deck(page, decks[STEMS[0]])
    page.evaluate("Reveal.slide(1)")
    assert page.evaluate(MEASURE)["outside"] == []
    page.evaluate(
        "Reveal.getCurrentSlide().insertAdjacentHTML('beforeend', '<p>line</p>'.repeat(40))"
    )
    assert page.evaluate(MEASURE)["outside"] != []


def test_keys_lead_on_and_the_speaker_sees_the_notes(decks, page):
    open_deck(page, decks[STEMS[0]])
    with page.expect_popup() as popup:
        page.keyboard.press("s")
    speaker = popup.value
    notes = page.locator("section.present aside.notes").first.text_content()
    speaker.locator(".speaker-controls-notes .value", has_text=notes[:40]).wait_for()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("Reveal.getIndices().h === 1")
    following = page.locator("section.present aside.notes").first.text_content()
    assert following != notes
    speaker.locator(".speaker-controls-notes .value", has_text=following[:40]).wait_for()
    assert not page.locator("section.present aside.notes").first.is_visible()
    speaker.close()


@each_lesson
def test_a_deck_has_what_a_lecturer_needs_and_nothing_else(stem, decks):
    soup = BeautifulSoup(decks[stem].read_text(encoding="utf-8"), "html.parser")
    sections = soup.select("section")
    assert len(soup.select("aside.notes")) >= len(sections) / 2
    for image in soup.select("section img"):
        assert image["src"].startswith("data:image/png;base64,")
        assert len(image["alt"]) > 40
        assert not image["alt"].startswith("No description")
    for notes in soup.select("aside.notes"):
        notes.extract()
    text = " ".join(section.get_text(" ") for section in sections)
    for rubble in ("%|", "import ", "assert ", "$", "\\", "Playground(", "What you should see"):
        assert rubble not in text, rubble
    assert text.count("Predict") >= 3
    assert soup.select("section table"), "the scorecard"


def cell(source, **slideshow):
    return nbformat.v4.new_markdown_cell(source, metadata={"slideshow": slideshow})


def test_a_slide_shows_a_first_sentence_or_the_text_written_for_it():
    source = (
        "## 3. Heading\n\nOne. Two.\n\n$$x$$\n\nThree. **Predict:** four? Five.\n\n## More\n\nSix."
    )
    kept = "## 3. Heading\n\nOne.\n\n$$x$$\n\n**Predict:** four? Five."
    assert slides.text(cell(source)) == (kept, [])
    assert slides.text(cell(source, text="Own."))[0] == kept.replace("One.", "Own.")
    assert slides.text(cell(source, text=""))[0] == kept.replace("One.\n\n", "")
    assert slides.text(cell("## Heading", text="Own."))[0] == "## Heading\n\nOwn."


def test_folded_answers_move_to_the_speaker():
    fold = "<details><summary>What you should see</summary>{}</details>"
    source = f"Try.\n\n1. **A.** Why? {fold.format('So.')}\n2. **B.** {fold.format('Thus.')}"
    shown, answers = slides.text(cell(source))
    assert answers == ["So.", "Thus."]
    assert "So." not in shown and "What you should see" not in shown
    assert re.findall(r"\*\*.\.\*\*", shown) == ["**A.**", "**B.**"]


def test_sentences_end_where_a_new_one_begins():
    assert lessons.first_sentence("Of 0.5 or e.g. that. Then.") == "Of 0.5 or e.g. that."
    assert lessons.first_sentence("Is it? *No.*") == "Is it?"
    assert lessons.first_sentence("No stop") == "No stop"
    question = "**Question:** it is. Or not? You will see."
    assert lessons.first_sentence(question) == "**Question:** it is. Or not?"
