"""How lively the playground is, in real JupyterLab in headless Chromium.

    python benchmarks/playground_speed.py

Measures what a reader would notice, and rewrites its table in benchmarks/README.md.
"""

import argparse
import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import nbformat
import psutil
from playwright.sync_api import sync_playwright
from report import machine, table, write
from tqdm import trange

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.browser import lab_browser  # noqa: E402

# As in lesson 03, where models have been trained before the playground's cell is run.
SETUP = """
from sparse_autoencoder import KLSparsity, build_autoencoder, train
import matplotlib.pyplot as plt
import helpers
data = helpers.load_images("mnist")
model = build_autoencoder(sparsity=KLSparsity(0.05, 3), lam2=0.003)
train(model, data.x_train, data.x_validation, epochs=1, progress=False)
from sparse_autoencoder.playground import Playground
"""
PLAY = """
playground = Playground(model, data, sliders=("rho", "beta", "lam2"), idle_minutes=60)
playground
"""
PLAIN = """
import os, time
from sparse_autoencoder.playground.engine import LiveTraining
if "plain" not in globals():
    plain = LiveTraining(model, data)
    plain.train(64)
start = time.perf_counter()
for _ in range(150):
    plain.train(8)
print(os.getpid(), 1200 / (time.perf_counter() - start))
"""
# What a frame costs the kernel besides the steps, and how large it is.
FRAME = """
start = time.perf_counter()
for _ in range(50):
    playground.training.measure()
    content, buffers = playground.session.frame()
print(1000 * (time.perf_counter() - start) / 50, sum(map(len, buffers)) / 1000)
"""
# How often the features are drawn, and what all that is drawn with them costs the page.
COUNT_PICTURES = """() => {
    const features = document.querySelector('.playground-features canvas');
    const put = CanvasRenderingContext2D.prototype.putImageData;
    const next = window.requestAnimationFrame.bind(window);
    [window.pictures, window.drawing] = [0, []];
    CanvasRenderingContext2D.prototype.putImageData = function (...all) {
        if (this.canvas === features) window.pictures++;
        return put.apply(this, all);
    };
    window.requestAnimationFrame = (draw) => next((time) => {
        const [start, before] = [performance.now(), window.pictures];
        draw(time);
        if (window.pictures > before) window.drawing.push(performance.now() - start);
    });
}"""
EXPLORE = """
from sparse_autoencoder.playground import SweepExplorer
SweepExplorer(sliders=("rho", "beta"), activation="sigmoid", lam2=0.003)
"""
# From the key to the moment at which a picture with the new setting stands on the page.
WAIT = """([line, setting, slider, drawn]) => {
    const status = document.querySelector(line), before = status.dataset[setting];
    window.delay = new Promise(resolve => {
        document.querySelector(slider + ' .noUi-handle').addEventListener('keydown', () => {
            const start = performance.now();
            let pictures = null; // as many as there were when the new setting was said
            const said = new MutationObserver(() => {
                if (status.dataset[setting] !== before) pictures ??= window.pictures;
            });
            said.observe(status, {attributes: true});
            const look = () => {
                if (pictures === null || (drawn && window.pictures === pictures))
                    return setTimeout(look);
                said.disconnect();
                resolve(performance.now() - start);
            };
            look();
        }, {once: true, capture: true});
    });
}"""


def megabytes(process, address):
    """Memory of a process and its children that they do not share with others.

    The page throws away its garbage first: what it leaves to a later round is no growth.
    """
    with driven(address) as page:
        page.context.new_cdp_session(page).send("HeapProfiler.collectGarbage")
    time.sleep(10)
    family = [process, *process.children(recursive=True)]
    return sum(one.memory_info().rss - one.memory_info().shared for one in family) / 1e6


@contextlib.contextmanager
def browser():
    """A Chromium that goes on without whoever drives it; gives its process and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [lab_browser.CHROMIUM, "--headless", f"--remote-debugging-port={port}"]
        command += [f"--user-data-dir={profile}", *lab_browser.FLAGS, "about:blank"]
        process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(5)
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()


@contextlib.contextmanager
def driven(address):
    """The page of that browser, driven by Playwright until the end of the block."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.connect_over_cdp(address)
        page = chromium.contexts[0].pages[0]
        page.set_viewport_size({"width": 1280, "height": 1000})
        yield page
        chromium.close()  # which only lets go of it


