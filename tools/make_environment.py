"""Makes an environment, or updates it: `python3 tools/make_environment.py .venv requirements.txt`.

Its stamp goes first and comes back last: what is half-made is never trusted. Old Pythons read it.
"""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

CHOOSE = "or name the one to use: make lab PYTHON=/path/to/python3.12"


def set_up(environment, *requirements):
    version = "{}.{}".format(*sys.version_info)
    if version not in ("3.10", "3.11", "3.12", "3.13"):
        sys.exit(f"The course needs Python 3.10 to 3.13; this is {version}. Install one, {CHOOSE}")
    if importlib.util.find_spec("fcntl"):  # one set-up at a time, where there are such locks
        fcntl = importlib.import_module("fcntl")
        fcntl.flock(os.open(".", os.O_RDONLY), fcntl.LOCK_EX)
    place = {"folder": os.getcwd(), "python": version}
    stamp, made = Path(environment, "made-from.json"), {}
    with contextlib.suppress(OSError, ValueError):
        made = json.loads(stamp.read_text("utf-8"))
    trusted = made == dict(made, **place)
    names = sorted({"pyproject.toml", *requirements, *(made["files"] if trusted else ())})
    files = {name: Path(name).read_text("utf-8") for name in names if os.path.exists(name)}
    if trusted and made["files"] == files:
        return
    stamp.unlink(missing_ok=True)
    if not trusted:
        if not importlib.util.find_spec("ensurepip"):
            sys.exit(f"Python's venv module is missing: sudo apt install python3-venv, {CHOOSE}")
        if os.path.islink(environment):
            os.unlink(environment)  # what it leads to is not ours to clear
        print(f"Making the environment {environment}: about 3 minutes and 3 GB.", flush=True)
        subprocess.check_call([sys.executable, "-m", "venv", "--clear", environment])
    python = os.path.join(environment, "Scripts" if sys.platform == "win32" else "bin", "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", *["--quiet"] * trusted]
    subprocess.check_call([*pip, *(f"-r{name}" for name in files if name.endswith(".txt"))])
    # The course itself goes last, built by what is there by now: pinned, and without a network.
    subprocess.check_call([*pip, "--quiet", "--no-build-isolation", "--editable=."])
    for kernel in Path(environment).glob("share/jupyter/kernels/python3/kernel.json"):
        spec = json.loads(kernel.read_text("utf-8")) | {"env": {"MALLOC_ARENA_MAX": "1"}}
        kernel.write_text(json.dumps(spec), "utf-8")  # one pool for all threads: less memory
    stamp.write_text(json.dumps(dict(place, files=files)), "utf-8")


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parent.parent)
    for name in ("PIP_USER", "PIP_TARGET", "PIP_PREFIX"):  # they would install elsewhere
        os.environ.pop(name, None)
    try:
        set_up(*sys.argv[1:])
    except (subprocess.CalledProcessError, KeyboardInterrupt):
        sys.exit("\nThe set-up is not complete: mend what stopped it, then run it again.")
