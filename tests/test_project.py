"""The files that every project has are valid, agree with each other, and know what is there."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
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
MARKERS = ("platform_system", "sys_platform", "os_name", "platform_machine")
PLATFORMS = {
    "Linux": ("linux", "posix", "x86_64"),
    "Darwin": ("darwin", "posix", "arm64"),
    "Windows": ("win32", "nt", "AMD64"),
}


def pins(name, place):
    """Package → version, of a file's lines that hold at a place; each package once, exactly."""
    found = {}
    for pin in map(Requirement, read(name).splitlines()):  # no line names a place to download from
        assert not pin.url and re.fullmatch(r"==[\w.+!]+", str(pin.specifier)), pin
        if pin.marker is None or pin.marker.evaluate(place):
            assert canonicalize_name(pin.name) not in found, f"{pin.name} is pinned twice"
            found[canonicalize_name(pin.name)] = str(pin.specifier)[2:]
    return found


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("release", [0, 20])  # markers may tell a version's releases apart
@pytest.mark.parametrize("version", SUPPORTED)
def test_pins_fit_the_project(version, release, platform):
    place = dict(zip(MARKERS, (platform, *PLATFORMS[platform]), strict=True))
    place |= {"python_version": version, "python_full_version": f"{version}.{release}"}
    learners, tests = pins("requirements.txt", place), pins("requirements-dev.txt", place)
    server = pins("teaching/hub/requirements.txt", place)
    for more in (tests, server):
        assert all(learners[name] == more[name] for name in learners.keys() & more), "run make lock"
    assert not learners.keys() & {"pytest", "ruff", "jupytext", "playwright", "distributed"}
    lab, dev, hub = (PROJECT["optional-dependencies"][name] for name in ("lab", "dev", "hub"))
    for wanted, pinned in [
        (PROJECT["dependencies"] + lab, learners),
        (dev, learners | tests),
        (hub, learners | server),
    ]:
        for requirement in map(Requirement, wanted):
            if requirement.marker and not requirement.marker.evaluate(place):
                continue
            version = pinned[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f"{requirement}: run make lock"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git repository")
def test_no_file_names_a_registry():
    hosts = "[p]ypi\\.(org|python)|[p]ythonhosted|[n]pmjs\\.|[a]naconda\\.org|--index-url [^ ]*/"
    found = subprocess.run(["git", "grep", "-lE", "-e", hosts], cwd=ROOT, capture_output=True)
    assert (found.returncode, found.stdout) == (1, b"")  # 1: nothing was found


def test_supported_pythons_and_what_is_installed_are_the_same_everywhere():
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert SUPPORTED == [f"3.{minor}" for minor in range(30) if allowed.contains(f"3.{minor}.0")]
    assert " ".join(f"python{version}" for version in reversed(SUPPORTED)) in read("Makefile")
    assert PYPROJECT["tool"]["ruff"]["target-version"] == "py" + SUPPORTED[0].replace(".", "")
    jobs = yaml.safe_load(read(".github/workflows/tests.yml"))["jobs"]
    tested = jobs["fast"]["strategy"]["matrix"]["python"]
    assert sorted([*tested, jobs["everything"]["steps"][1]["with"]["python-version"]]) == SUPPORTED
    conda = yaml.safe_load(read("environment.yml"))
    assert conda["channels"] == ["conda-forge", "nodefaults"]
    python, *rest = conda["dependencies"]
    assert python.removeprefix("python=") in SUPPORTED
    assert rest == ["pip", {"pip": ["-r requirements.txt", "-e ."]}]


def imports(path):
    """The full names of what a module of the project imports."""
    package = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            origin = [*package[: -node.level or None], node.module] if node.level else [node.module]
            for alias in node.names:
                yield ".".join([*filter(None, origin), alias.name])
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_parts_of_the_package_import_each_other_in_one_direction_only():
    package, below = ROOT / "sparse_autoencoder", {}
    parts = {path.stem for path in package.iterdir()}
    for path in package.rglob("*.py"):
        part = path.relative_to(package).parts[0].removesuffix(".py")
        for name in imports(path):
            top, *rest = name.split(".")
            assert top not in ("helpers", "tools", "tests", "benchmarks"), f"{path}: {name}"
            if top == "sparse_autoencoder" and rest[0] != part:
                below.setdefault(part, set()).add(rest[0] if rest[0] in parts else "__init__")
    TopologicalSorter(below).prepare()  # raises where they import each other in a circle


@pytest.mark.parametrize(
    "pattern, schema",
    [
        ("CITATION.cff", "vendor.citation-file-format"),
        (".github/workflows/*.yml", "vendor.github-workflows"),
        (".github/workflows/*.yml", "custom.github-workflows-require-timeout"),
        (".github/ISSUE_TEMPLATE/*.yml", "vendor.github-issue-forms"),
    ],
)
def test_public_schemas_hold(pattern, schema):
    files = [str(file) for file in ROOT.glob(pattern)]
    command = ["--builtin-schema", schema, *files]
    assert files and check_jsonschema(command, standalone_mode=False) == 0


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
        module = command[1].replace(".", "/")
        assert command[0] == "-m" and (module == "ruff" or (ROOT / f"{module}.py").is_file())


def test_every_part_has_a_target():
    markers = PYPROJECT["tool"]["pytest"]["ini_options"]["markers"]
    parts = {marker.split(":")[0] for marker in markers} - {"slow", "ci"}
    targets = {f"test-{part}".replace("mnist", "lessons") for part in parts}
    everything, *parts = re.findall(r"^((?:test-\S+ ?)+):(.*?) ##", read("Makefile"), re.M)
    assert everything[0] == "test-all" and set(everything[1].split()) == targets | {"test"}
    assert set(parts[0][0].split()) == targets | {"test-ci"}


PAGES = ["README.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "CHANGELOG.md", "data/README.md"]
PAGES += ["teaching/README.md", "benchmarks/README.md", "notebooks/solutions/README.md"]
PAGES += ["index.md", "site/glossary.md", "teaching/hub/README.md"]


@pytest.mark.parametrize("page", PAGES)
def test_links_paths_and_commands_lead_somewhere(page):
    text, folder = read(page), (ROOT / page).parent
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (folder / target).exists(), target
    made = r"build/|\.venv|release/|lessons/NN_name|.*mnist\.npz"
    for name in re.findall(r"`([\w./-]+(?:/|\.(?:py|md|yml|txt|csv|png|gif|toml|npz)))`", text):
        places = [root / name for root in (ROOT, folder, ROOT / "sparse_autoencoder")]
        assert re.match(made, name) or any(place.exists() for place in places), name
    targets = " ".join(re.findall(r"^([a-z -]+):.*##", read("Makefile"), re.M)).split()
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.M)) <= set(targets)
    for module in re.findall(r"python -m ((?:tools|sparse_autoencoder)[\w.]*)", text):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
