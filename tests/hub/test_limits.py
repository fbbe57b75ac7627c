"""The files of both versions of control groups, in a folder that stands for the system's."""

import sys

import pytest

from .machine import ROOT

sys.path.append(str(ROOT / "teaching" / "hub"))
import limits  # noqa: E402

LIMITS = {
    2: {
        "class/cgroup.subtree_control": "+memory +cpu",
        "class/ada/memory.max": "2000000000",
        "class/ada/memory.swap.max": "0",
        "class/ada/cpu.max": "150000 100000",
    },
    1: {
        "memory/class/ada/memory.limit_in_bytes": "2000000000",
        "memory/class/ada/memory.swappiness": "0",
        "cpu/class/ada/cpu.cfs_period_us": "100000",
        "cpu/class/ada/cpu.cfs_quota_us": "150000",
    },
}
WEIGHT = {2: ("class/ada/cpu.weight", 100), 1: ("cpu/class/ada/cpu.shares", 1024)}
WHOLE = {2: "class/memory.max", 1: "memory/class/memory.limit_in_bytes"}


@pytest.mark.parametrize("version", LIMITS)
def test_a_student_and_the_class_get_their_limits(version, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "CGROUP", tmp_path)
    if version == 2:
        (tmp_path / "cgroup.controllers").touch()
    else:
        (tmp_path / "memory").mkdir()
        (tmp_path / "cpu").mkdir()
    for _ in range(2):  # a server that starts again
        limits.allot("class", "ada", 2_000_000_000, 1.5)
    weight, usual = WEIGHT[version]
    assert int((tmp_path / weight).read_text()) > 10 * usual
    limits.weigh("class", "ada")  # it has started
    assert int((tmp_path / weight).read_text()) == usual
    limits.weigh("class", "bob")  # who has no groups
    assert {name: (tmp_path / name).read_text() for name in LIMITS[version]} == LIMITS[version]
    assert int((tmp_path / WHOLE[version]).read_text()) > 0
    folders = {listed.parent for listed in limits.processes("class", "ada")}
    assert folders == {(tmp_path / name).parent for name in LIMITS[version] if "/ada/" in name}
