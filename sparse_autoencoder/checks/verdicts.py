"""What all checks share: how an answer becomes one sentence, whatever it does."""

import functools
import os
import re
import traceback
from pathlib import Path

import numpy as np

from ..images import load_images


class StillToDo(Exception):
    """The answer has its dots still."""


def check(asked):
    """Make a check of a function: answer, and what it needs of the page → verdict.

    Args:
        asked: what is to be done in place of the dots, such as "return the errors".
    """

    def make(verdict_on):
        @functools.wraps(verdict_on)
        def checked(answer, *page):
            verdict = say(verdict_on, asked, answer, *page)
            print(verdict)
            # nbgrader says so in the environment while it grades or validates.
            if "NBGRADER_EXECUTION" in os.environ and not verdict.startswith("Right."):
                raise AssertionError(verdict)

        return checked

    return make


def say(verdict_on, asked, answer, *page):
    """The verdict on an answer, whatever the answer does."""
    name = getattr(answer, "__name__", verdict_on.__name__)
    if not callable(answer):
        return (
            f"Hand over what you wrote, not what it gives: checks.{verdict_on.__name__}(…) takes "
            f"a function or a class, not {type(answer).__name__}."
        )

    @functools.wraps(answer, updated=())
    def answered(*arguments):
        result = answer(*arguments)
        if result is None:
            raise StillToDo
        return result

    try:
        return verdict_on(answered, *page)
    except StillToDo:
        return f"{name} is still to do: replace the dots, and {asked}."
    except Exception as error:
        # Keras puts what went wrong in a layer between bold and normal.
        message = re.sub(r".*\x1b\[1m(.+?)\x1b\[0m.*", r"\1", str(error), flags=re.S)
        problem = f"{type(error).__name__}: {message.strip().partition(chr(10))[0]}"
        if lines := lines_written_by_others(error):
            return f"{name} stops at {lines[-1]} with {problem}"
        return f"What {name} gives cannot be checked. It has to {asked}. ({problem})"


def lines_written_by_others(error):
    """The lines that an error passed through, outside this package and installed ones."""
    ours = str(Path(__file__).parent.parent), str(Path(os.__file__).parent)
    frames = traceback.extract_tb(error.__traceback__)
    outside = [
        f for f in frames if "-packages" not in f.filename and not f.filename.startswith(ours)
    ]
    return [f"`{frame.line}`" if frame.line else f"line {frame.lineno}" for frame in outside]


@functools.cache
def digits():
    """The small bundled images: every check takes seconds, with or without MNIST."""
    return load_images("digits")


@functools.cache
def blocks():
    """Features that need no training, (784, 49): the blocks of 4 × 4 pixels, each of norm 1."""
    rows = np.kron(np.eye(7), np.ones((4, 1)))
    return np.kron(rows, rows) / 4
