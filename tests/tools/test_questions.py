"""The questions of all lessons: their form, and what becomes of them."""

import re
from collections import Counter

import pytest

from tools import lessons
from tools.questions import QUESTION, asked, framed, unanswered

SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in lessons.sources()}
LESSONS = [name for name in SOURCES if name[0] == "0"]
CHOICE = re.compile(r"^- ([A-E])\. (.+)", re.M)
RANGE = r"\*\*[\d.,]+ to [\d.,]+( [^*\d]+)?\.\*\*"
BOTH = """Before.

**Predict:** which?

- A. This
- B. That

<details><summary>Answer</summary>

**B.** So it is.

</details>

Between.

<details><summary>Answer</summary>Of another kind.</details>

**2.** How many?

<details><summary>Answer</summary>

**1 to 3.** Two.

</details>"""


def test_a_question_is_taken_apart():
    first, second = asked(BOTH)
    assert first == "**Predict:** which?\n\n- A. This\n- B. That" and second == "**2.** How many?"
    assert unanswered(BOTH).count("<details>") == 1 and first in unanswered(BOTH)
    frames = framed(BOTH).split('<div class="question">\n\n')
    assert [frame.count("\n\n</div>") for frame in frames] == [0, 1, 1]
    assert all(frame.startswith("**") for frame in frames[1:])


@pytest.mark.parametrize("name", SOURCES)
def test_every_prediction_can_be_answered_by_a_choice_or_a_number(name):
    found = list(QUESTION.finditer(SOURCES[name]))
    assert len(re.findall(r"\*\*Predict", SOURCES[name])) == sum(
        question["asked"].startswith("**Predict") for question in found
    ), "a prediction is a paragraph with choices, and a fold: tools/questions.py shows the form"
    for question in found:
        choices, answer = dict(CHOICE.findall(question["asked"])), question["answer"]
        assert len(set(choices.values())) == len(choices) == question["asked"].count("\n- ")
        if choices:
            assert list(choices) == list("ABCDE"[: len(choices)]) and len(choices) >= 2
            right = re.match(r"\*\*([A-E])\.\*\* (.{20})", answer)
            assert right and right[1] in choices, question["asked"]
        else:
            assert re.match(RANGE + r" .{20}", answer), question["asked"]


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_ends_with_a_quiz_that_says_why_a_choice_is_wrong(name):
    (quiz,) = [
        cell.source
        for cell in lessons.read(lessons.SOURCES / f"{name}.md").cells
        if cell.id == "quiz"
    ]
    found = list(QUESTION.finditer(quiz))
    assert 4 <= len(found) <= 6
    places = Counter()
    for number, question in enumerate(found, 1):
        assert question["asked"].startswith(f"**{number}.** ")
        choices, reasons = (dict(CHOICE.findall(question[part])) for part in ("asked", "answer"))
        right = question["answer"][2]
        places[right] += 1
        assert sorted([right, *reasons]) == list(choices) and len(choices) >= 3
        longest = max(choices.values(), key=len)
        assert len(choices[right]) <= 1.5 * max(
            len(text) for letter, text in choices.items() if letter != right
        ), f"its length gives it away: {longest}"
    assert max(places.values()) <= len(found) / 2, "the right choice has no favourite place"


# In the browser


def questions(name):
    """The questions of a lesson: what each asks, and what its answer begins with."""
    return [
        (found["asked"], found["answer"].split("**")[1])
        for found in QUESTION.finditer(SOURCES[name])
    ]


each_with_questions = pytest.mark.parametrize("name", list(filter(questions, SOURCES)))


@pytest.mark.slow
@pytest.mark.publish
@each_with_questions
def test_a_question_is_answered_by_mouse_and_keyboard_and_says_what_is_wrong(name, site, page):
    page.asked_for.clear()
    page.set_viewport_size({"width": 360, "height": 844})
    page.goto((site / "notebooks" / f"{name}.html").as_uri())
    boxes = page.locator(".question")
    assert boxes.count() == len(questions(name))
    for number, (_, right) in enumerate(questions(name)):
        box = boxes.nth(number)
        verdict, answer = box.get_by_role("status"), box.locator("details")
        choices = box.get_by_role("group").get_by_role("button")
        assert not verdict.is_visible() and answer.get_attribute("open") is None
        if box.get_by_role("spinbutton").count():
            low, high, unit = re.match(r"([\d.]+) to ([\d.]+)(.*)\.", right).groups()
            for given, said in (
                (float(low) / 2, "too low"),
                (float(high) + 1, "too high"),
                (low, "right"),
                (high, "right"),
            ):
                box.get_by_label("Your number").fill(f"{given}")
                page.keyboard.press("Enter")
                assert f"{unit} is {said}" in verdict.inner_text()
        else:
            letters = [text[0] for text in choices.all_inner_texts()]
            place = letters.index(right[0])
            choices.nth(place - 1).click()
            wrong = letters[place - 1]
            assert verdict.inner_text().startswith(f"{wrong} is not right")
            reasons = answer.locator("li", has_text=re.compile(rf"^\s*{wrong}\. "))
            assert all("chosen" in reason.get_attribute("class") for reason in reasons.all())
            choices.nth(place).focus()
            page.keyboard.press("Space")
            assert verdict.inner_text() == f"{right[0]} is right."
            pressed = box.get_by_role("button", pressed=True)
            assert pressed.all_inner_texts() == choices.nth(place).all_inner_texts()
        assert answer.locator("p").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert [url for url in page.asked_for if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.slow
@pytest.mark.publish
@each_with_questions
def test_the_questions_of_a_lesson_are_printed_on_one_sheet_without_answers(name, site, page):
    page.goto((site / "notebooks" / f"{name}.html").as_uri())
    page.locator(".question").first.get_by_role("button").first.click()  # opens an answer
    page.evaluate("window.print = () => {}")  # else the dialogue would wait for a printer
    page.get_by_role("button", name="Questions to print").click()
    page.emulate_media(media="print")
    shown = page.locator("body").inner_text()
    pictures = page.locator("article :is(img, iframe, table, pre):visible").count()
    sheets = len(re.findall(rb"/Type ?/Page\b", page.pdf(format="A4")))
    page.emulate_media(media="null")
    assert sheets == 1 and pictures == 0 and page.locator("article h2").first.is_visible()
    choices = re.findall(r"^- ([A-E]\. )", "\n".join(text for text, _ in questions(name)), re.M)
    assert re.findall(r"^([A-E]\. )", shown, re.M) == choices
    assert len(re.findall(r"^(?:Predict|\d\. )", shown, re.M)) == len(questions(name))
    for word in ("Answer", "Contents", "Search"):
        assert word not in shown
    assert not re.search(r"^([A-E]|[\d.]+ ?%?) is (right|not right|too)", shown, re.M)


@pytest.mark.slow
@pytest.mark.publish
def test_without_scripts_a_question_is_a_list_and_a_fold(site, page):
    context = page.context.browser.new_context(java_script_enabled=False)
    still = context.new_page()
    still.goto((site / "notebooks" / "01_mse_baseline.html").as_uri())
    box = still.locator(".question").first
    assert box.get_by_role("listitem").count() == 3 and not box.get_by_role("button").count()
    assert not box.locator("details p").is_visible()
    box.locator("summary").click()
    box.locator("details p").wait_for(state="visible")
    context.close()
