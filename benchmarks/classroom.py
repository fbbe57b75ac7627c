"""A class on one machine: what it costs in memory and waiting, with real clients of a real hub.

    sudo .venv/bin/python benchmarks/classroom.py

Students log in one after the other, open lesson 03, run it up to the playground, and train in it
for a minute, over HTTP and WebSocket as a browser would, without drawing. Takes 45 minutes with 30
students; a full run writes its table into benchmarks/README.md.
"""

import argparse
import contextlib
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median, quantiles

import psutil
from report import README, machine, table, write

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.hub.client import Person  # noqa: E402
from tests.hub.machine import CODE, MISSING, Hub  # noqa: E402

LESSON = "lessons/03_kl_sparsity.ipynb"
FULL = {"students": 30, "stagger": 10, "play": 60}
SECTION = """
## A class on one machine

`sudo .venv/bin/python benchmarks/classroom.py` starts a hub as
[teaching/hub](../teaching/hub/README.md) does. Each student is a system user with a server and a
kernel of their own. Memory is what these wrote themselves (pages that are private and dirty):
TensorFlow's library and the images are shared, and count once for all. The clients run on the same
machine, and take a part of its CPU.

<!-- written by classroom.py: begin -->
<!-- written by classroom.py: end -->
"""
ASK = {"v": 1, "view": "classroom", "touched": True}


class Student(threading.Thread):
    """One student's lesson; what it took is kept in the attributes.

    Args:
        person: who was admitted.
        delay: seconds until they come.
        play: seconds in the playground.
    """

    def __init__(self, person, delay, play):
        super().__init__(daemon=True)
        self.person, self.delay, self.play = person, delay, play
        self.login = self.server = self.failed = None
        self.cells, self.steps, self.cpu = {}, 0, {}

    def run(self):
        time.sleep(self.delay)
        try:
            self.lesson()
        except Exception as error:
            self.failed = f"{self.person.name}: {type(error).__name__}: {error}"

    def lesson(self):
        """From the page with the form to the end of the playground."""
        begin = time.perf_counter()
        assert self.person.log_in()
        self.login = time.perf_counter() - begin
        self.server = self.person.start()
        notebook = self.person.contents(LESSON).json()["content"]
        kernel = self.person.kernel(LESSON)
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                begin = time.perf_counter()
                if "playground" in cell["metadata"].get("tags", ()):
                    view = playground(kernel, cell["source"])
                else:
                    _, error = kernel.run(cell["source"])
                    assert error is None, f"{cell['id']}: {error}"
                self.cells[cell["id"]] = time.perf_counter() - begin
                if "playground" in cell["metadata"].get("tags", ()):
                    break
        self.after_lesson = memory(self.person.name)[self.person.name]
        self.cpu["lesson"] = processor(self.person.name)
        self.steps = train(kernel, view, self.play)
        self.cpu["playground"] = processor(self.person.name) - self.cpu["lesson"]
        kernel.close()


def playground(kernel, code):
    """Run the playground's cell: the id under which its view is asked."""
    asked = kernel.send("execute_request", {"code": code, "silent": False})
    view = reply = None
    while not (view and reply):  # which come by two ways, in any order
        message = kernel.receive()
        state = message.get("content", {}).get("data", {}).get("state", {})
        if message["header"]["msg_type"] == "comm_open" and state.get("kind") == "playground":
            view = message["content"]["comm_id"]
        of_ours = message["parent_header"].get("msg_id") == asked
        if of_ours and message["header"]["msg_type"] == "execute_reply":
            reply = message["content"]
            assert reply["status"] == "ok", reply
    return view


def train(kernel, view, seconds):
    """Clock the view for some time, two requests on the way: the steps that were trained."""
    number, steps, end = 0, 0, time.monotonic() + seconds

    def ask(**what):
        nonlocal number
        number += 1
        data = {"method": "custom", "content": ASK | {"n": number} | what}
        kernel.send("comm_msg", {"comm_id": view, "data": data})

    ask(do="train", on=True)
    ask(do="tick")
    while time.monotonic() < end:
        message = kernel.receive()
        data = message.get("content", {}).get("data", {})
        frame = data.get("content", {}) if data.get("method") == "custom" else {}
        if frame.get("kind") == "frame" and frame.get("n"):
            steps = frame["figures"]["step"]
            ask(do="tick")
    ask(do="train", on=False)
    return steps


def processes(names):
    """What runs of some students: a triple of name, "kernel" or "server", and process for each."""
    for process in psutil.process_iter(["username", "cmdline"]):
        if (name := process.info["username"]) in names:
            words = " ".join(process.info["cmdline"] or ())
            kernel = "ipykernel_launcher" in words or "kernels.py" in words
            yield name, "kernel" if kernel else "server", process


