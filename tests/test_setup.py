"""The set-up makes an environment, and stands up to what goes wrong: on a tiny course, for real."""

import ast
import importlib.util
import json
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

ROOT = Path(__file__).parent.parent
MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(MAKE is None, reason="the set-up needs make")

# A project that is built in a moment and without a network: it brings its own build backend.
PROJECT = """
build-system = {requires = [], build-backend = "backend", backend-path = ["."]}
project = {name = "tiny", version = "1"}
"""
BACKEND = """
import shutil
def build_editable(folder, *_):
    exec(open("while_building.py").read())
    return shutil.copy("wheels/tiny-1-py3-none-any.whl", folder).rpartition("/")[2]
"""
KERNEL = "share/jupyter/kernels/python3/kernel.json"
STAMP, TRACE = ".venv/made-from.json", ".venv/trace"  # a trace survives an update alone
OLD = "import sys; sys.version_info = (3, 8, 0)"
NO_VENV = "import sys; sys.modules['ensurepip'] = None"


class Course:
    """A tiny course with the real Makefile and set-up, without a network, in a folder."""

    def __init__(self, folder):
        self.folder = folder / "ein Kurs für alle"  # as folders are named
        for name in ("Makefile", "tools/make_environment.py"):
            self.write(name, (ROOT / name).read_text(encoding="utf-8"))
        self.write("pyproject.toml", PROJECT)
        self.write("backend.py", BACKEND)
        self.write("while_building.py", "")
        self.write("requirements.txt", "ipykernel\n")
        self.write("requirements-dev.txt", "extra\n")
        for module in ("tiny", "ipykernel", "extra", "changed"):
            self.write_wheel(module)
        self.add_python("python3")
        # Nothing of what this machine is set to.
        foreign = ("PIP_", "PYTHON", "MAKE", "MFLAGS")
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        self.environ |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}
        self.environ |= {"PIP_FIND_LINKS": "wheels", "PATH": str(self.folder)}

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def write_wheel(self, module):
        """Write a wheel with an empty module and a kernel, and with all that pip asks for."""
        info = f"{module}-1.dist-info"
        with zipfile.ZipFile(self.write(f"wheels/{module}-1-py3-none-any.whl", ""), "w") as wheel:
            wheel.writestr(f"{module}.py", "")
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {module}\nVersion: 1")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
            wheel.writestr(f"{info}/RECORD", "")
            wheel.writestr(f"{module}-1.data/data/{KERNEL}", '{"language": "python"}')

    def add_python(self, name, disturbance=""):
        """Put this Python on the PATH, which runs some code whenever it starts."""
        folder = self.write(f"of {name}/sitecustomize.py", disturbance).parent
        program = f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n'
        self.write(name, program).chmod(0o755)

    def start(self, target="setup"):
        return subprocess.Popen(
            [MAKE, target],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # Pythons started in the background ignore Ctrl-C, and their children with them.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def set_up(self, target="setup", succeeds=True):
        make = self.start(target)
        output, _ = make.communicate(timeout=120)
        assert (make.returncode == 0) == succeeds and "Traceback" not in output, output
        return output

    def has(self, *modules):
        command = [self.folder / ".venv/bin/python", "-c", f"import {','.join(modules)}"]
        return subprocess.call(command, stderr=subprocess.DEVNULL) == 0

    def is_distrusted(self):
        """Whether a set-up wants to make the environment anew: where it cannot, it says so."""
        self.add_python("without-venv", NO_VENV)
        self.environ["PYTHON"] = "without-venv"
        return "venv module is missing" in self.set_up(succeeds=False)


@pytest.fixture
def bare(tmp_path):
    """A course before its first set-up."""
    return Course(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A course set up over a half-made environment, with settings that lead pip astray."""
    course = Course(tmp_path_factory.mktemp("made"))
    course.write(TRACE, "")
    course.environ |= {"PIP_TARGET": str(course.folder / "astray"), "PIP_USER": "1"}
    course.environ["PIP_PREFIX"] = str(course.folder / "astray")
    assert "Making the environment" in course.set_up()
    assert not (course.folder / TRACE).exists()
    course.write(TRACE, "")
    return course


@pytest.fixture
def course(made, monkeypatch):
    """The same, given back as it was: making an environment takes seconds."""
    monkeypatch.setattr(made, "environ", dict(made.environ))
    stamp = (made.folder / STAMP).read_text()
    yield made
    made.write("while_building.py", "")
    made.write("requirements.txt", "ipykernel\n")
    made.write(STAMP, stamp)


def test_old_pythons_can_read_the_set_up():
    ast.parse((ROOT / "tools/make_environment.py").read_text(), feature_version=(3, 6))


def test_on_windows_it_needs_neither_make_nor_locks(tmp_path, monkeypatch):
    """As far as another system can tell: Windows' Python has no fcntl, and Scripts for bin."""
    asked, find_spec = [], importlib.util.find_spec
    monkeypatch.chdir(tmp_path)
    Path("requirements.txt").touch()
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: n != "fcntl" and find_spec(n))
    monkeypatch.setattr(subprocess, "check_call", lambda command: asked.append(command))
    environment = r"C:\Kurs für alle\.venv"
    Path(environment).mkdir()
    runpy.run_path(str(ROOT / "tools/make_environment.py"))["set_up"](
        environment, "requirements.txt"
    )
    venv, *pips = asked
    assert venv == [sys.executable, "-m", "venv", "--clear", environment]
    python = os.path.join(environment, "Scripts", "python")
    assert [command[:3] for command in pips] == [[python, "-m", "pip"]] * 2
    assert json.loads(Path(environment, "made-from.json").read_text("utf-8"))["files"]


WRONG = "needs Python 3.10 to 3.13; this is 3.{}. Install one, or name"


@pytest.mark.parametrize("name", ["python3", "asked-for"])
@pytest.mark.parametrize(
    "disturbance, answer",
    [
        (OLD, WRONG.format(8)),
        (OLD.replace("8", "9"), WRONG.format(9)),
        (OLD.replace("8", "14"), WRONG.format(14)),
        (NO_VENV, "apt install python3-venv"),
    ],
)
def test_a_python_that_cannot_make_it_is_refused_in_a_sentence(bare, name, disturbance, answer):
    bare.add_python(name, disturbance)
    if name != "python3":
        bare.environ["PYTHON"] = name
    assert answer in bare.set_up(succeeds=False)
    assert not (bare.folder / ".venv").exists()


def test_the_first_python_that_fits_is_used(bare):
    bare.add_python("python3", OLD)
    bare.write("python3.13", "#!/bin/sh\n[ $1 = -c ] || echo chosen for $2").chmod(0o755)
    assert "chosen for .venv" in bare.set_up()


@pytest.mark.slow
@pytest.mark.setup
class TestForReal:
    def test_what_was_asked_for_is_there_and_kernels_use_one_pool_of_memory(self, course):
        assert course.has("ipykernel", "tiny") and not course.has("extra")
        assert not (course.folder / "astray").exists()
        kernel = json.loads((course.folder / ".venv" / KERNEL).read_text())
        assert kernel == {"language": "python", "env": {"MALLOC_ARENA_MAX": "1"}}

    def test_changed_requirements_are_installed_and_a_second_set_up_does_nothing(self, course):
        course.write("requirements.txt", "ipykernel\nchanged\n")
        course.set_up("dev")
        assert course.has("changed", "extra", "ipykernel")
        assert (course.folder / TRACE).exists(), "made anew, where an update would do"
        course.write("while_building.py", "raise SystemExit('built once more')")
        for target in ("dev", "setup"):  # lessons need nothing that is not there
            course.set_up(target)

    def test_what_is_missing_is_said(self, course):
        course.write("requirements.txt", "absent==1\n")
        said = course.set_up(succeeds=False)
        assert "No matching distribution found for absent==1" in said
        assert "The set-up is not complete" in said
        assert not (course.folder / STAMP).exists()

    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
    def test_an_interruption_leaves_nothing_that_is_trusted(self, course, how):
        course.write("requirements.txt", "# changed\n")
        course.write("while_building.py", "import signal; open('building', 'w'); signal.pause()")
        make = course.start()
        while not (course.folder / "building").exists():
            assert make.poll() is None, make.communicate()
            time.sleep(0.1)
        os.killpg(make.pid, how)
        said, _ = make.communicate(timeout=60)
        assert make.returncode and "Traceback" not in said
        assert ("not complete" in said) == (how == signal.SIGINT)
        assert course.is_distrusted()
        (course.folder / "building").unlink()

    def test_two_set_ups_at_once(self, course):
        course.write("requirements.txt", "# changed\n")
        course.write("while_building.py", "open('built', 'x')")  # once, and not a second time
        for make in [course.start(), course.start()]:
            assert make.wait(120) == 0, make.communicate()

    @pytest.mark.parametrize("change", ["python", "folder", "torn", "gone"])
    def test_a_stamp_that_says_something_else_is_distrusted(self, course, change):
        stamp = (course.folder / STAMP).read_text()
        other = json.dumps(json.loads(stamp) | {change: "other"})
        course.write(STAMP, {"torn": stamp[:-9], "gone": ""}.get(change, other))
        assert course.is_distrusted()

    def test_a_moved_environment_is_made_anew_by_its_own_python(self, course):
        home = course.folder
        course.folder = home.rename(home.with_name("moved"))
        try:
            course.set_up()
            assert not (course.folder / TRACE).exists()
        finally:
            course.folder = course.folder.rename(home)

    def test_an_environment_that_a_link_leads_to_is_left_alone(self, bare):
        file = bare.write("elsewhere/of-somebody-else", "")
        (bare.folder / ".venv").symlink_to(file.parent)
        bare.set_up()
        assert file.exists() and bare.has("tiny") and not (bare.folder / ".venv").is_symlink()
