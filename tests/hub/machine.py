"""The machine of a hub, as its teacher's hands at the keyboard have it: users, processes, files."""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import psutil
import requests

from .client import Person, until

ROOT = Path(__file__).parent.parent.parent
CODE, TEACHER = "minerva", "teacher-drill"
PYTHON = "/usr/bin/python3"  # the tests' own may lie where only root can look
MISSING = (
    "a hub needs root, to start servers as their users"
    if os.geteuid()
    else "a hub needs a Python for everybody, and npm: apt install python3-venv npm"
    if not Path(PYTHON).exists() or not shutil.which("npm")
    else None
)


class Hub:
    """The hub, as somebody sees it who is root on its machine."""

    def __init__(self, folder):
        self.folder, self.clone, self.process = folder, folder / "clone", None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.kernels = Path("/run", folder.name, "kernels.sock")
        self.people = {}
        folder.chmod(0o755)
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.check_output(listed, cwd=ROOT, text=True).splitlines():
            (self.clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.clone / name)
        if (ROOT / "data" / "mnist.npz").exists():
            shutil.copy(ROOT / "data" / "mnist.npz", self.clone / "data")

    def make(self, target, **how):
        settings = {"FOLDER": self.folder, "CODE": CODE, "TEACHER": TEACHER, "URL": self.url}
        words = [f"{name}={value}" for name, value in settings.items()]
        command = ["make", "--no-print-directory", target, f"PYTHON={PYTHON}", *words]
        foreign = ("PYTHON", "MAKE", "MFLAGS", "JUPYTER")
        environ = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        return subprocess.Popen(command, cwd=self.clone, env=environ, **how)

    def start(self):
        """`make hub`, until it answers."""
        with open(self.folder / "log.txt", "ab") as log:
            how = {"stdout": log, "stderr": log, "start_new_session": True}
            self.process = self.make("hub", **how)
        until(self.answers, 1800, "the start of the hub")
        until(self.kernels.exists, what="the process that kernels are copies of")

    def answers(self):
        assert self.process.poll() is None, self.log()[-3000:]
        try:
            return requests.get(f"{self.url}/hub/health", timeout=5).ok
        except requests.ConnectionError:
            return False

    def log(self):
        return (self.folder / "log.txt").read_text()

    def kill(self):
        """Kill the hub alone: proxy, culler and servers have sessions of their own."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_proxy(self):
        pid = int((self.folder / "hub" / "jupyterhub-proxy.pid").read_text())
        os.kill(pid, signal.SIGKILL)

    def end(self):
        """`make hub-end`: true if it went well."""
        if self.process and self.process.poll() is None:
            self.kill_all()
        return self.make("hub-end").wait() == 0

    def kill_all(self):
        """Kill hub, proxy, culler and all that runs as a student or the teacher."""
        self.kill()
        users = {u.pw_uid for u in pwd.getpwall() if Path(u.pw_dir).parent == self.folder / "homes"}
        for process in psutil.process_iter(["uids", "cmdline"]):
            words = " ".join(process.info["cmdline"] or ())
            if process.info["uids"].real in users or f"{self.folder}/" in words:
                process.kill()

    def teacher(self):
        if TEACHER not in self.people:
            password = re.findall(f"Log in as {TEACHER} with (\\S+), once", self.log())[-1]
            self.people[TEACHER] = Person(self.url, TEACHER, password)
            assert self.people[TEACHER].log_in()
        return self.people[TEACHER]

    def student(self, name):
        """Somebody who was admitted and has a server that runs."""
        if name not in self.people:
            self.people[name] = Person(self.url, name)
            assert "Your teacher can admit you now" in self.people[name].sign_up(CODE).text
            self.teacher().admit(name)
        person = self.people[name]
        if not person.served():
            assert person.log_in()
            person.start()
        return person
