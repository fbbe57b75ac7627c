"""Named settings trained over seeds into the tables in data/, and what lessons take from them.

    python -m sparse_autoencoder.studies modern --seeds 3

- `settings`: every named setting, plain data
- `models`: a setting built, trained and measured
- `tables`: one function for each table
- `runs`: the loop over settings and seeds
"""

from .models import build as build
from .models import code_metrics as code_metrics
from .models import fit as fit
from .settings import REVIVALS as REVIVALS
from .settings import SAME_L0 as SAME_L0
from .settings import SETTINGS as SETTINGS
from .settings import STRENGTHS as STRENGTHS
from .settings import sweep_name as sweep_name
from .tables import build_classifier as build_classifier
from .tables import fit_classifier as fit_classifier
from .tables import fit_lens as fit_lens