def drive(page, address):
    """Measure all but the memory, and leave the playground training.

    Returns:
        name → values (first, plain, playing, pictures, delays, explorer, frame, page), and the
        kernel's process.
    """
    lab = lab_browser.Lab(page, address, "play.ipynb")
    lab.run(0)
    lab.cell(1).locator(".cm-content").click()
    start = time.perf_counter()
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".playground-features canvas")
    found = {"first": [time.perf_counter() - start], "plain": [], "playing": [], "pictures": []}

    lab.run(2)  # compiles
    for turn in range(3):
        pid, rate = lab.run(2).split()
        found["plain"].append(float(rate))
        lab.click("train")
        if turn == 0:
            page.evaluate(COUNT_PICTURES)
            lab.wait_for_state("training", timeout=60)
        page.wait_for_timeout(2000)
        before = lab.status()["step"], page.evaluate("window.pictures"), time.perf_counter()
        page.wait_for_timeout(8000)
        after = lab.status()["step"], page.evaluate("window.pictures"), time.perf_counter()
        found["playing"].append((after[0] - before[0]) / (after[2] - before[2]))
        found["pictures"].append((after[1] - before[1]) / (after[2] - before[2]))
        lab.click("train")
        lab.wait_for_state("paused")

    lab.run(3)
    found["explorer"] = press_keys(page, ".explorer-status", "setting", ".explorer-beta", False)
    found["frame"] = [float(number) for number in lab.run(4).split()]
    lab.click("train")
    lab.wait_for_state("training")
    found["delays"] = press_keys(page, lab_browser.STATUS, "beta", ".playground-beta", True)
    found["page"] = page.evaluate("window.drawing")
    return found, psutil.Process(int(pid))


def press_keys(page, line, setting, slider, drawn):
    """Milliseconds from each press of a key on a slider until the line tells the new setting.

    If `drawn`, until the features have been drawn as well.
    """
    delays = []
    for key in range(30):
        page.evaluate(WAIT, [line, setting, slider, drawn])
        page.locator(f"{slider} .noUi-handle").first.focus()
        page.keyboard.press("ArrowRight" if key % 2 == 0 else "ArrowLeft")
        delays.append(page.evaluate("window.delay"))
        page.wait_for_timeout(300)
    return delays


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10, help="of playing (%(default)s)")
    minutes = parser.parse_args().minutes
    measured_on = machine()

    folder = tempfile.mkdtemp()
    nbformat.write(lab_browser.notebook(SETUP, PLAY, PLAIN, EXPLORE, FRAME), f"{folder}/play.ipynb")
    with lab_browser.jupyterlab(folder) as address, browser() as (chromium, debugging):
        with driven(debugging) as page:
            found, kernel = drive(page, address)
        # Playwright keeps a copy of every picture that the page loads: measure without it.
        time.sleep(60)  # what is made once does not count as growth
        before = [megabytes(process, debugging) for process in (kernel, chromium)]
        for _ in trange(round(60 * minutes), unit="s", mininterval=60):
            time.sleep(1)
        after = [megabytes(process, debugging) for process in (kernel, chromium)]
        with driven(debugging) as page:
            state = page.locator(lab_browser.STATUS).get_attribute("data-state")
        assert state == "training", "it must have played all the time"

    shares = [100 * a / b for a, b in zip(found["playing"], found["plain"], strict=True)]
    rows = [
        row("pictures a second", "at least 7", found["pictures"], 1),
        row("training speed, % of a plain loop", "at least 55", shares, 0),
        row("ms from a key to its picture", "at most 150", found["delays"], 0),
        row("ms a frame takes the kernel besides the steps", "", found["frame"][:1], 1),
        row("ms a frame takes the page", "", found["page"], 1),
        row("kilobytes of a frame", "", found["frame"][1:], 0),
        row("ms from a key to the sweep explorer's picture", "at most 100", found["explorer"], 0),
        row("seconds to the first picture", "at most 1", found["first"], 2),
    ]
    for name, starts, ends in zip(("kernel", "browser"), before, after, strict=True):
        what = f"MB that the {name} grew in {minutes:g} minutes, from {starts:.0f}"
        rows.append(row(what, "at most 10", [ends - starts], 0))
    text = f"{measured_on}\n\n" + table(["what", "goal", "median", "from–to"], rows)
    print(text)
    if minutes >= 10:
        write(text, "playground_speed.py")


def row(what, goal, values, digits):
    spread = f"{min(values):.{digits}f}–{max(values):.{digits}f}" if len(values) > 1 else ""
    return [what, goal, f"{median(values):.{digits}f}", spread]


if __name__ == "__main__":
    main()
