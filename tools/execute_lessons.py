"""Execute lessons in place, top to bottom, and strip what must not be committed.

    python tools/execute_lessons.py                  # every notebook, on real MNIST
    python tools/execute_lessons.py 03_kl_sparsity   # one of them

A notebook is written only when it ran to its end, so a failure leaves the old one as it was.
"""

import argparse
import base64
import functools
import io
import re
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# What is written by hand: tags, pictures' descriptions, and what slides and nbgrader need.
CELL_METADATA = {"tags", "alt", "slideshow", "nbgrader"}
LINES = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]  # as in matplotlibrc
PEAK_MEMORY = "import resource\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def execute(notebook, parameters=None, timeout=1800):
    """Run a notebook in a fresh kernel, with its outputs cleaned; returns it.

    Args:
        notebook: a NotebookNode; changed in place.
        parameters: name → value, set in the cell tagged "parameters" for this run alone.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    asked = "".join(f"\n{name} = {value!r}" for name, value in (parameters or {}).items())
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source += asked
    NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        record_timing=False,
        coalesce_streams=True,
    ).execute()
    for cell in notebook.cells:
        cell.source = cell.source.removesuffix(asked)
    return strip(notebook)


def strip(notebook):
    """Remove widget views and states, progress-bar debris and foreign metadata; returns it."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(
            {k: v for k, v in cell.metadata.items() if k in CELL_METADATA}
        )
        if cell.cell_type != "code":
            continue
        kept = [o for o in cell.outputs if WIDGET_VIEW not in o.get("data", {})]
        for output in kept:
            output.get("metadata", {}).clear()
            if output.output_type == "stream":
                output.text = last_states(output.text)
            elif "image/png" in output.get("data", {}):
                output.data["image/png"] = with_palette(output.data["image/png"])
        cell.outputs = kept
    return notebook


def with_palette(png):
    """A base64 PNG in the colours that the course's figures are made of: a third of the size."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    file = io.BytesIO()
    picture.quantize(palette=_palette(), dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")


@functools.cache
def _palette():
    """Grays, the maps for weights and for magnitudes, and the lines' colours with lighter tints."""
    colors = [(level, level, level) for level in np.linspace(0, 1, 32)]
    colors += [colormaps["RdBu_r"](x)[:3] for x in np.linspace(0, 1, 49)]
    colors += [colormaps["viridis"](x)[:3] for x in np.linspace(0, 1, 32)]
    for line in LINES:
        colors += [tuple(1 - tint * (1 - part) for part in to_rgb(line)) for tint in (1, 0.7, 0.35)]
    palette = Image.new("P", (1, 1))
    palette.putpalette([round(255 * part) for color in colors for part in color])
    return palette


def last_states(text):
    """What a terminal would show: of a line that was rewritten, the last state."""
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in text.split("\n")]
    return re.sub(r"\n{2,}\Z", "\n", "\n".join(lines))


def lessons():
    """The paths of all notebooks of the course, in order, without JupyterLab's own copies."""
    paths = NOTEBOOKS.glob("**/*.ipynb")
    return sorted(path for path in paths if ".ipynb_checkpoints" not in path.parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("lessons", nargs="*", help="notebooks, by path or by name; default: all")
    names = parser.parse_args().lessons
    paths = [NOTEBOOKS / f"{Path(name).stem}.ipynb" for name in names] or lessons()
    for path in paths:
        if not path.exists():
            sys.exit(
                f"There is no {path.name} in notebooks/: name a lesson, such as 01_mse_baseline."
            )
        start = time.perf_counter()
        notebook = nbformat.read(path, as_version=4)
        notebook.cells.append(nbformat.v4.new_code_cell(PEAK_MEMORY))
        try:
            notebook = execute(notebook, {"REUSE": False})  # what it shows was trained in this run
        except CellExecutionError as error:
            sys.exit(f"{path.name} stopped with an error, and was left as it was:\n{error}")
        megabytes = int(notebook.cells.pop().outputs[0].text) / 1024
        nbformat.write(notebook, path)
        print(
            f"{path.name}: {time.perf_counter() - start:.0f} s, the kernel took up to "
            f"{megabytes:,.0f} MB; the file has {path.stat().st_size / 1000:.0f} KB",
            flush=True,
        )


if __name__ == "__main__":
    main()