def memory(*names):
    """Megabytes of pages that students' processes wrote themselves: name → kind → MB."""
    sums = {name: {"kernel": 0.0, "server": 0.0} for name in names}
    for name, kind, process in processes(names):
        with contextlib.suppress(OSError):  # it ended meanwhile
            for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Private_Dirty:"):
                    sums[name][kind] += int(line.split()[1]) * 1024 / 1e6
    return sums


def processor(name):
    """Seconds of CPU that a student's processes have taken."""
    total = 0
    for _, _, process in processes([name]):
        with contextlib.suppress(psutil.Error):
            total += sum(process.cpu_times()[:2])
    return total


def run(hub, names, stagger, play):
    """Let students take the lesson: they, and the peaks of their memory, name → kind → MB."""
    students = [Student(hub.people[n], i * stagger, play) for i, n in enumerate(names)]
    peaks = memory(*names)
    for student in students:
        student.start()
    while any(student.is_alive() for student in students):
        now = memory(*names)
        for name, kinds in peaks.items():
            peaks[name] = {kind: max(peak, now[name][kind]) for kind, peak in kinds.items()}
        time.sleep(5)
    for name in names:
        hub.people[name].stop()
    return students, peaks


def report(alone, crowd, peaks, seconds):
    """The tables, and the verdicts on floors and aims."""
    well = [student for student in crowd if not student.failed]
    p95 = (
        quantiles([s.login for s in well], n=20, method="inclusive")[-1]
        if len(well) > 1
        else well[0].login
    )
    servers = [s.server for s in well]
    total = [sum(peaks[s.person.name].values()) for s in well]
    rows = [
        ["logged in, 95th percentile, s", f"{alone.login:.1f}", f"{p95:.1f}"],
        [
            "from the click to JupyterLab, median, s",
            f"{alone.server:.1f}",
            f"{median(servers):.1f}",
        ],
        ["at worst, s", "", f"{max(servers):.1f}"],
        [
            "steps in the playground, median",
            f"{alone.steps}",
            f"{median(s.steps for s in well):.0f}",
        ],
    ]
    for kind in ("kernel", "server"):
        after = [s.after_lesson[kind] for s in well]
        peak = [peaks[s.person.name][kind] for s in well]
        rows.append([f"{kind} after the lesson, median, MB", "", f"{median(after):.0f}"])
        rows.append([f"{kind} at its peak, largest, MB", "", f"{max(peak):.0f}"])
    for part in ("lesson", "playground"):
        cost = median(s.cpu[part] for s in well)
        rows.append([f"CPU of the {part}, median, s", f"{alone.cpu[part]:.0f}", f"{cost:.0f}"])
    cells = [
        [name, f"{cost:.1f}", f"{median(s.cells[name] for s in well):.1f}"]
        for name, cost in alone.cells.items()
        if cost > 0.5
    ]
    verdicts = [
        ("nobody's lesson fails", len(crowd) - len(well), 0),
        ("log in within 2 s, 95th percentile", p95, 2),
        ("click to JupyterLab within 30 s, median", median(servers), 30),
        ("click to JupyterLab within 90 s, worst", max(servers), 90),
        ("floor: 600 MB a student, kernel and server, largest", max(total), 600),
        ("aim: 450 MB a student, kernel and server, largest", max(total), 450),
    ]
    head = [f"{len(crowd)} students, {seconds / 60:.0f} minutes", "one alone", "in the crowd"]
    return "\n\n".join(
        [
            machine(),
            table(head, rows),
            table(["cell of lesson 03, s", "one alone", "in the crowd, median"], cells),
            "\n".join(
                f"- {what}: **{'pass' if value <= most else 'FAIL'}, {value:.4g}**"
                for what, value, most in verdicts
            ),
            *(student.failed for student in crowd if student.failed),
        ]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, usual in FULL.items():
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--folder", type=Path, help="of a hub, to keep its environment")
    wanted = parser.parse_args()
    if MISSING:
        sys.exit(f"Not measured, for {MISSING}.")
    hub = Hub(wanted.folder or Path(tempfile.mkdtemp(prefix="hub-class-", dir="/srv")))
    try:
        hub.start()
        names = [f"student-{number}" for number in range(wanted.students)]
        for name in names:
            hub.people[name] = Person(hub.url, name)
            hub.people[name].sign_up(CODE)
            hub.teacher().admit(name)
        [alone], _ = run(hub, names[:1], 0, wanted.play)
        assert not alone.failed, alone.failed
        begin = time.monotonic()
        crowd, peaks = run(hub, names, wanted.stagger, wanted.play)
        text = report(alone, crowd, peaks, time.monotonic() - begin)
        print(text)
        if all(getattr(wanted, name) >= usual for name, usual in FULL.items()):
            before = README.read_text(encoding="utf-8")
            if "by classroom.py: begin" not in before:
                README.write_text(before + SECTION, encoding="utf-8")
            write(text, Path(__file__).name)
    finally:
        hub.end()


if __name__ == "__main__":
    main()
