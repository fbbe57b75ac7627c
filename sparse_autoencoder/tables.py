"""The results that come with the course: data/*.csv and the pictures of the sweep.

`make results` and `make sweep` add what is missing; sparse_autoencoder.studies says how.
"""

from pathlib import Path

import pandas as pd

DATA = Path(__file__).parent.parent / "data"


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
    return pd.read_csv(path)


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
