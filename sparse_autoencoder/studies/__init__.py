"""Named settings trained over seeds into the tables in data/, and what lessons take from them.

    python -m sparse_autoencoder.studies modern --seeds 3

- `settings`: every named setting, plain data
- `models`: a setting built, trained and measured
- `tables`: one function for each table
- `runs`: the loop over settings and seeds
"""

from .models import baseline, build, code_metrics, fit
from .settings import BASELINES, SAME_L0, SETTINGS, STRENGTHS, SWEEP, sweep_name, variant_setting
from .tables import (
    TABLES,
    build_classifier,
    fit_classifier,
    max_cosine_similarity,
    superposed_examples,
)

__all__ = [
    "BASELINES",
    "SAME_L0",
    "SETTINGS",
    "STRENGTHS",
    "SWEEP",
    "TABLES",
    "baseline",
    "build",
    "build_classifier",
    "code_metrics",
    "fit",
    "fit_classifier",
    "max_cosine_similarity",
    "superposed_examples",
    "sweep_name",
    "variant_setting",
]
