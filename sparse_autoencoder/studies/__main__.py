"""Fill one of the tables in data/ with the runs that it does not hold yet.

    python -m sparse_autoencoder.studies results --only "MSE" "MSE + L2" --seeds 2
    python -m sparse_autoencoder.studies sweep      # on the cores of this computer
    python -m sparse_autoencoder.studies sweep --scheduler tcp://10.0.0.7:8786    # on a cluster

A run is one training of a named setting with one seed; settings.py names them all.
"""

import argparse
from pathlib import Path

from ..tables import DATA
from .runs import fill
from .tables import TABLES


def main():
    """Do as the words on the command line say."""
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("table", choices=TABLES, help="the table to fill")
    parser.add_argument("--only", nargs="+", metavar="SETTING", default=[])
    parser.add_argument("--seeds", type=int, help="seeds per setting")
    parser.add_argument("--jobs", type=int, default=-1, help="processes (default: one a core)")
    parser.add_argument("--scheduler", help="address of a Dask scheduler, to run on its workers")
    parser.add_argument("--path", type=Path, help="another file to write to")
    parser.prog = "python -m sparse_autoencoder.studies"
    options = vars(parser.parse_args())
    name = options.pop("table")
    fill(TABLES[name], options.pop("path") or DATA / f"{name}.csv", **options)


if __name__ == "__main__":
    main()
