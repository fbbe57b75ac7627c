"""The instructor's guide knows every lesson, and its plans fill the time they are made for."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "teaching" / "README.md").read_text(encoding="utf-8")
LESSONS = sorted(path.stem for path in (ROOT / "notebooks").glob("0*.ipynb"))
SECTIONS = {text[:2]: text for text in re.split(r"^### \[?(?=\d\d · )", GUIDE, flags=re.M)[1:]}


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_lesson_has_its_plans(lesson):
    section = SECTIONS[lesson[:2]].split("\n## ")[0]
    assert f"](../notebooks/{lesson}.ipynb)" in section.splitlines()[0]
    plan = re.findall(r"^\| (\d+|–) \| (\d+) \| \S.*\|$", section, re.M)  # –: left out
    minutes = [
        [int(text.replace("–", "0")) for text in column] for column in zip(*plan, strict=True)
    ]
    assert list(map(sum, minutes)) == [45, 90]


def test_the_half_day_is_four_hours():
    minutes = re.findall(r"^\| (\d+) \| ", GUIDE.split("| half a day |")[1], re.M)
    assert sum(map(int, minutes)) == 240


@pytest.mark.parametrize("lesson", LESSONS)
def test_exercises_and_experiments_have_the_names_that_the_guide_uses(lesson):
    section = SECTIONS[lesson[:2]].split("\n## ")[0].replace("**", "")
    notebooks = ROOT.glob(f"notebooks/**/{lesson}*.ipynb")  # the lesson, and its worked answers
    text = "".join(path.read_text(encoding="utf-8") for path in notebooks)
    for name in re.findall(r"\*([A-Z][^*]+)\*", section):
        assert name.rstrip("?") in text, name
