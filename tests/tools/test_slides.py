"""The decks of slides, made as `make slides` does and opened in Debian's Chromium."""

import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tools import lessons, slides

STEMS = [path.stem for path in lessons.sources() if path.stem[0] == "0"]

# For each slide, with all that appears step by step in place: its cell, and what is wrong with it.
FAULTS = """() => {
    Reveal.configure({fragments: false});
    return Reveal.getSlides().map((slide, number) => {
        Reveal.slide(number);
        const box = slide.getBoundingClientRect(), faults = [];
        for (const element of slide.querySelectorAll('*:not(aside.notes, aside.notes *)')) {
            const place = element.getBoundingClientRect(), style = getComputedStyle(element);
            if (place.left < box.left - 1 || place.right > box.right + 1
                || place.top < box.top - 1 || place.bottom > box.bottom + 1
                || style.overflowX !== 'visible' && element.scrollWidth > element.clientWidth + 1)
                faults.push('outside: ' + element.outerHTML.slice(0, 100));
            if (element.matches('p, li, td, th, pre') && parseFloat(style.fontSize) < 16)
                faults.push('small: ' + element.outerHTML.slice(0, 100));
            if (element.matches('img') && !(element.naturalWidth && place.height >= 150))
                faults.push('picture: ' + element.alt);
        }
        if (!slide.querySelector('img') && slide.innerText.trim().length <= 20)
            faults.push('next to empty');
        if (box.width < 1100) faults.push('does not fill the screen');
        return [slide.dataset.cell, faults];
    });
}"""
SOURCE = """
+++ {"id": "title", "slide": "slide"}

# Title

+++ {"id": "read", "slide": "skip"}

For readers.

+++ {"tags": ["notes"]}

To nobody.

+++ {"id": "first", "slide": "slide"}

## 1. First

A long text.

+++ {"tags": ["slide"]}

A short one.

+++ {"tags": ["notes"]}

Say more.

```{code-cell}
:id: define
:slide: '-'
:code: true
```

```{code-cell}
:id: draw
:slide: slide
```

```{code-cell}
:id: count
:slide: fragment
```

```{code-cell}
:id: hidden
:slide: skip
```
"""


def in_chromium(test):
    """Mark a test that opens decks in a browser."""
    return pytest.mark.slow(pytest.mark.publish(pytest.mark.browser(test)))


@pytest.fixture(scope="module")
def decks(tmp_path_factory):
    """Stem of a lesson → the file of its deck."""
    return {file.stem: file for file in slides.make(tmp_path_factory.mktemp("slides"))}


def test_a_deck_shows_what_the_source_marks_and_nothing_else(tmp_path):
    def printed(text):
        return new_output("stream", text=text)

    one, two = (new_output("display_data", {"image/png": name}) for name in ("one", "two"))
    outputs = {
        "define": [printed("a summary")],
        "draw": [printed("beside it"), one, two],
        "count": [printed(" 50%|#\n100%|##\n23 units\n"), printed("100%|##\n")],
        "hidden": [one],
    }
    made = new_notebook(cells=[new_code_cell(id=name, outputs=o) for name, o in outputs.items()])
    (tmp_path / "lesson.md").write_text(SOURCE, encoding="utf-8")
    title, first, define, draw, count = slides.as_slides(
        lessons.read(tmp_path / "lesson.md"), made
    ).cells
    assert title.source == "# Title" and "notes" not in title.metadata
    assert (first.source, first.metadata.notes) == ("A short one.", "Say more.")
    assert [cell.metadata.slide for cell in (define, draw, count)] == ["-", "slide", "fragment"]
    assert define.outputs == [] and not define.metadata.transient.remove_source
    assert draw.outputs == [one, two] and draw.metadata.transient.remove_source
    assert draw.metadata.section == "First"
    assert [output.text for output in count.outputs] == ["23 units"]


def test_a_deck_is_one_file_with_notes_and_descriptions_and_without_rubble(decks):
    assert list(decks) == STEMS
    for stem, file in decks.items():
        source = lessons.read(lessons.SOURCES / f"{stem}.md")
        deck = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")
        assert not deck.select("link, script[src], iframe")
        assert len(deck.select("aside.notes")) >= len(deck.select("section")) / 2
        for image in deck.select("section img"):
            assert image["src"].startswith("data:image/png;base64,")
            assert len(image["alt"]) > 40 and not image["alt"].startswith("No description")
        marked = [cell for cell in source.cells if "code" in cell.metadata]
        assert len(deck.select(".source")) == len(marked)
        assert deck.select("section table"), "the scorecard"
        for notes in deck.select("aside.notes"):
            assert notes.extract().text.strip()
        text = deck.select_one(".slides").get_text(" ")
        for rubble in ("%|", "import ", "assert ", "$", "\\", "Playground(", "What you should see"):
            assert rubble not in text, (stem, rubble)
        assert text.count("Predict") >= 3


@in_chromium
@pytest.mark.parametrize("stem", STEMS)
def test_no_slide_is_larger_than_the_screen_and_nothing_is_fetched(stem, decks, page):
    page.set_viewport_size({"width": 1280, "height": 720})
    page.asked_for.clear()
    page.goto(decks[stem].as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    measured = dict(page.evaluate(FAULTS))
    assert {cell: faults for cell, faults in measured.items() if faults} == {}
    assert len(measured) >= 10 and {"title", "takeaways"} <= set(measured)
    assert page.locator("section figure img").count() >= 4
    assert [url for url in page.asked_for if not url.startswith("data:")] == [decks[stem].as_uri()]
    page.locator("section[data-cell=takeaways]").evaluate(
        "slide => slide.insertAdjacentHTML('beforeend', '<p>line</p>'.repeat(40))"
    )
    assert dict(page.evaluate(FAULTS))["takeaways"], "the measure can fail"


@in_chromium
def test_keys_lead_on_and_the_speaker_sees_the_notes(decks, page):
    page.goto(decks[STEMS[0]].as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    notes = page.locator("section.present aside.notes").first
    with page.expect_popup() as popup:
        page.keyboard.press("s")
    view = popup.value.locator(".speaker-controls-notes .value")
    before = notes.text_content().strip()
    view.filter(has_text=before[:40]).wait_for()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("Reveal.getIndices().h === 1")
    after = notes.text_content().strip()
    assert after != before and not notes.is_visible()
    view.filter(has_text=after[:40]).wait_for()
    popup.value.close()
