"""A file from the network, or in one sentence what keeps it away and what to do about it."""

import os
import socket
import ssl
import sys
from multiprocessing.pool import ThreadPool
from urllib.parse import urlsplit

ONLINE = "Connect to the internet"
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # where requests looks for certificates


class NotDownloaded(Exception):
    """What happened, as its text; `advice` says what to do."""

    def __init__(self, what, advice=ONLINE):
        super().__init__(what)
        self.advice = advice


def download(url, seconds_to_answer, seconds_of_silence):
    """The bytes at url, with a progress bar until they are here.

    Args:
        url: http or https.
        seconds_to_answer: a host that says nothing for so long is not waited for.
        seconds_of_silence: a download that stands still for so long has failed.

    Raises:
        NotDownloaded: for whatever reason.
    """
    import requests
    from tqdm import tqdm

    content, name = bytearray(), url.rpartition("/")[2]
    how = {"timeout": (seconds_to_answer, seconds_of_silence), "stream": True}
    try:
        with ThreadPool(1) as pool:  # no timeout of requests' bounds the look-up of a name
            asked = pool.apply_async(requests.get, (url,), how)
            asked.wait(seconds_to_answer)
        if not asked.ready():
            raise _silence(url, seconds_to_answer)
        with asked.get() as answer:
            if not answer.ok:
                raise _refusal(answer)
            total = int(answer.headers.get("Content-Length", 0)) or None
            # To stdout, as notebooks show stderr like an error.
            bar = tqdm(
                desc=name, total=total, unit="B", unit_scale=True, leave=False, file=sys.stdout
            )
            with bar:
                for chunk in answer.iter_content(2**16):
                    content += chunk
                    bar.update(len(chunk))
    except (OSError, ValueError) as error:  # of requests and of urllib3
        raise _explained(error, url, begun=bool(content)) from error
    return bytes(content)


def _explained(error, url, begun):
    """The NotDownloaded that tells what an error of a download means."""
    import requests

    chain = list(_chain(error))
    text = str(error).partition("\n")[0]
    variable, proxy = _proxy(url)
    bundle = next((name for name in BUNDLES if os.environ.get(name)), None)

    def find(*kinds):
        return next((error for error in chain if isinstance(error, kinds)), None)

    if bundle and urlsplit(url).scheme == "https" and not _is_bundle(os.environ[bundle]):
        return NotDownloaded(
            f"{bundle} names {os.environ[bundle]}, which is no file of certificates",
            f"Correct the environment variable {bundle} or unset it",
        )
    if untrusted := find(ssl.SSLCertVerificationError):
        advice = (
            "A filter or a virus scanner on the way may use a certificate of its own: ask those "
            "who run the network for its file, and set REQUESTS_CA_BUNDLE to the path of it"
        )
        if untrusted.verify_code in (9, 10):  # not yet, or no longer valid
            advice = "Check the date and the time of this computer"
        if bundle:
            advice += f" ({bundle} is {os.environ[bundle]} now)"
        return NotDownloaded(f"its certificate is not trusted ({untrusted.verify_message})", advice)
    if proxy and (
        find(requests.exceptions.ProxyError, requests.exceptions.InvalidProxyURL)
        or not find(OSError, requests.RequestException)
        or find(requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)
    ):
        why = next((str(e) for e in chain if str(e).startswith("Tunnel")), _strerror(chain))
        return NotDownloaded(
            f"the proxy {_without_password(proxy)} does not work ({why or text})",
            f"Correct {variable} or, where no proxy is needed, unset it",
        )
    if failed := find(ssl.SSLError):
        return NotDownloaded(f"no secure connection ({failed.reason or failed})")
    if find(requests.exceptions.TooManyRedirects):
        return NotDownloaded(
            "it is redirected in circles", "Open any page in a browser, and log in to the network"
        )
    if begun or find(requests.exceptions.ChunkedEncodingError):
        return NotDownloaded("the download broke off", "Try again")
    if find(socket.gaierror):
        return NotDownloaded("no connection (its name could not be looked up)")
    if find(requests.exceptions.Timeout):
        return NotDownloaded("no connection (no answer)")
    return NotDownloaded(f"no connection ({_strerror(chain) or text})")


def _refusal(answer):
    """The NotDownloaded for an answer such as 404 or 407."""
    advice = {
        407: "Put your name and password into the proxy's address",
        429: "Wait some minutes",
        511: "Open any page in a browser, and log in to the network",
    }
    return NotDownloaded(
        f"it answered {answer.status_code} {answer.reason}",
        advice.get(answer.status_code, "Try again later, or from another network"),
    )


def _silence(url, seconds):
    """The NotDownloaded for no answer at all: is it the host, or the look-up of its name?"""
    variable, proxy = _proxy(url)
    address = urlsplit(proxy or url)
    with ThreadPool(1) as pool:
        looked_up = pool.apply_async(socket.getaddrinfo, (address.hostname, address.port or 443))
        looked_up.wait(min(1, seconds))
    who, name = "it", "its name"
    if proxy:
        who = f"the proxy {_without_password(proxy)}"
        name = f"the name of {who}"
    what = f"{who} did not answer" if looked_up.ready() else f"{name} could not be looked up"
    what = f"no connection ({what} in {seconds:g} seconds)"
    return NotDownloaded(what, f"Correct {variable} or unset it" if proxy else ONLINE)


def _proxy(url):
    """Where the proxy for url is set, and its address; (None, None) without one."""
    from requests.utils import get_environ_proxies, select_proxy

    proxy = select_proxy(url, get_environ_proxies(url))
    names = [f"{urlsplit(url).scheme}_proxy", "all_proxy"]
    names = [name for lower in names for name in (lower, lower.upper())]
    variable = next((name for name in names if os.environ.get(name) == proxy), None)
    return (variable or "the proxy in the system's settings", proxy) if proxy else (None, None)


def _without_password(proxy):
    return proxy.rpartition("@")[2] if "@" in proxy else proxy


def _is_bundle(path):
    where = "capath" if os.path.isdir(path) else "cafile"
    try:
        ssl.create_default_context(**{where: path})
    except OSError:  # ssl.SSLError is one, too
        return False
    return True


def _chain(error):
    """An error and all that led to it: urllib3 and requests put one into the other."""
    todo, seen = [error], []
    while todo:
        error = todo.pop(0)
        if not isinstance(error, BaseException) or any(error is other for other in seen):
            continue
        seen.append(error)
        yield error
        inside = (getattr(error, "reason", None), error.__cause__, error.__context__)
        todo += [*error.args, *inside]


def _strerror(chain):
    return next((e.strerror for e in chain if getattr(e, "strerror", None)), None)
