"""Kernels that begin as copies of one process, which has imported TensorFlow already.

What a copy only reads it shares with all others. The hub starts that process, as root:

    python kernels.py SOCKET CLASS

A student's server asks it for a kernel by `Provisioner`. Root reads nothing of what a student
sends: the copy does, when it has become the student for good.
"""

import asyncio
import gc
import grp
import importlib
import json
import os
import pwd
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
import traceback
from contextlib import suppress
from pathlib import Path

from jupyter_client.provisioning import LocalProvisioner

IMPORTED = (
    *("numpy", "scipy.optimize", "pandas", "sklearn.linear_model", "tensorflow", "keras"),
    *("ipykernel.kernelapp", "ipykernel.ipkernel", "ipywidgets"),
)
SETTINGS = {
    "HOME": "/nonexistent",  # nobody's settings are read
    "KERAS_HOME": "~/.keras",  # the student's, when a copy looks for it
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
NOBODY = 65534
NICE = 10  # of the process that is copied: whoever asks for kernels all the time slows no hub
MOST = 10  # copies of one student at a time
LONGEST = 1 << 17  # bytes of a request
PATIENCE = 30  # seconds


class Provisioner(LocalProvisioner):
    """Starts kernels of this environment as copies, all others in the ordinary way."""

    async def launch_kernel(self, cmd, **kwargs):
        """Where nobody answers, a kernel starts as it would without."""
        if cmd[:3] == [sys.executable, "-m", "ipykernel_launcher"]:
            self.cwd = str(kwargs.get("cwd") or os.getcwd())
            asked = [cmd[3:], self.cwd, kwargs["env"]]
            try:
                self.process = await asyncio.to_thread(Copy, os.environ["KERNELS_SOCKET"], asked)
            except OSError as error:
                self.log.warning(f"A kernel starts in the ordinary way, and takes longer: {error}")
            else:
                self.pid = self.pgid = self.process.pid
                return self.connection_info
        return await super().launch_kernel(cmd, **kwargs)


class Copy:
    """A kernel that another process started, with what LocalProvisioner uses of a Popen.

    Args:
        path: of the socket.
        asked: a list of the kernel's arguments, its folder and its environment.

    Raises:
        OSError: nobody answers, or no kernel was made.
    """

    stdin = stdout = stderr = None

    def __init__(self, path, asked):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.socket.send(json.dumps(asked).encode())
        answer = self.socket.recv(LONGEST)
        if not answer:
            raise ConnectionError(f"{path} made none")
        self.pid = int(answer)
        self.process = os.fdopen(os.pidfd_open(self.pid), "rb", buffering=0)

    def poll(self):
        """None while it runs; how it ended, only its parent knows."""
        poll = select.poll()
        poll.register(self.process, select.POLLIN)
        return 1 if poll.poll(0) else None

    wait = poll

    def send_signal(self, number):
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.process.fileno(), number)


def serve(path, group):
    """Import, then make a copy for everybody who connects.

    Args:
        path: of the socket.
        group: name of the class, whose members may connect.

    Returns:
        In a copy, the connection with the student's server; else None, when the hub has ended.
    """
    hub = os.getppid()
    os.nice(NICE)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.environ |= SETTINGS
    sys.modules["matplotlib"] = None  # Keras goes without it, which would read settings at once
    os.seteuid(NOBODY)
    for name in IMPORTED:
        importlib.import_module(name)
    os.seteuid(0)
    del sys.modules["matplotlib"]
    gc.collect()
    gc.freeze()  # a collection would write on every object's page
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.umask(0o117)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(path))
        os.chown(path, 0, grp.getgrnam(group).gr_gid)
        listening.listen()
        listening.settimeout(5)
        owners = {}
        while os.getppid() == hub:
            with suppress(TimeoutError):
                connection, _ = listening.accept()
                user = asks(connection)
                if list(owners.values()).count(user) < MOST:
                    if not (pid := os.fork()):
                        return connection
                    owners[pid] = user
                connection.close()
            with suppress(ChildProcessError):
                while pid := os.waitpid(-1, os.WNOHANG)[0]:
                    del owners[pid]


def asks(connection):
    """The id of the user at the other end, as the system knows it."""
    return struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]


def become(connection, group):
    """Turn this copy into the student at the other end, within their limits, with no way back."""
    user = pwd.getpwuid(asks(connection))
    for listed in limits.processes(group, user.pw_name):
        listed.write_text("0")
    os.nice(-NICE)
    os.setsid()
    os.umask(0o077)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    os.closerange(3, connection.fileno())
    os.closerange(connection.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    os.initgroups(user.pw_name, user.pw_gid)
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    with suppress(PermissionError):
        os.setuid(0)
        os._exit(1)


def prepare(connection):
    """Take from the student's server what its kernel is to have, and say that it begins."""
    import numpy

    connection.settimeout(PATIENCE)
    sys.argv[1:], folder, environment = json.loads(connection.recv(LONGEST))
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    tempfile.tempdir = None
    numpy.random.seed()  # Python's own generator is seeded anew in every copy
    connection.send(str(os.getpid()).encode())
    connection.settimeout(None)
    threading.Thread(target=lambda: (connection.recv(1), os._exit(1)), daemon=True).start()


def main(path, group):
    if connection := serve(Path(path), group):
        try:
            become(connection, group)
            prepare(connection)
        except BaseException:
            traceback.print_exc()
            os._exit(1)  # at once: a tidy end would write on every page
        from ipykernel.kernelapp import IPKernelApp

        IPKernelApp.launch_instance(parent_handle=1)  # that thread looks for the parent


if __name__ == "__main__":
    import limits

    del sys.path[0]  # the folder of this file, which is root's
    main(*sys.argv[1:])
