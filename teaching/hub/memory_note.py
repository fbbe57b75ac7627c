"""An extension of IPython: a new kernel says that the last one was ended for want of memory."""

import os
from pathlib import Path

SENTENCE = (
    "This kernel is new: the last one was ended because your kernels together needed more than "
    "your {:.1f} GB of memory. Shut down those of other lessons, then run this one from the top."
)


def load_ipython_extension(shell):
    """Before the first cell, if the system ended more of this user's processes than was said."""
    said = Path(os.environ["JUPYTER_RUNTIME_DIR"], "ended")
    count = ended()
    if count > (int(said.read_text()) if said.exists() else 0):
        said.write_text(str(count))

        def say(_):
            shell.events.unregister("pre_run_cell", say)
            print(SENTENCE.format(int(os.environ["MEM_LIMIT"]) / 2**30))

        shell.events.register("pre_run_cell", say)


def ended():
    """How many processes of this control group were killed because its memory ran out."""
    root = Path("/sys/fs/cgroup")
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        events = root / "memory" / path[1:] / "memory.oom_control"
        if not controllers:
            events = root / path[1:] / "memory.events"
        if controllers in ("", "memory") and events.exists():
            counts = dict(row.split() for row in events.read_text().splitlines())
            return int(counts.get("oom_kill", 0))
    return 0
