"""The environment files agree with each other, and the set-up stands up to what goes wrong."""

import ast
import inspect
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
TOOL = ROOT / "tools" / "make_environment.py"
SUPPORTED = runpy.run_path(str(TOOL))["SUPPORTED"]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
PINS = [
    line
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.lstrip().startswith("#")
]

# ---------------------------------------------------------------- the files and each other

PLATFORMS = {
    "Linux": {"sys_platform": "linux", "os_name": "posix", "platform_machine": "x86_64"},
    "Darwin": {"sys_platform": "darwin", "os_name": "posix", "platform_machine": "arm64"},
    "Windows": {"sys_platform": "win32", "os_name": "nt", "platform_machine": "AMD64"},
}


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("release", [0, 20])  # markers may tell a version's releases apart
@pytest.mark.parametrize("version", SUPPORTED)
def test_pins_fit_the_project(version, release, platform):
    place = {
        **PLATFORMS[platform],
        "platform_system": platform,
        "python_version": version,
        "python_full_version": f"{version}.{release}",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }
    pins = {}
    for pin in map(Requirement, PINS):
        if pin.marker is None or pin.marker.evaluate(place):
            (specifier,) = pin.specifier
            assert specifier.operator == "==", f"{pin} is no exact version"
            assert canonicalize_name(pin.name) not in pins, f"{pin.name} is pinned twice"
            pins[canonicalize_name(pin.name)] = specifier.version

    for wanted in map(
        Requirement, PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
    ):
        name = canonicalize_name(wanted.name)
        assert name in pins, f"{name} has no pin: run make lock"
        assert wanted.specifier.contains(pins[name]), f"{pins[name]} is not {wanted}: run make lock"


def test_pins_name_no_place_to_download_from():
    for line in PINS:
        assert "://" not in line and "@" not in line and not line.startswith("-"), line


def test_supported_pythons_are_the_same_everywhere():
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert SUPPORTED == [f"3.{minor}" for minor in range(30) if allowed.contains(f"3.{minor}.0")]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert " ".join(f"python{version}" for version in reversed(SUPPORTED)) in makefile
    assert PYPROJECT["tool"]["ruff"]["target-version"] == "py" + SUPPORTED[0].replace(".", "")


def test_conda_installs_the_same_pins():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert conda["channels"] == ["conda-forge", "nodefaults"]
    python, pip, rest = conda["dependencies"]
    name, version = python.split("=")
    assert (name, pip) == ("python", "pip")
    assert version in SUPPORTED
    assert rest == {"pip": ["-r requirements.txt", "-e ."]}


def test_every_module_is_installed():
    modules = sorted(PYPROJECT["tool"]["setuptools"]["py-modules"])
    assert modules == sorted(path.stem for path in ROOT.glob("*.py"))
    script = f"import importlib.util as u; assert all(map(u.find_spec, {modules}))"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT / "notebooks", check=True)


def test_old_pythons_can_read_the_set_up():
    ast.parse(TOOL.read_text(encoding="utf-8"), feature_version=(3, 6))


# ------------------------------------------------------------------- the set-up, for real

# A project that is built in a moment and without a network: it brings its own build backend.
TINY_PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "tiny-course"
version = "1"
"""


def write_wheel(folder, module):
    """Writes a wheel with one empty module, which is all that pip asks for."""
    name = f"{module}-1-py3-none-any.whl"
    info = f"{module}-1.dist-info"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr(f"{module}.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name


BACKEND = f"""
import os, zipfile

{inspect.getsource(write_wheel)}

def build_editable(folder, settings=None, metadata=None):
    with open("while_building.py") as file:
        exec(file.read())
    return write_wheel(folder, "tiny_course")
"""


class Course:
    """A tiny course with the real Makefile and set-up, on a machine with the Pythons we say."""

    def __init__(self, folder):
        self.folder = folder / "a course"  # with a space, as folders have
        self.programs = folder / "programs"
        self.programs.mkdir()
        (self.folder / "tools").mkdir(parents=True)
        shutil.copy(TOOL, self.folder / "tools")
        shutil.copy(ROOT / "Makefile", self.folder)
        self.write("pyproject.toml", TINY_PROJECT)
        self.write("backend.py", BACKEND)
        self.write("while_building.py", "")
        self.write("requirements.txt", "")
        self.write("wheels/README", "")
        self.add_python("python3")
        # Nothing of what this machine is set to, and no network.
        foreign = ("PIP_", "PYTHON", "MAKE", "MFLAGS")
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith(foreign)} | {
            "PATH": str(self.programs),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": "wheels",
        }

    @property
    def stamp(self):
        return self.folder / ".venv" / "made-from.txt"

    @property
    def trace(self):
        """A file that survives an update, but not a new environment."""
        return self.folder / ".venv" / "trace"

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def add_python(self, name, version=None):
        """Puts a Python on PATH: this one, or one that says that it is another version."""
        says = f'case "$2" in *version_info*) echo {version}; exit; esac' if version else ""
        program = self.programs / name
        program.write_text(f'#!/bin/sh\n{says}\nexec "{sys.executable}" "$@"\n')
        program.chmod(0o755)

    def disturb(self, code):
        """Runs code at the start of every Python of the set-up."""
        self.write("disturbance/sitecustomize.py", code)
        self.environ["PYTHONPATH"] = str(self.folder / "disturbance")

    def start(self):
        return subprocess.Popen(
            [MAKE, "setup"],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # Pythons started in the background ignore Ctrl-C, and their children with them.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def succeeds(self, make=None):
        make = make or self.start()
        output, _ = make.communicate(timeout=120)
        assert make.returncode == 0, output
        return output

    def fails(self, message, make=None):
        make = make or self.start()
        output, _ = make.communicate(timeout=120)
        assert make.returncode != 0, output
        assert message in output, output
        assert "Traceback" not in output, output


MAKE = shutil.which("make")
NO_VENV = "import sys; sys.modules['ensurepip'] = None"
SMALL_DISK = "import shutil, types; shutil.disk_usage = lambda _: types.SimpleNamespace(free=1e9)"


@pytest.fixture
def bare(tmp_path):
    """A course before its first set-up."""
    if MAKE is None:
        pytest.skip("the set-up needs make")
    return Course(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A course set up over a half-made environment, on a machine whose python3 is too old."""
    if MAKE is None:
        pytest.skip("the set-up needs make")
    course = Course(tmp_path_factory.mktemp("made"))
    course.add_python("python3", "3.8")
    course.add_python(f"python{SUPPORTED[0]}")
    course.write(".venv/trace", "")
    assert f"with python{SUPPORTED[0]}" in course.succeeds()
    assert not course.trace.exists()
    course.trace.touch()
    return course


