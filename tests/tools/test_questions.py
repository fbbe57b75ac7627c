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
