"""Turn the lessons into decks of slides: build/slides/NN_name.html, each a single file.

    python -m tools.publish.slides

What a slide shows of a cell is said by the cell's metadata, all of it optional:

    slideshow.slide_type   "slide" begins one, "-" goes on, "fragment" appears at the next key,
                           "skip" is left off, as in JupyterLab; see `slide_type` for the default
    slideshow.text         stands on the slide in place of the cell's prose
    slideshow.code         true: the code is shown as well as what it made
    slideshow.notes        what the lecturer sees in the speaker view
    alt                    the description of the cell's picture

Of a text without `slideshow.text` the slide shows the first sentence; headings, formulas, tables,
lists and predictions are always shown, folded answers move to the speaker view.
"""

import copy
import re

from tools.publish.lessons import (
    BUILD,
    ROOT,
    LessonExporter,
    asset,
    first_sentence,
    highlighting,
    lessons,
    read,
    title,
)

NEVER = {"parameters", "imports", "check-why", "check", "playground-run", "next"}
PREDICT = "**Predict"
DETAILS = re.compile(r"<details>\s*<summary>.*?</summary>(.*?)</details>", re.S)
PROGRESS = re.compile(r"\d+%\|")
# What may stand on a slide without being asked for.
TEXT_LINES, CODE_LINES, CODE_WIDTH = 10, 12, 88


def slide_type(cell, before, deck):
    """The slide_type of a cell that does not say it itself.

    Args:
        before: the type of the cell before it.
        deck: the cells that are on slides so far.

    A heading begins a slide, and so does what a cell made, unless only a heading stands before it;
    a text that follows a picture appears after it; the rest is for readers.
    """
    if cell.id in NEVER or any(shown.id == "takeaways" for shown in deck):
        return "skip"
    if cell.cell_type == "code":
        if not (outputs(cell) or code(cell)):
            return "skip"
        return "-" if before == "slide" and re.fullmatch("## .*", deck[-1].source) else "slide"
    if re.match(r"#{1,3} ", cell.source):
        return "slide"
    return "fragment" if before in ("slide", "-") else "skip"


def outputs(cell):
    """What a slide shows of what a cell made: its pictures, or else tables and a few lines."""
    pictures = [output for output in cell.outputs if "image/png" in output.get("data", {})]
    if pictures:
        return pictures
    kept = []
    for output in cell.outputs:
        data = output.get("data", {})
        if output.output_type == "stream":
            lines = [line for line in output.text.splitlines() if not PROGRESS.search(line)]
            text = "\n".join(lines).strip("\n")
            if text and len(lines) <= TEXT_LINES:
                kept.append(output | {"text": text})
        elif "text/markdown" in data or "<table" in data.get("text/html", ""):
            kept.append(output)
    return kept


def code(cell):
    """The code that a slide shows: what a lesson derives, if it is short, or what asks for it."""
    wanted = cell.metadata.get("slideshow", {}).get("code")
    if wanted is None:
        lines = cell.source.splitlines()
        fits = len(lines) <= CODE_LINES and max(map(len, lines), default=0) <= CODE_WIDTH
        wanted = fits and "derives" in cell.metadata.get("tags", [])
    return cell.source if wanted else ""


def text(cell):
    """What a slide shows of a text, and the folded answers in it, both in Markdown."""
    source = cell.source.replace(f" {PREDICT}", f"\n\n{PREDICT}")
    own = cell.metadata.get("slideshow", {}).get("text")
    answers = [answer.strip() for answer in DETAILS.findall(source)]
    blocks = [block.strip() for block in re.split(r"\n\s*\n", DETAILS.sub("", source))]
    kept, told = [], False
    for block in filter(None, blocks):
        if block.startswith("#"):
            if kept:
                break  # a second section of the same cell
            kept.append(block)
        elif block.startswith(("$$", PREDICT, "**Find")) or re.match(r"\|.*\w.*\|\n", block):
            kept.append(block)
        elif re.match(r"(-|\d+\.) ", block):
            if own is None:
                kept.append(block)
        elif not told and not block.startswith("|"):
            kept.append(own if own is not None else first_sentence(block))
            told = True
    if own is not None and not told:
        kept.insert(1, own)
    return "\n\n".join(filter(None, kept)), answers


def as_slides(notebook):
    """The cells of a deck, as a notebook: each knows whether a slide begins or ends with it."""
    deck, kind, section = copy.deepcopy(notebook), None, ""
    deck.cells = []
    for cell in copy.deepcopy(notebook.cells):
        settings = cell.metadata.get("slideshow", {})
        kind = settings.get("slide_type") or slide_type(cell, kind, deck.cells)
        if heading := re.match(r"## (?:\d+\. )?(.*)", cell.source):
            section = heading[1]
        if kind == "skip":
            continue
        answers = []
        if cell.cell_type == "markdown":
            cell.source, answers = text(cell)
        else:
            cell.outputs = outputs(cell)
            if not code(cell):
                cell.metadata["transient"] = {"remove_source": True}  # nbconvert's word for it
        notes = [settings["notes"]] if "notes" in settings else []
        notes += [f"{n}. {answer}" for n, answer in enumerate(answers, 1)]
        slide = {"begins": kind == "slide", "fragment": kind == "fragment", "ends": False}
        slide["notes"] = "\n\n".join(notes)
        slide["section"] = "" if cell.source.startswith("#") else section
        if slide["begins"] and deck.cells:
            deck.cells[-1].metadata["slide"]["ends"] = True
        cell.metadata["slide"] = slide
        deck.cells.append(cell)
    deck.cells[-1].metadata["slide"]["ends"] = True
    return deck


def deck(path):
    """The HTML of a lesson's deck."""
    notebook = read(path)
    styles = [asset("reveal/reveal.css"), highlighting("default"), asset("deck.css")]
    scripts = [asset("reveal/reveal.js"), asset("reveal/notes.js")]
    return LessonExporter("deck").page(
        as_slides(notebook), title=title(notebook), styles=styles, scripts=scripts
    )


def make(folder):
    """Write the deck of every lesson into a folder; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{path.stem}.html" for path in lessons()]
    for path, file in zip(lessons(), files, strict=True):
        file.write_text(deck(path), encoding="utf-8")
    return files


def main():
    for file in make(BUILD / "slides"):
        print(f"{file.relative_to(ROOT)}: {file.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