@pytest.fixture
def course(made, monkeypatch):
    """The same, given back as it was: making an environment takes seconds."""
    monkeypatch.setattr(made, "environ", dict(made.environ))
    stamp = made.stamp.read_text()
    yield made
    made.write("while_building.py", "")
    made.write("requirements.txt", "")
    made.write("pyproject.toml", TINY_PROJECT)
    made.stamp.write_text(stamp)


def test_wrong_python(bare):
    bare.add_python("python3", "3.8")
    bare.fails("needs one of Python 3.10, 3.11, 3.12, 3.13, but python3 is Python 3.8")


def test_the_python_that_was_asked_for_must_fit(bare):
    bare.add_python("python3.8", "3.8")
    bare.environ["PYTHON"] = "python3.8"
    bare.fails("but python3.8 is Python 3.8")


def test_no_venv_module(bare):
    bare.disturb(NO_VENV)
    bare.fails("apt install python3-venv")


def test_too_small_a_disk(bare):
    bare.disturb(SMALL_DISK)
    bare.fails("has 1.0 GB free")


def test_second_set_up_does_nothing(course):
    course.write("while_building.py", "raise SystemExit('built once more')")
    seconds = []
    for _ in range(3):  # the machine may be busy with something else
        start = time.perf_counter()
        course.succeeds()
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 2


def test_changed_requirements_are_installed(course):
    write_wheel(course.folder / "wheels", "tiny_extra")
    course.write("requirements.txt", "tiny-extra==1\n")
    course.succeeds()
    subprocess.run([course.folder / ".venv/bin/python", "-c", "import tiny_extra"], check=True)
    assert course.trace.exists(), "made anew, where an update would do"


def test_no_network(course):
    course.write("requirements.txt", "absent==1\n")
    del course.environ["PIP_NO_INDEX"]
    course.environ |= {"PIP_INDEX_URL": "http://127.0.0.1:9", "NO_PROXY": "*", "PIP_RETRIES": "1"}
    course.fails("package index that pip downloads from cannot be reached")
    assert not course.stamp.exists()


def test_no_such_version(course):
    course.write("requirements.txt", "absent==1\n")
    course.fails("No matching distribution found for absent==1")
    assert not course.stamp.exists()


def test_disk_fills_up(course):
    course.write("pyproject.toml", TINY_PROJECT + "# changed\n")
    course.write("while_building.py", "raise OSError(28, 'No space left on device')")
    course.fails("The disk is full")
    assert not course.stamp.exists()


def test_interruption(course):
    course.write("requirements.txt", "# changed\n")
    course.write("while_building.py", "import time; open('building', 'w'); time.sleep(60)")
    make = course.start()
    while not (course.folder / "building").exists():
        assert make.poll() is None, make.communicate()
        time.sleep(0.1)
    os.killpg(make.pid, signal.SIGINT)  # as Ctrl-C does
    course.fails("Interrupted", make)
    assert not course.stamp.exists()


def test_two_set_ups_at_once(course):
    course.write("requirements.txt", "# changed\n")
    course.write("while_building.py", "open('built', 'x')")  # once, and not a second time
    for make in [course.start(), course.start()]:
        course.succeeds(make)


def is_distrusted(course):
    """Whether a set-up wants to make the environment anew: where it cannot, it says so."""
    course.disturb(NO_VENV)
    course.fails("cannot make environments")
    return True


def test_environment_without_stamp_is_distrusted(course):
    course.stamp.unlink()
    assert is_distrusted(course)


def test_environment_of_another_python_is_distrusted(course):
    course.stamp.write_text(course.stamp.read_text().replace("Python 3.", "Python 2."))
    assert is_distrusted(course)


def test_another_python_can_be_asked_for(course):
    other = SUPPORTED[-1] if sys.version_info[:2] == (3, 10) else SUPPORTED[0]
    course.add_python("other-python", other)
    course.environ["PYTHON"] = "other-python"
    assert is_distrusted(course)


def test_moved_environment_is_distrusted(course):
    home = course.folder
    course.folder = home.rename(home.with_name("moved"))
    try:
        assert is_distrusted(course)
    finally:
        course.folder = course.folder.rename(home)
