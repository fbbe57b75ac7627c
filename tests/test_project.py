"""The files that every project has are valid, agree with each other, and know what is there."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from check_jsonschema import main as check_jsonschema
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


PYPROJECT = tomllib.loads(read("pyproject.toml"))
PROJECT = PYPROJECT["project"]
SUPPORTED = re.findall(r'"(3\.\d+)"', read("tools/make_environment.py"))
LISTS = {name: read(name).splitlines() for name in ("requirements.txt", "requirements-dev.txt")}
TRACKED = (ROOT / ".git").exists() and subprocess.run(
    ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.split("\0")

# ---------------------------------------------------------------- what is installed

PLATFORMS = {
    "Linux": {"sys_platform": "linux", "os_name": "posix", "platform_machine": "x86_64"},
    "Darwin": {"sys_platform": "darwin", "os_name": "posix", "platform_machine": "arm64"},
    "Windows": {"sys_platform": "win32", "os_name": "nt", "platform_machine": "AMD64"},
}


def pins(lines, place):
    """Package → version, of the lines that hold at a place; each package once, exactly."""
    found = {}
    for pin in map(Requirement, lines):
        if pin.marker is None or pin.marker.evaluate(place):
            (specifier,) = pin.specifier
            assert specifier.operator == "==", f"{pin} is no exact version"
            assert canonicalize_name(pin.name) not in found, f"{pin.name} is pinned twice"
            found[canonicalize_name(pin.name)] = specifier.version
    return found


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
    lesson, more = (pins(lines, place) for lines in LISTS.values())
    assert all(lesson[name] == more[name] for name in lesson.keys() & more), "run make lock"
    tests = PROJECT["optional-dependencies"]["dev"]
    for wanted, pinned in [(PROJECT["dependencies"], lesson), (tests, lesson | more)]:
        for requirement in map(Requirement, wanted):
            version = pinned.get(canonicalize_name(requirement.name), "absent")
            assert version != "absent" and requirement.specifier.contains(version), (
                f"{requirement} is not {version}: run make lock"
            )


def test_learners_need_not_install_what_tests_need():
    names = {Requirement(line).name for line in LISTS["requirements.txt"]}
    assert not names & {"pytest", "ruff", "jupytext", "playwright", "distributed", "latex2mathml"}


def test_pins_name_no_place_to_download_from():
    for line in sum(LISTS.values(), []):
        assert "://" not in line and "@" not in line and not line.startswith("-"), line


@pytest.mark.skipif(not TRACKED, reason="not a git repository")
def test_no_file_names_a_registry():
    hosts = re.compile(
        rb"[p]ypi\.(org|python)|[p]ythonhosted|[n]pmjs\.|[a]naconda\.org|--index-url [^ ]*/"
    )
    named = [name for name in TRACKED if name and (ROOT / name).is_file()]
    assert [name for name in named if hosts.search((ROOT / name).read_bytes())] == []


def test_supported_pythons_are_the_same_everywhere():
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert SUPPORTED == [f"3.{minor}" for minor in range(30) if allowed.contains(f"3.{minor}.0")]
    assert " ".join(f"python{version}" for version in reversed(SUPPORTED)) in read("Makefile")
    assert PYPROJECT["tool"]["ruff"]["target-version"] == "py" + SUPPORTED[0].replace(".", "")
    jobs = yaml.safe_load(read(".github/workflows/tests.yml"))["jobs"]
    tested = jobs["fast"]["strategy"]["matrix"]["python"]
    tested.append(jobs["everything"]["steps"][1]["with"]["python-version"])
    assert sorted(tested) == SUPPORTED


def test_conda_installs_the_learners_pins():
    conda = yaml.safe_load(read("environment.yml"))
    assert conda["channels"] == ["conda-forge", "nodefaults"]
    python, pip, rest = conda["dependencies"]
    name, version = python.split("=")
    assert (name, pip) == ("python", "pip")
    assert version in SUPPORTED
    assert rest == {"pip": ["-r requirements.txt", "-e ."]}


@pytest.mark.slow
@pytest.mark.setup
def test_everything_that_a_lesson_imports_is_packaged(tmp_path):
    for name in ("pyproject.toml", "README.md", "LICENSE", "helpers.py", "sparse_autoencoder"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*pip, "--target", tmp_path / "there", tmp_path], check=True)
    there = {str(path.relative_to(tmp_path / "there")) for path in tmp_path.glob("there/**/*")}
    package = (ROOT / "sparse_autoencoder").rglob("*.*")
    wanted = [str(path.relative_to(ROOT)) for path in package if path.suffix != ".pyc"]
    assert {"helpers.py", *wanted} <= there


# ---------------------------------------------------------------- floors

FLOORS = [  # a part of the package imports only from floors below its own
    {"vocabulary", "figures", "tables", "archives", "verdicts"},
    {"model", "images", "pngs"},
    {"training", "modern", "measures"},
    {"playground", "studies", "checks"},
]


def imports(path):
    """The full names of the modules that a module of the project imports."""
    package = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            origin = [*package[: -node.level], node.module] if node.level else [node.module]
            for alias in node.names:
                yield ".".join([*filter(None, origin), alias.name])
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_the_package_stands_on_floors():
    for path in (ROOT / "sparse_autoencoder").rglob("*.py"):
        part = path.relative_to(ROOT / "sparse_autoencoder").parts[0].removesuffix(".py")
        below = set()
        for floor in FLOORS:
            if part in floor:
                break
            below |= floor
        for name in imports(path):
            top, *rest = name.split(".")
            assert top not in ("helpers", "tools", "tests", "benchmarks"), f"{path}: {name}"
            if top == "sparse_autoencoder":
                assert {rest[0]} <= below | {part} or part == "__init__", f"{path}: {name}"


# ---------------------------------------------------------------- habits

SCHEMAS = {
    "CITATION.cff": ["vendor.citation-file-format"],
    ".github/workflows/*.yml": [
        "vendor.github-workflows",
        "custom.github-workflows-require-timeout",
    ],
    ".github/ISSUE_TEMPLATE/*.yml": ["vendor.github-issue-forms"],
}


@pytest.mark.parametrize(
    "pattern, schema", [(files, schema) for files in SCHEMAS for schema in SCHEMAS[files]]
)
def test_public_schemas_hold(pattern, schema):
    files = sorted(ROOT.glob(pattern))
    assert files
    assert (
        check_jsonschema(["--builtin-schema", schema, *map(str, files)], standalone_mode=False) == 0
    )


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load(read("CITATION.cff"))
    newest = re.search(r"^## (\S+) – (\S+)$", read("CHANGELOG.md"), re.M).groups()
    assert newest == (PROJECT["version"], citation["date-released"])
    assert citation["version"] == PROJECT["version"]
    assert " AND ".join(citation["license"]) == PROJECT["license"]


def test_hooks_run_what_the_project_has():
    for hook in yaml.safe_load(read(".pre-commit-config.yaml"))["repos"][0]["hooks"]:
        python, *command = hook["entry"].split()
        assert python == ".venv/bin/python"
        assert command[:2] == ["-m", "ruff"] or (ROOT / command[0]).is_file()


def test_every_slow_test_is_in_a_part_of_make_test_all(tests_in_no_part):
    assert tests_in_no_part == []


def test_every_part_has_a_target():
    markers = PYPROJECT["tool"]["pytest"]["ini_options"]["markers"]
    parts = {marker.split(":")[0] for marker in markers} - {"slow", "ci"}
    targets = {f"test-{part}".replace("mnist", "lessons") for part in parts}
    everything, *parts = re.findall(r"^((?:test-\S+ ?)+):(.*?) ##", read("Makefile"), re.M)
    assert everything[0] == "test-all" and set(everything[1].split()) == targets | {"test"}
    assert set(parts[0][0].split()) == targets | {"test-ci"}


PAGES = ["README.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "CHANGELOG.md", "data/README.md"]
PAGES += ["teaching/README.md", "benchmarks/README.md", "notebooks/solutions/README.md"]


@pytest.mark.parametrize("page", PAGES)
def test_links_and_commands_lead_somewhere(page):
    text, folder = read(page), (ROOT / page).parent
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (folder / target).exists(), target
    targets = re.findall(r"^([a-z -]+):.*##", read("Makefile"), re.M)
    for target in re.findall(r"`make ([a-z-]+)", text) + re.findall(r"^make ([a-z-]+)", text, re.M):
        assert target in " ".join(targets).split(), target
    for module in re.findall(r"python -m ((?:tools|sparse_autoencoder)[\w.]*)", text):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_paths_on_pages_exist(page):
    made = ("build/", ".venv", "data/models", "mnist.npz", "lessons/NN_name.md")
    for name in re.findall(
        r"`([\w./-]+(?:/|\.(?:py|md|yml|txt|csv|png|gif|toml|npz)))`", read(page)
    ):
        places = [ROOT / name, ROOT / "sparse_autoencoder" / name]
        assert name.startswith(made) or any(place.exists() for place in places), name
