"""A real hub of a small class: `make hub` in a clone, with real users, until `make hub-end`."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from .machine import MISSING, Hub


@pytest.fixture(scope="session")
def hub():
    if MISSING:
        pytest.skip(MISSING)
    kept = os.environ.get("HUB_FOLDER")  # keeps its environment from one run to the next
    folder = Path(kept or tempfile.mkdtemp(prefix="hub-drill-", dir="/srv"))
    hub = Hub(folder)
    try:
        hub.start()
        yield hub
    finally:
        hub.end()
        if not kept:
            shutil.rmtree(folder)
