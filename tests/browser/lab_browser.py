"""A notebook in real JupyterLab in headless Chromium, for tests, benchmarks and screenshots."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.request
from pathlib import Path

import nbformat
from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NO_CHROMIUM = (
    "Chromium is not installed, in which JupyterLab is driven: `apt install chromium` on Debian "
    "and Ubuntu, or any package that puts `chromium` on the PATH."
)
FLAGS = [
    "--no-sandbox",  # as root, Chromium refuses to start with its sandbox
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
STATUS = ".playground-status"


def notebook(*sources):
    """A notebook of code cells."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


@contextlib.contextmanager
def jupyterlab(
    folder,
    kernel_python=sys.executable,
    theme="JupyterLab Light",
    server=(sys.executable, "jupyterlab"),
):
    """Serve a folder with JupyterLab on 127.0.0.1; gives the address.

    Args:
        folder: of the notebooks.
        kernel_python: of the environment that notebooks run in.
        theme: as in JupyterLab's settings; the other one is "JupyterLab Dark".
        server: the Python of its environment, and "jupyterlab" or "notebook".
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        settings = Path(home, "settings", "@jupyterlab")
        _write(
            settings / "apputils-extension" / "notification.jupyterlab-settings",
            {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
        )
        _write(settings / "apputils-extension" / "themes.jupyterlab-settings", {"theme": theme})
        argv = [kernel_python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": argv, "display_name": "Python 3", "language": "python"}
        _write(Path(home, "data", "kernels", "python3", "kernel.json"), spec)
        environment = os.environ | {
            "JUPYTER_PATH": str(Path(home, "data")),
            "JUPYTER_CONFIG_DIR": str(Path(home, "config")),
            "JUPYTER_RUNTIME_DIR": str(Path(home, "runtime")),
            "JUPYTERLAB_SETTINGS_DIR": str(Path(home, "settings")),
            "JUPYTERLAB_WORKSPACES_DIR": str(Path(home, "workspaces")),
        }
        python, application = server
        command = [python, "-m", application, "--no-browser", "--ip=127.0.0.1"]
        command += [f"--port={port}", "--IdentityProvider.token=", "--allow-root"]
        command += ["--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={folder}"]
        # Else a kernelspec of this environment would hide the one above.
        command += ["--KernelSpecManager.ensure_native_kernel=False"]
        with open(Path(home, "log"), "w+") as log:
            server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            try:
                address = f"http://127.0.0.1:{port}"
                _wait_for(lambda: _answers(f"{address}/api"), 60, "JupyterLab did not start")
                yield address
            except BaseException:
                log.seek(0)
                print(log.read()[-3000:])
                raise
            finally:
                server.terminate()
                server.wait(20)


@contextlib.contextmanager
def chromium(width=1280, height=1000):
    """A page of headless Chromium."""
    if CHROMIUM is None:
        raise FileNotFoundError(NO_CHROMIUM)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(60_000)
        try:
            yield page
        finally:
            browser.close()


class Lab:
    """One open notebook, seen through a page."""

    def __init__(self, page, address, name, place="lab/tree"):
        self.page, self.address, self.name, self.place = page, address, name, place
        self.open()

    def open(self):
        """Open the notebook, or load the page again, and wait for its kernel."""
        self.page.goto(f"{self.address}/{self.place}/{self.name}")
        self.ready()

    def ready(self):
        self.page.wait_for_selector(".jp-NotebookPanel .jp-Notebook .jp-CodeCell")
        self.until(self._connected, 60, "the page did not connect to a kernel")
        self.page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")

    def _connected(self):
        """Whether the page talks to its kernel: the page says "idle" before it does."""
        answer = self.page.request.get(f"{self.address}/api/kernels")
        # The server answers 500 while it shuts down another kernel.
        return answer.ok and any(kernel["connections"] for kernel in answer.json())

    def close(self):
        """Shut down the kernel."""
        self.page.goto("about:blank")
        sessions = f"{self.address}/api/sessions"
        for session in self.page.request.get(sessions).json():
            self.page.request.delete(f"{sessions}/{session['id']}")

    def kernel(self, action):
        """Do to the kernel what the menu does: "interrupt" or "restart" it."""
        kernels = f"{self.address}/api/kernels"
        (kernel,) = self.page.request.get(kernels).json()
        self.page.request.post(f"{kernels}/{kernel['id']}/{action}")

    def menu(self, *names):
        """Choose from JupyterLab's menu bar, such as "Edit", "Clear Cell Output"."""
        self.page.locator(".lm-MenuBar-itemLabel", has_text=names[0]).first.click()
        self.page.locator(".lm-Menu-itemLabel", has_text=names[1]).first.click()

    def cell(self, number):
        """The code cell with this number, counted from 0."""
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(number)

    def write(self, number, source):
        """Replace the text of a cell."""
        editor = self.cell(number).locator(".cm-content").first
        editor.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.press("Delete")
        self.page.keyboard.insert_text(textwrap.dedent(source).strip())

    def start(self, number):
        """Run a cell without waiting for its end; gives the prompt that it had before."""
        prompt = self.cell(number).locator(".jp-InputPrompt")
        before = prompt.inner_text()

        def press():
            # JupyterLab takes the focus away now and then while it starts.
            self.cell(number).locator(".cm-content").first.click()
            self.page.keyboard.press("Control+Enter")
            self.page.wait_for_timeout(1000)
            return prompt.inner_text() != before

        self.until(press, 30, f"cell {number} did not start")
        return before

    def run(self, number, timeout=120):
        """Run a cell and wait until it has a new number; gives its text output."""
        prompt = self.cell(number).locator(".jp-InputPrompt")
        before = self.start(number)
        patience = time.monotonic() + 20

        def done():
            nonlocal patience
            now = prompt.inner_text()
            if now == before:  # a kernel that is still connecting forgets what it was told
                if time.monotonic() > patience:  # and now and then the page has to ask again
                    patience += 20
                    self.page.reload()
                    self.ready()
                self.start(number)
            return now != before and any(map(str.isdigit, now))

        self.until(done, timeout, f"cell {number} did not end")
        return self.cell(number).locator(".jp-OutputArea").first.inner_text()

    def status(self, number=0):
        """What the status line of a playground says in its data attributes, and in words."""
        line = self.page.locator(STATUS).nth(number)
        facts = line.evaluate("line => ({...line.dataset, words: line.innerText})")
        return {name: _number(value) for name, value in facts.items()}

    def until(self, condition, timeout=30, message="it did not happen"):
        """Wait for a condition on this page; gives what it gave."""

        def look():
            found = condition()
            if not found:
                self.page.wait_for_timeout(50)  # unlike time.sleep, lets the page work
            return found

        try:
            return _wait_for(look, timeout, message, pause=0)
        except TimeoutError:
            self.page.screenshot(path=Path(tempfile.gettempdir(), "lab_browser.png"))
            raise

    def wait_for_state(self, state, number=0, timeout=30):
        self.page.wait_for_selector(STATUS)
        return self.until(
            lambda: self.status(number)["state"] == state and self.status(number),
            timeout,
            f"the playground did not become {state}",
        )

    def press(self, slider, key="ArrowRight", number=0):
        """A key on the handle of a slider, such as "beta"."""
        handle = self.page.locator(f".playground-{slider} .noUi-handle").nth(number)
        handle.focus()
        self.page.keyboard.press(key)

    def click(self, button, number=0):
        """A button of a playground, such as "train", pressed by keyboard."""
        self.page.locator(f".playground-{button}").nth(number).focus()
        self.page.keyboard.press("Enter")

    def picture(self, label="features", number=0):
        """What is on a canvas of a playground, as text that can be compared."""
        canvas = self.page.locator(f".playground-{label} canvas").nth(number)
        return canvas.evaluate("canvas => canvas.toDataURL()")


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text


def _write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _answers(url):
    try:
        return urllib.request.urlopen(url, timeout=2).status == 200
    except OSError:
        return False


def _wait_for(condition, timeout, message, pause=0.1):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(pause)
    raise TimeoutError(f"{message} within {timeout} s.")
