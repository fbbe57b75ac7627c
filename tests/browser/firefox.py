"""Firefox by its own protocol, Marionette, which needs no driver."""

import contextlib
import json
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
needs_firefox = pytest.mark.skipif(FIREFOX is None, reason="Firefox is not installed")

# What every script may use.
TOOLS = """
const part = (name) => document.querySelector(`.playground-${name}`);
const until = async (holds, what) => {
  for (let i = 0; i < 600; i++) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw `it did not come to ${what}: ${document.body.innerText.slice(0, 300)}`;
};
"""


def run(script, address, folder):
    """What an asynchronous script gives, or throws, in a page.

    Args:
        script: with `return`; part(name) finds an element of the playground, and until(holds, what)
            waits.
        address: of the page.
        folder: an empty one, for Firefox' profile.
    """
    with _marionette(folder) as ask:
        ask("WebDriver:Navigate", url=address)
        body = f"const [done] = arguments; (async () => {{ {TOOLS} {script} }})().then(done, done)"
        return ask("WebDriver:ExecuteAsyncScript", script=body, args=[])["value"]


@contextlib.contextmanager
def _marionette(folder):
    """A function that asks a new Firefox something."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    Path(folder, "user.js").write_text(f'user_pref("marionette.port", {port});')
    command = [FIREFOX, "--headless", "--marionette", "--no-remote", "--profile", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with _connect(port) as connection:
            _read(connection)

            def ask(command, **values):
                message = json.dumps([0, 1, command, values]).encode()
                connection.sendall(b"%d:%s" % (len(message), message))
                _, _, error, result = _read(connection)
                assert not error, error
                return result

            ask("WebDriver:NewSession")
            yield ask
    finally:
        process.terminate()
        process.wait(20)


def _connect(port):
    end = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 60)
        except OSError:
            assert time.monotonic() < end, "Firefox did not start"
            time.sleep(0.2)


def _read(connection):
    size = b""
    while not size.endswith(b":"):
        size += connection.recv(1)
    data = b""
    while len(data) < int(size[:-1]):
        data += connection.recv(int(size[:-1]) - len(data))
    return json.loads(data)
