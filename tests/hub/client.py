"""What a student's or a teacher's browser does at the hub: forms, REST and a kernel's WebSocket."""

import json
import time
import uuid
from urllib.parse import quote, urlsplit

import requests
import websocket

PASSWORD = "long and seldom"


def until(condition, seconds=120, what="what was waited for"):
    """Wait for a condition, and return what it gives."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not happen within {seconds} seconds")
        time.sleep(0.1)
    return found


class Person:
    """Somebody at a browser, with cookies of their own.

    Args:
        url: of the hub, such as http://127.0.0.1:8000.
        name: that of the account.
        password: its password.
    """

    def __init__(self, url, name, password=PASSWORD):
        self.url, self.name, self.password = url, name, password
        self.browser = requests.Session()
        self.server = f"/user/{name}"

    def ask(self, method, path, **how):
        """An answer; a form or a call brings the token that pages of its place gave."""
        xsrf = [
            cookie
            for cookie in self.browser.cookies
            if cookie.name == "_xsrf" and path.startswith(cookie.path)
        ]
        if xsrf:
            token = max(xsrf, key=lambda cookie: len(cookie.path)).value
            how["headers"] = {"X-XSRFToken": token} | how.get("headers", {})
        return self.browser.request(method, self.url + path, timeout=300, **how)

    def form(self, path, **fields):
        """Open a form, fill it in, and send it: the page that comes."""
        self.ask("GET", path)
        return self.ask("POST", path, data=fields)

    def sign_up(self, code, password=None):
        password = password or self.password
        fields = {"signup_password": password, "signup_password_confirmation": password}
        return self.form("/hub/signup", username=self.name, code=code, **fields)

    def admit(self, name):
        return self.ask("GET", f"/hub/authorize/{name}")

    def log_in(self, password=None):
        """True if the hub knows us then."""
        path = "/hub/login?next=%2Fhub%2Ftoken"
        self.form(path, username=self.name, password=password or self.password)
        return self.ask("GET", "/hub/api/user").ok

    def served(self):
        """True if our server runs and lets us in; without it, there is a page of the hub."""
        return (
            self.ask("GET", f"{self.server}/api/contents", allow_redirects=False).status_code == 200
        )

    def start(self, seconds=300):
        """Click on the server, and wait until JupyterLab comes: the seconds that it took."""
        begin = time.monotonic()
        self.ask("GET", "/hub/home")
        asked = self.ask("POST", f"/hub/api/users/{self.name}/server")
        assert asked.status_code in (201, 202), asked.text
        there = lambda: self.ask("GET", f"{self.server}/lab").url.endswith("/lab")  # noqa: E731
        until(there, seconds, f"JupyterLab of {self.name}")
        return time.monotonic() - begin

    def stop(self):
        self.ask("DELETE", f"/hub/api/users/{self.name}/server")
        gone = lambda: not self.ask("GET", f"/hub/api/users/{self.name}").json()["servers"]  # noqa: E731
        until(gone, what=f"the end of {self.name}'s server")

    def contents(self, path, method="GET", **how):
        return self.ask(method, f"{self.server}/api/contents/{quote(path)}", **how)

    def kernel(self, path="any.ipynb"):
        """A new kernel for the notebook at a path."""
        asked = {"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}}
        answer = self.ask("POST", f"{self.server}/api/sessions", json=asked)
        assert answer.ok, answer.text
        return Kernel(self, answer.json()["kernel"]["id"])


class Kernel:
    """A kernel at the other end of a WebSocket.

    Args:
        person: whose it is.
        name: its id.
    """

    def __init__(self, person, name):
        self.person, self.name, self.session = person, name, uuid.uuid4().hex
        self.connect()

    def connect(self):
        place = urlsplit(self.person.url).netloc
        path = f"{self.person.server}/api/kernels/{self.name}/channels"
        asked = requests.Request("GET", self.person.url + path)
        cookie = self.person.browser.prepare_request(asked).headers.get("Cookie", "")
        address = f"ws://{place}{path}?session_id={self.session}"
        self.socket = websocket.create_connection(address, cookie=cookie, timeout=2)
        until(self.heard, what="a kernel's first word")
        self.socket.settimeout(300)

    def heard(self):
        """True if we hear what it publishes, which one that has just begun may do to nobody."""
        asked = self.send("kernel_info_request", {})
        try:
            while True:
                message = self.receive()
                of_ours = message["parent_header"].get("msg_id") == asked
                if of_ours and message["header"]["msg_type"] == "status":
                    return True
        except websocket.WebSocketTimeoutException:
            return False

    def send(self, kind, content, buffers=(), channel="shell"):
        """Send a message: its id."""
        header = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": kind,
            "session": self.session,
            "username": self.person.name,
            "version": "5.3",
        }
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        self.socket.send(json.dumps(message | {"channel": channel, "buffers": []}))
        return header["msg_id"]

    def receive(self):
        """The next message; those with buffers come as bytes, JSON first."""
        data = self.socket.recv()
        if isinstance(data, bytes):
            number = int.from_bytes(data[:4], "big")
            ends = [int.from_bytes(data[4 * i : 4 * i + 4], "big") for i in range(1, number + 1)]
            data = data[ends[0] : ends[1] if number > 1 else None]
        return json.loads(data) if data else {"header": {"msg_type": None}, "parent_header": {}}

    def run(self, code):
        """Run a cell: what it prints, and the name of the error that it ends with, or None."""
        asked = self.send("execute_request", {"code": code, "silent": False, "stop_on_error": True})
        printed, error, answered, idle = "", None, False, False
        while not (answered and idle):
            message = self.receive()
            kind, content = message["header"]["msg_type"], message.get("content", {})
            if kind == "status" and content["execution_state"] in ("restarting", "dead"):
                return printed, "died"
            if message["parent_header"].get("msg_id") != asked:
                continue
            if kind == "stream":
                printed += content["text"]
            elif kind == "error":
                error = f"{content['ename']}: {content['evalue']}"
            answered |= kind == "execute_reply"
            idle |= kind == "status" and content["execution_state"] == "idle"
        return printed, error

    def close(self):
        self.socket.close()
