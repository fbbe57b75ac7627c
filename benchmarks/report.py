"""What the benchmarks tell: tables, the machine, and their places in README.md."""

import importlib.metadata
import os
import platform
import re
from contextlib import suppress
from datetime import date
from pathlib import Path

README = Path(__file__).parent / "README.md"


def table(header, rows):
    """A table in Markdown, numbers to the right."""
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine():
    """One sentence on what this was measured on."""
    parts = [str(date.today()), platform.processor() or platform.machine()]
    with suppress(OSError, TypeError):  # on Linux it has a fuller name
        parts[1] = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]
    parts += [f"{os.cpu_count()} cores", platform.system(), f"Python {platform.python_version()}"]
    for package in ("numpy", "tensorflow", "keras", "torch"):
        with suppress(importlib.metadata.PackageNotFoundError):
            parts.append(f"{package} {importlib.metadata.version(package)}")
    return f"{', '.join(parts)}; {os.getloadavg()[0]:.1f} cores were busy before the start."


def write(text, script, readme=README):
    """Put the text between the marks that name the script."""
    begin, end = (f"<!-- written by {script}: {mark} -->" for mark in ("begin", "end"))
    before, rest = readme.read_text(encoding="utf-8").split(begin)
    after = rest.split(end)[1]
    readme.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
