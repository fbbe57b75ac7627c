"""What lets a notebook travel alone: badges that open it elsewhere, and a cell that installs.

    python -m tools.badges owner/name    # where the course is published; "" takes the badges away

The address stands in pyproject.toml; without one there are no badges rather than dead ones.
`make lessons` puts badges and cell into the notebooks, which stay executed as they are.
"""

import argparse
import re
import sys
from pathlib import Path
from urllib.parse import quote

from nbformat.v4 import new_code_cell, new_markdown_cell

ROOT = Path(__file__).parent.parent
IN_PYPROJECT = re.compile(r'^repository = "(.*)"', re.M)
IN_README = re.compile(r"(?<=<!-- badges -->\n).*?(?=<!-- end of badges -->)", re.S)
FIRST = "notebooks/01_mse_baseline.ipynb"
CODE = """\
# @title Looks for the course; where it is missing, installs it or says what to do
from importlib.util import find_spec
if not find_spec("sparse_autoencoder"):
"""
CODE_NOT_PUBLISHED = """\
    raise ModuleNotFoundError("The course is not here: open this notebook in a clone of it.")"""
CODE_PUBLISHED = """\
    %pip install --quiet git+{published}
if not find_spec("sparse_autoencoder"):
    raise ModuleNotFoundError(
        "Installing failed, see above why. With a network, run this cell again; without one,\\n"
        "open this notebook in a clone of {published}."
    )"""


def address():
    """Where the course is published, such as "https://github.com/owner/name"; "" for nowhere."""
    return IN_PYPROJECT.search((ROOT / "pyproject.toml").read_text("utf-8"))[1]


def badges(path, published):
    """Markdown of the badges that open a notebook elsewhere.

    Args:
        path: of the notebook, from the root of the repository.
        published: see address.
    """
    place, lab = published.removeprefix("https://github.com/"), quote(f"lab/tree/{path}", "")
    colab = "https://colab.research.google.com"
    kaggle, binder = "https://kaggle.com", "https://mybinder.org"
    links = {
        f"Colab]({colab}/assets/colab-badge.svg": f"{colab}/github/{place}/blob/main/{path}",
        f"Kaggle]({kaggle}/static/images/open-in-kaggle.svg": (
            f"{kaggle}/kernels/welcome?src={published}/blob/main/{path}"
        ),
        f"Binder]({binder}/badge_logo.svg": f"{binder}/v2/gh/{place}/main?urlpath={lab}",
    }
    return " ".join(f"[![Open in {picture})]({link})" for picture, link in links.items())


def pack(path, notebook):
    """Give a notebook that is to be written to path its badges and the cell; returns it."""
    folder = "notebooks/solutions" if path.parent.name == "solutions" else "notebooks"
    place, published = notebook.cells[0].cell_type == "markdown", address()  # behind a title
    then = CODE_PUBLISHED.format(published=published) if published else CODE_NOT_PUBLISHED
    metadata = {"tags": ["install"], "jupyter": {"source_hidden": True}, "cellView": "form"}
    packed = [new_code_cell(CODE + then, id="install", metadata=metadata)]
    if published:
        text = badges(f"{folder}/{path.name}", published)
        packed.insert(0, new_markdown_cell(text, id="badges"))
    notebook.cells[place:place] = packed
    return notebook


def unpack(notebook):
    """Take both away again, for pages that need no network; returns it."""
    notebook.cells = [cell for cell in notebook.cells if cell.id not in ("install", "badges")]
    return notebook


def publish(place):
    """Write the address into pyproject.toml, and what follows from it into README.md.

    Args:
        place: "owner/name" of the repository, or "".

    Raises:
        SystemExit: that is no such name.
    """
    if place and not re.fullmatch(r"[\w.-]+/[\w.-]+", place):
        sys.exit(f"The address must be like owner/name, but it is {place!r}.")
    published = place and f"https://github.com/{place}"
    pull = f"git-pull?repo={quote(published, '')}&urlpath={quote(f'lab/tree/{FIRST}', '')}"
    readme = (
        f"{badges(FIRST, published)}\n\nOn a JupyterHub: `https://HUB/hub/user-redirect/{pull}`"
    )
    for name, pattern, text in (
        ("pyproject.toml", IN_PYPROJECT, f'repository = "{published}"'),
        ("README.md", IN_README, f"{readme}\n" if place else ""),
    ):
        path = ROOT / name
        path.write_text(pattern.sub(lambda _, text=text: text, path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("address", help="such as owner/name")
    publish(parser.parse_args().address)
