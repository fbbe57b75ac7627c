"""What a student may take: Linux's control groups, version 2 or 1.

    /sys/fs/cgroup/<class>/<student>           version 2
    /sys/fs/cgroup/memory/<class>/<student>    version 1, and the same in cpu/

The class together weighs as much as a single process of root: hub and proxy come first.
"""

import contextlib
import os
import signal
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
PERIOD = 100_000  # microseconds
RESERVE = 3 << 29  # bytes that the class leaves to hub, proxy, kernels.py and system
STARTING = 20  # a server that starts weighs as much as so many students who train


def allot(group, student, memory, cores):
    """Make a student's groups, with these limits.

    Args:
        group: name of the class.
        student: name of the student.
        memory: bytes.
        cores: how many, such as 1.5.

    Raises:
        OSError: the system has no such groups, or we may not make them.
    """
    everything = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") - RESERVE
    quota = int(cores * PERIOD)
    if _version_2():
        limits = [
            (CGROUP, {"cgroup.subtree_control": "+memory +cpu"}),
            (CGROUP / group, {"cgroup.subtree_control": "+memory +cpu", "memory.max": everything}),
            (
                CGROUP / group / student,
                {"memory.max": memory, "memory.swap.max": 0, "cpu.max": f"{quota} {PERIOD}"},
            ),
        ]
    else:
        whole, own = CGROUP / "memory" / group, CGROUP / "cpu" / group
        limits = [
            (whole, {"memory.limit_in_bytes": everything}),
            (whole / student, {"memory.limit_in_bytes": memory, "memory.swappiness": 0}),
            (own, {}),
            (own / student, {"cpu.cfs_period_us": PERIOD, "cpu.cfs_quota_us": quota}),
        ]
    for folder, values in limits:
        folder.mkdir(exist_ok=True)
        for name, value in values.items():
            (folder / name).write_text(str(value))
    weigh(group, student, STARTING)


def weigh(group, student, times=1):
    """Where all want CPU, give a student so many times as much as another one."""
    name, one = ("cpu.weight", 100) if _version_2() else ("cpu.shares", 1024)
    with contextlib.suppress(FileNotFoundError):  # the system was started anew
        (processes(group, student)[-1].parent / name).write_text(str(one * times))


def processes(group, student):
    """The files that list a student's processes; a process that writes 0 there is one of them."""
    folders = [CGROUP] if _version_2() else [CGROUP / "memory", CGROUP / "cpu"]
    return [folder / group / student / "cgroup.procs" for folder in folders]


def end(group, student):
    """Kill what a student left running."""
    with contextlib.suppress(FileNotFoundError):
        for pid in processes(group, student)[0].read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def remove(group):
    """Remove the groups of a class; one in which a process still ends stays, and does no harm."""
    for listed in processes(group, "."):
        for folder in sorted(listed.parent.glob("**/"), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()


def _version_2():
    return (CGROUP / "cgroup.controllers").exists()
