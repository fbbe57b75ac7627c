"""The results that come with the course: data/*.csv and the pictures of the sweep.

`make results` and `make sweep` add what is missing; sparse_autoencoder.studies says how.
"""

import csv
import io
from pathlib import Path

import pandas as pd

PACKAGE = Path(__file__).parent
IN_A_CLONE = not (PACKAGE / "data").exists()  # a wheel brings the tables within the package
DATA = PACKAGE.parent / "data" if IN_A_CLONE else PACKAGE / "data"


def table(name):
    """A table of results as a pandas DataFrame, a row for each run.

    Args:
        name: of the file in data/, such as "results" or "learning_curve".

    Raises:
        FileNotFoundError: there is no such table; the message lists those that there are.
    """
    path = DATA / f"{name}.csv"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in DATA.glob("*.csv")))
        raise FileNotFoundError(f"There is no table {name!r} in {DATA}. There are: {known}.")
    return pd.read_csv(io.BytesIO(b"".join(whole_lines(path))))


def whole_lines(path):
    """The lines of a table, header first, as bytes; none that a kill or a full disk damaged.

    Such a line has no end, is glued to the next one, is the header again, or holds zeros (after a
    power cut). No text in a table goes over several lines.
    """
    lines = path.read_bytes().split(b"\n")[:-1]  # behind the last end of a line stands a cut one

    def fields(line):
        whole = b"\0" not in line and line.count(b'"') % 2 == 0
        return len(next(csv.reader([line.decode(errors="replace")]), ())) if whole else 0

    whole = [line for line in lines[1:] if line != lines[0] and fields(line) == fields(lines[0])]
    return [line + b"\n" for line in [*lines[:1], *whole]]


def sweep():
    """The sweep as a pandas DataFrame: a row for each setting, figures averaged over seeds.

    A penalty that a setting lacks has strength 0; its ρ is missing (NaN).
    """
    runs = table("sweep")
    penalties = ["beta", "lam1", "lam2"]
    runs[penalties] = runs[penalties].fillna(0.0)
    by_setting = runs.groupby("setting", sort=False)
    axes = ["activation", "rho", *penalties, "hidden_units", "batch_size"]
    figures = by_setting.mean(numeric_only=True).drop(columns=["seed", *axes[1:]])
    return figures.join(by_setting[axes].first()).assign(seeds=by_setting.size())


def sweep_picture(setting, kind):
    """The path of a picture of a setting of the sweep.

    Args:
        setting: its name, as in the index of `sweep()`.
        kind: "features" or "reconstructions".
    """
    return DATA / "sweep" / f"{setting.replace(' ', '_')}_{kind}.png"
