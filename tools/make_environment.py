"""Makes one of the environments of this course, or leaves it alone where it is as it should be.

    python3 tools/make_environment.py .venv requirements.txt

An environment is trusted only by its stamp: a file that is removed before anything changes,
written after everything else, and that says where, with which Python and from which files the
environment was made. So whatever stops a set-up half-way, the next run starts it again.

This file is also read by Pythons too old for the course, so that they can say so: keep to the
standard library and to what Python 3.6 understands.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys

SUPPORTED = ["3.10", "3.11", "3.12", "3.13"]  # as requires-python in pyproject.toml
GIGABYTES = 5  # 3 for the environment, 2 for what pip downloads meanwhile, and its cache
ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

# What pip and Python write when something outside of this project is wrong, and what to do then.
CAUSES = {
    r"No space left on device|Disk quota exceeded": (
        f"The disk is full: the set-up needs about {GIGABYTES} GB in this folder, the folder for "
        "temporary files (TMPDIR) and pip's cache. Make room and run the same command again."
    ),
    r"connection broken|Connection\w*Error|[Tt]imed out|TimeoutError|IncompleteRead": (
        "The package index that pip downloads from cannot be reached. Check the network "
        "connection (and the proxy, where there is one) and run the same command again."
    ),
}


def stop(message):
    """Ends the set-up with one message and without a traceback."""
    sys.exit(f"\n{message}")


def explain(output):
    """Ends the set-up with what a failed step's output means."""
    for pattern, meaning in CAUSES.items():
        for line in output.splitlines():
            if re.search(pattern, line):
                stop(f"{meaning}\nThe cause: {line.strip()[:300]}")
    stop(
        "The environment could not be made, for the reason below. Nothing half-made is kept: "
        f"once that is mended, run the same command again.\n{output.strip()[-1500:]}"
    )


def run(*command):
    """Runs one step; on a terminal, one line that is written over and over shows its progress."""
    child = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,  # a question would not be seen
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    output = ""
    try:
        for line in child.stdout:
            output += line
            if sys.stdout.isatty() and re.match(r" *(Collecting|Downloading|Installing)", line):
                width = shutil.get_terminal_size().columns - 1
                print("\r\033[K" + line.strip()[:width], end="", flush=True)
    except BaseException:
        child.terminate()
        child.wait()
        raise
    finally:
        if sys.stdout.isatty():
            print("\r\033[K", end="", flush=True)
    if child.wait():
        explain(output)


def version_of(python):
    """Says which version a Python has, such as "3.12"; "" where there is none that runs."""
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    with contextlib.suppress(OSError):
        answer = subprocess.run(
            [python, "-c", question],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        return answer.stdout.strip()
    return ""


def choose_python():
    """Finds the Python to make an environment with: PYTHON where it is set, or the first fit."""
    if "PYTHON" in os.environ:
        names = [os.environ["PYTHON"]]
    else:
        names = ["python3"] + ["python" + version for version in reversed(SUPPORTED)]
    for name in names:
        if version_of(name) in SUPPORTED:
            return name
    stop(
        f"The course needs one of Python {', '.join(SUPPORTED)}, but {names[0]} is Python "
        f"{version_of(names[0])}. Install one of these, or name the one to use: "
        "make setup PYTHON=/path/to/python3.12"
    )


def create(environment, stamp):
    """Makes the environment anew and empty, after a look at what that needs."""
    python = choose_python()
    if subprocess.call([python, "-c", "import ensurepip, venv"], stderr=subprocess.DEVNULL):
        stop(
            f"{python} cannot make environments: its modules venv and ensurepip are missing. "
            "Install them (on Debian and Ubuntu: sudo apt install python3-venv) and run the same "
            "command again, or name another Python: make setup PYTHON=/path/to/python3.12"
        )
    remove(stamp)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(os.path.join(ROOT, environment))
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < GIGABYTES:
        stop(
            f"The disk of this folder has {free:.1f} GB free, but the set-up needs about "
            f"{GIGABYTES} GB. Make room and run the same command again."
        )
    print(
        f"There is no complete environment in {environment} yet: making it with {python}, "
        "which takes about 3 minutes and 3 GB.",
        flush=True,
    )
    run(python, "-m", "venv", environment)


def remove(stamp):
    """Takes an environment's stamp away, so that nobody trusts it until it is stamped again."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(stamp)


def set_up(environment, requirements):
    """Makes the environment hold what the files ask for."""
    python = os.path.join(ROOT, environment, "bin", "python")
    stamp = os.path.join(ROOT, environment, "made-from.txt")

    def place():
        # With the folder, because the environment's programs hold its path.
        return f"folder {ROOT}\nPython {version_of(python)}\n"

    contents = hashlib.sha256()
    for name in ["pyproject.toml", *requirements]:
        with open(os.path.join(ROOT, name), "rb") as file:
            contents.update(file.read())
    files = f"files {contents.hexdigest()}\n"

    found = ""
    with contextlib.suppress(OSError), open(stamp, encoding="utf-8") as file:
        found = file.read()
    other_python = "PYTHON" in os.environ and version_of(os.environ["PYTHON"]) != version_of(python)
    if found == place() + files and not other_python:
        return
    if found.startswith(place()) and not other_python:
        print(f"Bringing the environment {environment} up to date.", flush=True)
        remove(stamp)
    else:
        create(environment, stamp)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install"]
    run(*pip, *[word for name in requirements for word in ("-r", name)])
    # The project itself goes last and is built by what is installed by then: pinned, and without
    # a network where the requirements are there already.
    run(*pip, "--no-build-isolation", "--editable", ".")
    with open(stamp, "w", encoding="utf-8") as file:
        file.write(place() + files)
    print(f"The environment {environment} is ready.", flush=True)


def main(environment, *requirements):
    try:
        with contextlib.suppress(OSError):  # not every disk can lock
            # A second set-up waits for the first, rather than write into the same folder.
            fcntl.flock(os.open(ROOT, os.O_RDONLY), fcntl.LOCK_EX)
        set_up(environment, requirements)
    except KeyboardInterrupt:
        stop("Interrupted: the environment is not complete, the next set-up makes it anew.")
    except OSError as error:
        explain(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
