"""How nbgrader makes an assignment of a notebook of solutions: see README.md beside this file."""

import functools
import hashlib
import importlib.util
from pathlib import Path

from nbgrader.converters import Autograde, GenerateAssignment
from nbgrader.preprocessors import Execute

c = get_config()  # noqa: F821, nbgrader defines it

# What stands in place of an answer runs through and says that it is still to do.
c.ClearSolutions.code_stub = {"python": "..."}

# The worked results and the common mistakes are not handed out.
c.TagRemovePreprocessor.enabled = True
c.TagRemovePreprocessor.remove_cell_tags = {"mistake", "worked"}
c.GenerateAssignment.preprocessors = [
    "nbconvert.preprocessors.TagRemovePreprocessor",
    *GenerateAssignment().preprocessors,
]

# A learner's answer may train for a while before a check can look at it, on a slow computer too.
c.Execute.timeout = 600

# Run before each check: its name, its module and what tells it to give no points may be anything
# by now. `package` and `files` (path → SHA-256) are those of this computer.
FRESH_CHECKS = """
def _fresh_checks(package, files):
    import hashlib, importlib, os, sys

    os.environ["NBGRADER_EXECUTION"] = "autograde"
    for path, sha256 in files.items():
        with open(path, "rb") as file:
            assert hashlib.sha256(file.read()).hexdigest() == sha256, path + " was changed."
    for name in ("checks", "verdicts"):
        sys.modules.pop("sparse_autoencoder." + name, None)
    used = importlib.import_module("sparse_autoencoder").__file__
    assert os.path.samefile(used, package), used + " is not the course's."
    return importlib.import_module("sparse_autoencoder.checks")

"""


@functools.cache
def fresh_checks():
    """The code above with its call; made before the first submission runs."""
    package = importlib.util.find_spec("sparse_autoencoder").origin
    files = sorted(Path(package).parent.rglob("*.py"))
    sums = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return f"{FRESH_CHECKS}checks = _fresh_checks({package!r}, {sums!r})\n\n"


class ExecuteWithFreshChecks(Execute):
    """Runs a submission; the code of each graded cell comes behind FRESH_CHECKS."""

    def preprocess(self, *arguments, **more):
        """Look at the package before anybody's code has run."""
        fresh_checks()
        return super().preprocess(*arguments, **more)

    def preprocess_cell(self, cell, resources, index, **more):
        """The cell is executed with what comes before it, and stays as it was."""
        source = cell.source
        if cell.metadata.get("nbgrader", {}).get("grade") and cell.cell_type == "code":
            cell.source = fresh_checks() + source
        try:
            return super().preprocess_cell(cell, resources, index, **more)
        finally:
            cell.source = source


c.Autograde.autograde_preprocessors = [
    ExecuteWithFreshChecks if step is Execute else step
    for step in Autograde().autograde_preprocessors
]
