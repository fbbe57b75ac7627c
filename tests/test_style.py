"""The style of modules, tests and notebooks: the rules stand in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("rules", [["check", "--quiet"], ["format", "--check", "--quiet"]])
def test_ruff_finds_nothing(rules):
    ruff = subprocess.run(
        [sys.executable, "-m", "ruff", *rules, "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ruff.returncode == 0, ruff.stdout + ruff.stderr
