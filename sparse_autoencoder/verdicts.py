"""What all checks share: how an answer becomes one sentence, whatever it does."""

import functools
import os
import re
import traceback
from pathlib import Path

# Where no line of an answer stands.
OURS = str(Path(__file__).parent), str(Path(os.__file__).parent)


class StillToDo(Exception):
    """The answer has its dots still."""


def check(asked):
    """Make a check of a function: answer, and what it needs of the page → what is wrong, or None.

    Args:
        asked: what is to be done in place of the dots, such as "return the errors".
    """

    def make(find_fault):
        @functools.wraps(find_fault)
        def checked(answer, *page):
            verdict = _fault(find_fault, asked, answer, page) or "Right."
            print(verdict)
            # nbgrader says so in the environment while it grades or validates.
            if "NBGRADER_EXECUTION" in os.environ and not verdict.startswith("Right."):
                raise AssertionError(verdict)

        return checked

    return make


def _fault(find_fault, asked, answer, page):
    name = getattr(answer, "__name__", find_fault.__name__)
    if not callable(answer):
        return (
            f"Hand over what you wrote, not what it gives: checks.{find_fault.__name__}(…) takes "
            f"a function or a class, not {type(answer).__name__}."
        )

    @functools.wraps(answer, updated=())
    def answered(*arguments):
        result = answer(*arguments)
        if result is None:
            raise StillToDo
        return result

    try:
        return find_fault(answered, *page)
    except StillToDo:
        return f"{name} is still to do: replace the dots, and {asked}."
    except Exception as error:
        # Keras puts what went wrong in a layer between bold and normal.
        message = re.sub(r".*\x1b\[1m(.+?)\x1b\[0m.*", r"\1", str(error), flags=re.S)
        problem = f"{type(error).__name__}: {message.strip().partition(chr(10))[0]}"
        passed = traceback.extract_tb(error.__traceback__)
        own = [f for f in passed if not (f.filename.startswith(OURS) or "-packages" in f.filename)]
        if own:
            line = f"`{own[-1].line}`" if own[-1].line else f"line {own[-1].lineno}"
            return f"{name} stops at {line} with {problem}"
        return f"What {name} gives cannot be checked. It has to {asked}. ({problem})"
