"""Kernels that begin as copies of one process: the student's side alone, then with real users."""

import asyncio
import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from jupyter_client import AsyncKernelManager

from .client import until
from .machine import ROOT
from .test_drills import again

sys.path.append(str(ROOT / "teaching" / "hub"))
import kernels  # noqa: E402
import limits  # noqa: E402

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a hub runs on Linux")
drill = lambda test: pytest.mark.slow(pytest.mark.hub(test))  # noqa: E731


# What the student's server does, with a stand-in for the service


@pytest.fixture
def service(tmp_path, monkeypatch):
    """A function: it lets a service answer one request so, and returns a list of what was asked."""
    path = str(tmp_path / "s")
    monkeypatch.setenv("KERNELS_SOCKET", path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def answer(text):
        listening.bind(path)
        listening.listen()
        asked = []

        def serve():
            with listening.accept()[0] as connection:
                asked.append(json.loads(connection.recv(kernels.LONGEST)))
                connection.send(text.encode())

        threading.Thread(target=serve, daemon=True).start()
        return asked

    with listening:
        yield answer


async def launched(command=None):
    """The manager of a new kernel."""
    manager = AsyncKernelManager()
    spec = manager.kernel_spec
    spec.argv = command or spec.argv
    manager.provisioner = kernels.Provisioner(kernel_id="one", kernel_spec=spec, parent=manager)
    await manager.start_kernel(env={"MINE": "1"})
    return manager


def test_without_a_service_a_kernel_starts_in_the_ordinary_way(service, caplog):
    async def live():
        manager = await launched()
        client = manager.client()
        client.start_channels()
        await client.wait_for_ready(60)
        client.stop_channels()
        await manager.shutdown_kernel(now=True)

    asyncio.run(live())
    assert "A kernel starts in the ordinary way, and takes longer: " in caplog.text


def test_a_kernel_is_asked_for_and_its_end_is_noticed(service):
    async def live(process):
        manager = await launched()
        assert await manager.is_alive() and manager.provisioner.pid == process.pid
        await manager.signal_kernel(signal.SIGTERM)
        process.wait()
        assert not await manager.is_alive()
        await manager.shutdown_kernel(now=True)

    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        asked = service(str(process.pid))
        asyncio.run(live(process))
    [[arguments, folder, environment]] = asked
    assert arguments[0] == "-f" and folder == str(Path.cwd()) and environment["MINE"] == "1"


def test_a_kernel_of_another_kind_is_not_asked_for(service):
    async def live():
        await (await launched(["sleep", "60"])).shutdown_kernel(now=True)

    asked = service("1")
    asyncio.run(live())
    assert not asked


# With real users


@pytest.fixture
def kernel(hub):
    kernel = hub.student("ada-drill").kernel()
    yield kernel
    kernel.close()


def service_process(hub):
    """The process that is copied."""
    command = str(hub.clone / "teaching" / "hub" / "kernels.py")
    [found] = [
        process
        for process in psutil.process_iter(["cmdline", "username"])
        if process.info["username"] == "root" and command in (process.info["cmdline"] or ())
    ]
    return found


def tell(kernel, expression):
    """What an expression is in a kernel."""
    printed, error = again(kernel, f"import json, os, sys\nprint(json.dumps({expression}))")
    assert error is None, error
    return json.loads(printed.splitlines()[-1])


def process_of(kernel):
    return psutil.Process(tell(kernel, "os.getpid()"))


@drill
def test_a_copy_begins_with_tensorflow_and_trains(hub, kernel):
    assert tell(kernel, "'tensorflow' in sys.modules and 'matplotlib' not in sys.modules")
    assert process_of(kernel).ppid() == service_process(hub).pid
    printed, error = kernel.run(
        "import keras, numpy as np\n"
        "model = keras.Sequential([keras.layers.Dense(1)])\n"
        "model.compile('adam', 'mse', jit_compile=True)\n"
        "kept = model.fit(np.ones((512, 20)), np.ones(512), epochs=3, verbose=0).history\n"
        "import matplotlib.pyplot as plt\n"
        "print(kept['loss'][0] > kept['loss'][2] > 0, plt.get_backend())"
    )
    assert (printed, error) == ("True module://matplotlib_inline.backend_inline\n", None)


@drill
def test_no_thread_runs_in_what_is_copied(hub, kernel):
    assert service_process(hub).num_threads() == 1


@drill
def test_a_copy_is_the_student_for_good(hub, kernel):
    process, user = process_of(kernel), pwd.getpwnam("ada-drill")
    assert set(process.uids()) == {user.pw_uid} and set(process.gids()) == {user.pw_gid}
    assert tell(kernel, "os.getgroups()") == [user.pw_gid]
    assert "PermissionError" in kernel.run("os.setuid(0)")[1]
    assert "PermissionError" in kernel.run("os.seteuid(0)")[1]
    assert re.search(r"CapEff:\s+0+\n", Path(f"/proc/{process.pid}/status").read_text())
    assert os.getsid(process.pid) == process.pid
    assert tell(kernel, "os.umask(0o077)") == 0o077
    for listed in limits.processes(hub.folder.name, "ada-drill"):
        assert str(process.pid) in listed.read_text().split()


@drill
def test_a_copy_has_its_students_environment_and_nothing_of_the_hubs(hub, kernel):
    environment, home = tell(kernel, "dict(os.environ)"), hub.folder / "homes" / "ada-drill"
    assert environment["HOME"] == tell(kernel, "os.getcwd()") == str(home)
    assert environment["JUPYTERHUB_USER"] == "ada-drill"
    assert not {"CODE", "KERAS_HOME", "CONFIGPROXY_AUTH_TOKEN"} & set(environment)
    path = f"/proc/{service_process(hub).pid}/environ"
    first = Path(path).read_text()
    assert "TOKEN" not in first and "CODE" not in first, "a copy of it is in every kernel"
    ours = tell(kernel, "[os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')"
                        " if os.path.lexists(f'/proc/self/fd/{n}')]")  # fmt: skip
    assert not any(str(hub.folder / name) in line for line in ours for name in ("hub", "log.txt"))


@drill
def test_no_two_copies_draw_the_same_numbers(hub, kernel):
    draw = "[np.random.rand(), random.random(), float(keras.random.uniform([]))]"
    code = "import keras, random, numpy as np"
    draws = []
    for one in (kernel, hub.student("ada-drill").kernel("another.ipynb")):
        one.run(code)
        draws.append(tell(one, draw))
    assert not set(draws[0]) & set(draws[1])


@drill
def test_a_copy_is_interrupted_restarted_and_its_end_noticed(hub, kernel):
    ada, api = hub.student("ada-drill"), f"/user/ada-drill/api/kernels/{kernel.name}"
    first = process_of(kernel)
    endless = "print('begun')\nwhile True: pass"
    kernel.send("execute_request", {"code": endless, "silent": False})
    until(lambda: kernel.receive()["header"]["msg_type"] == "stream", what="its begin")
    assert ada.ask("POST", f"{api}/interrupt").ok
    error = until(lambda: next_of(kernel, "error"), what="its end")
    assert error["ename"] == "KeyboardInterrupt"
    assert ada.ask("POST", f"{api}/restart").ok
    second = process_of(kernel)
    assert second.pid != first.pid
    until(lambda: not first.is_running(), what="the end of the first")
    assert kernel.run("os.kill(os.getpid(), 9)")[1] == "died"
    third = process_of(kernel)
    assert third.pid != second.pid
    until(lambda: not second.is_running(), what="the end of the second")
    assert ada.ask("DELETE", api).ok
    until(lambda: not third.is_running(), what="the end of the kernel")


def next_of(kernel, kind):
    """What the next message says, if it is of this kind."""
    message = kernel.receive()
    return message["header"]["msg_type"] == kind and message["content"]


ASK = """
import json, os, socket
def ask(message):
    "What a request gives, and the user of the process that it is answered by"
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(60)
    connection.connect({path!r})
    try:
        connection.send(message)
        pid = connection.recv(100).decode()
    except OSError as error:
        return type(error).__name__
    connection.close()
    return pid
"""


@drill
def test_a_hostile_request_gives_nothing_or_the_student(hub, kernel):
    theirs = hub.student("ben-drill").kernel()
    file = tell(theirs, "sys.argv[2]")
    before, home = Path(file).read_text(), str(hub.folder / "homes")
    assert kernel.run(ASK.format(path=str(hub.kernels)))[1] is None
    for message in (
        b"",
        b"\xff",
        b"[]",
        b'["-f", "x"]',
        b"[" * 50_000,
        json.dumps([["-f", "x"], f"{home}/ben-drill", {}]).encode(),
        json.dumps([["-f", "x"], "/root", {}]).encode(),
        json.dumps([["-f", "x"], home, {"A=B\0": "C"}]).encode(),
    ):
        assert tell(kernel, f"ask({message!r})") in ("", "ConnectionResetError"), message[:60]
    assert tell(kernel, "ask(b'[' * 10_000_000)") == "OSError", "too long to be sent"
    for arguments in (["-f", file], ["--IPKernelApp.exec_lines=open('/root/x', 'w')"]):
        message = json.dumps([arguments, "/", {"HOME": f"{home}/ben-drill", "USER": "root"}])
        pid = int(tell(kernel, f"ask({message.encode()!r})"))
        with suppress(psutil.NoSuchProcess):  # it ends when its connection does
            assert psutil.Process(pid).username() == "ada-drill"
    assert Path(file).read_text() == before and not Path("/root/x").exists()
    assert theirs.run("print('here')") == ("here\n", None)
    after = hub.student("ada-drill").kernel("after.ipynb")
    assert process_of(after).ppid() == service_process(hub).pid


@drill
def test_who_asks_all_the_time_is_refused_and_others_are_not(hub, kernel):
    ask = f"[socket.socket(socket.AF_UNIX, {int(socket.SOCK_SEQPACKET)}) for _ in range(100)]"
    printed, error = kernel.run(
        f"import socket\nkept = {ask}\n"
        "for one in kept:\n"
        f"    one.settimeout(60)\n    one.connect({str(hub.kernels)!r})\n"
        "def refused(one):\n"
        "    one.setblocking(False)\n"
        "    try:\n        return one.recv(1) == b''\n"
        "    except BlockingIOError:\n        return False\n"
    )
    assert error is None
    until(lambda: tell(kernel, "sum(map(refused, kept))") > 100 - kernels.MOST, what="refusals")
    theirs = hub.student("ben-drill").kernel("beside.ipynb")
    assert process_of(theirs).ppid() == service_process(hub).pid
    kernel.run("kept.clear()")


@drill
def test_who_is_none_of_the_class_gets_no_copy(hub):
    code = ASK.format(path=str(hub.kernels)) + "print(ask(b'[[], \"/\", {}]'))"
    outside = subprocess.run(
        ["/usr/bin/python3", "-c", code], user="nobody", capture_output=True, text=True
    )
    assert "PermissionError" in outside.stderr and not outside.stdout
    root = subprocess.run(["/usr/bin/python3", "-c", code], capture_output=True, text=True)
    assert root.stdout in ("\n", "ConnectionResetError\n")


@drill
def test_the_service_dies_kernels_go_on_and_it_comes_back(hub, kernel):
    kernel.run("kept = 42")
    gone = service_process(hub)
    gone.kill()
    assert kernel.run("print(kept)") == ("42\n", None)
    ordinary = hub.student("ada-drill").kernel("ordinary.ipynb")
    assert not tell(ordinary, "'tensorflow' in sys.modules")
    assert "A kernel starts in the ordinary way, and takes longer: " in hub.log()
    until(lambda: is_copy(hub), what="a new service")
    assert kernel.run("print(kept)") == ("42\n", None)


def is_copy(hub):
    kernel = hub.student("ada-drill").kernel("a-third.ipynb")
    try:
        return tell(kernel, "'tensorflow' in sys.modules")
    finally:
        hub.student("ada-drill").ask("DELETE", f"/user/ada-drill/api/kernels/{kernel.name}")


@drill
def test_a_copy_ends_with_its_students_server(hub, kernel):
    process = process_of(kernel)
    servers = psutil.process_iter(["username", "cmdline"])
    [server] = [
        one
        for one in servers
        if one.info["username"] == "ada-drill"
        and "jupyterhub-singleuser" in " ".join(one.info["cmdline"] or ())
    ]
    server.kill()
    until(lambda: not process.is_running(), what="the end of the kernel")
