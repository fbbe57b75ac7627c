"""The set-up makes an environment, and stands up to what goes wrong: on a tiny course, for real."""

import ast
import json
import os
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
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "tiny"
version = "1"
"""
BACKEND = """
import shutil
def build_editable(folder, *_):
    exec(open("while_building.py").read())
    return shutil.copy("wheels/tiny-1-py3-none-any.whl", folder).rpartition("/")[2]
"""
KERNEL = "share/jupyter/kernels/python3/kernel.json"


class Course:
    """A tiny course with the real Makefile and set-up, without a network, for one Python."""

    def __init__(self, folder):
        self.folder = folder / "a course"  # with a space, as folders have
        self.venv = self.folder / ".venv"
        self.stamp = self.venv / "made-from.json"
        self.trace = self.venv / "trace"  # survives an update, but not a new environment
        for name in ("Makefile", "tools/make_environment.py"):
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.folder / name)
        self.write("pyproject.toml", PROJECT)
        self.write("backend.py", BACKEND)
        self.write("while_building.py", "")
        self.write("requirements.txt", "ipykernel\n")
        self.write("requirements-dev.txt", "extra\n")
        for name in ("tiny", "ipykernel", "extra"):
            self.write_wheel(name)
        self.write("python3", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n').chmod(0o755)
        # Nothing of what this machine is set to.
        foreign = ("PIP_", "PYTHON", "MAKE", "MFLAGS")
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        self.environ |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}
        self.environ |= {"PIP_FIND_LINKS": "wheels", "PATH": f"{self.folder}:{os.environ['PATH']}"}

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def write_wheel(self, module):
        """Write a wheel with one empty module, which is all that pip asks for, and a kernel."""
        info = f"{module}-1.dist-info"
        path = self.write(f"wheels/{module}-1-py3-none-any.whl", "")
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(f"{module}.py", "")
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {module}\nVersion: 1")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
            wheel.writestr(f"{info}/RECORD", "")
            if module == "ipykernel":
                wheel.writestr(f"{module}-1.data/data/{KERNEL}", '{"language": "python"}')

    def disturb(self, code):
        """Run code at the start of every Python of the set-up."""
        folder = self.write("disturbance/sitecustomize.py", code).parent
        self.environ["PYTHONPATH"] = str(folder)

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

    def has(self, module):
        return not subprocess.call([self.venv / "bin" / "python", "-c", f"import {module}"])

    def is_distrusted(self):
        """Whether a set-up wants to make the environment anew: where it cannot, it says so."""
        self.disturb("import sys; sys.modules['ensurepip'] = None")
        return "venv module is missing" in self.set_up(succeeds=False)


@pytest.fixture
def bare(tmp_path):
    """A course before its first set-up."""
    return Course(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A course set up over a half-made environment, with settings that lead pip astray."""
    course = Course(tmp_path_factory.mktemp("made"))
    course.write(".venv/trace", "")
    course.environ |= {"PIP_TARGET": str(course.folder / "astray"), "PIP_USER": "1"}
    assert "Making the environment" in course.set_up()
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
    made.write("requirements.txt", "ipykernel\n")
    made.stamp.write_text(stamp)


def test_old_pythons_can_read_the_set_up():
    ast.parse((ROOT / "tools/make_environment.py").read_text(), feature_version=(3, 6))


@pytest.mark.parametrize("version", [(3, 8, 0), (3, 9, 20), (3, 14, 0)])
def test_wrong_python(bare, version):
    bare.disturb(f"import sys; sys.version_info = {version}")
    said = bare.set_up(succeeds=False)
    assert f"needs Python 3.10 to 3.13; this is 3.{version[1]}. Install one, or name" in said


OLD = """#!/bin/sh
PYTHONPATH=disturbance exec "{}" "$@"
"""


def test_the_first_python_that_fits_is_used(bare):
    bare.disturb("import sys; sys.version_info = (3, 8, 0)")
    del bare.environ["PYTHONPATH"]
    bare.write("python3", OLD.format(sys.executable)).chmod(0o755)
    bare.write("python3.13", "#!/bin/sh\n[ $1 = -c ] || echo chosen for $2").chmod(0o755)
    assert "chosen for .venv" in bare.set_up()


def test_the_python_that_was_asked_for_must_fit(bare):
    bare.disturb("import sys; sys.version_info = (3, 8, 0)")
    bare.environ["PYTHON"] = "./old"
    del bare.environ["PYTHONPATH"]
    bare.write("old", OLD.format(sys.executable)).chmod(0o755)
    assert "this is 3.8" in bare.set_up(succeeds=False)


def test_no_venv_module(bare):
    assert bare.is_distrusted()
    assert "apt install python3-venv" in bare.set_up(succeeds=False)


@pytest.mark.slow
@pytest.mark.setup
class TestForReal:
    def test_what_was_asked_for_is_there(self, course):
        assert course.has("ipykernel") and course.has("tiny") and not course.has("extra")
        assert not (course.folder / "astray").exists()

    def test_kernels_use_one_pool_of_memory(self, course):
        kernel = json.loads((course.venv / KERNEL).read_text())
        assert kernel == {"language": "python", "env": {"MALLOC_ARENA_MAX": "1"}}

    def test_second_set_up_does_nothing(self, course):
        course.write("while_building.py", "raise SystemExit('built once more')")
        course.set_up()

    def test_changed_requirements_are_installed(self, course):
        course.write_wheel("changed")
        course.write("requirements.txt", "ipykernel\nchanged\n")
        course.set_up()
        assert course.has("changed")
        assert course.trace.exists(), "made anew, where an update would do"

    def test_what_is_missing(self, course):
        course.write("requirements.txt", "absent==1\n")
        said = course.set_up(succeeds=False)
        assert "No matching distribution found for absent==1" in said
        assert "The set-up is not complete" in said
        assert not course.stamp.exists()

    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
    def test_interruption(self, course, how):
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
        assert not course.stamp.exists() and course.is_distrusted()
        (course.folder / "building").unlink()

    def test_two_set_ups_at_once(self, course):
        course.write("requirements.txt", "# changed\n")
        course.write("while_building.py", "open('built', 'x')")  # once, and not a second time
        for make in [course.start(), course.start()]:
            assert make.wait(120) == 0, make.communicate()

    @pytest.mark.parametrize("change", ["python", "folder", "torn", "gone"])
    def test_a_stamp_that_says_something_else_is_distrusted(self, course, change):
        stamp = course.stamp.read_text()
        if change == "gone":
            course.stamp.unlink()
        elif change == "torn":
            course.stamp.write_text(stamp[:-9])
        else:
            course.stamp.write_text(json.dumps(json.loads(stamp) | {change: "other"}))
        assert course.is_distrusted()

    def test_tests_add_what_they_need_and_keep_what_lessons_have(self, course):
        course.set_up("dev")
        assert course.has("extra") and course.has("ipykernel") and course.trace.exists()
        course.write("while_building.py", "raise SystemExit('built once more')")
        course.set_up()  # lessons need nothing that is not there

    def test_a_moved_environment_is_made_anew_by_its_own_python(self, course):
        course.trace.touch()
        home = course.folder.rename(course.folder.with_name("moved"))
        try:
            done = subprocess.run([MAKE, "setup"], cwd=home, env=course.environ, check=True)
            assert done.returncode == 0 and not (home / ".venv" / "trace").exists()
        finally:
            home.rename(course.folder)
