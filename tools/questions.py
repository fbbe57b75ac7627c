"""Questions that a reader answers first: each **Predict**, and the quiz at a lesson's end.

In lessons/*.md a question is a paragraph, its choices, and a fold that begins with the right one:

    **Predict:** the layers are not linear. Will it beat PCA?

    - A. By far
    - B. By next to nothing

    <details><summary>Answer</summary>

    **B.** Section 5 shows both lines in one picture: 1.67 and 1.81.

    </details>

Without choices a number is asked for, and the fold begins with what counts as right:
**45 to 55 %.** In a quiz the paragraph begins with the question's number, **1.**, and below the
answer stands a list with the reason against each other choice. A notebook shows all this as it
is, a slide leaves out the fold, and site/static/questions.js makes it answerable.
"""

import re

QUESTION = re.compile(
    r"^(?P<asked>\*\*(?:Predict|\d+\.)(?:(?!<details).)*?)\n\n"
    r"<details><summary>Answer</summary>\n\n(?P<answer>.*?)\n\n</details>$",
    re.M | re.S,
)


def asked(markdown):
    """The questions of a cell, with their choices, as a list of texts."""
    return [found["asked"] for found in QUESTION.finditer(markdown)]


def unanswered(markdown):
    """A cell without the answers to its questions."""
    return QUESTION.sub(r"\g<asked>", markdown)


def framed(markdown):
    """A cell with every question in a box of HTML, for the script to find."""
    return QUESTION.sub('<div class="question">\n\n\\g<0>\n\n</div>', markdown)
