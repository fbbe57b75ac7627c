"""How fast the live page trains, in headless Chromium.

    python benchmarks/live_speed.py

Measures what a reader would notice, and rewrites its table in benchmarks/README.md.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from report import machine, table, write

sys.path.insert(0, str(Path(__file__).parent.parent))
from sparse_autoencoder.images import load_images  # noqa: E402
from sparse_autoencoder.playground import controls  # noqa: E402
from tests.browser import lab_browser  # noqa: E402
from tools import live  # noqa: E402

# Steps a second without pictures, of both kinds of kernels in turn, in a worker.
ALONE = """({ config, images, wasm, rounds }) => {
  const bytes = unpacked(images);
  const parts = { train: bytes, validation: bytes, pixels: 784 };
  const { settings } = config.models.kl;
  const kinds = [unpacked(wasm), null].map((each) => new Training(config, settings, parts, each));
  return Array.from({ length: rounds }, () => kinds.map((training) => {
    const start = performance.now();
    let steps = 0;
    for (; performance.now() - start < 1000; steps++) training.train();
    return (1000 * steps) / (performance.now() - start);
  }));
}"""
IN_A_WORKER = """({ source, given }) => new Promise((resolve) => {
  const worker = new Worker(URL.createObjectURL(new Blob([source])));
  worker.onmessage = ({ data }) => resolve(data);
  worker.postMessage(given);
})"""
COUNT_PICTURES = """() => {
  const features = document.querySelector(".playground-features canvas");
  const put = CanvasRenderingContext2D.prototype.putImageData;
  window.pictures = 0;
  CanvasRenderingContext2D.prototype.putImageData = function (...all) {
    window.pictures += this.canvas === features;
    return put.apply(this, all);
  };
}"""
# From the key to the moment at which a picture with the new setting stands on the page.
WAIT = """() => {
  const { dataset } = document.querySelector(".playground-status");
  const { beta } = dataset;
  window.delay = new Promise((resolve) => addEventListener("keydown", () => {
    const start = performance.now();
    let pictures = null; // as many as there were when the new setting was said
    const look = () => {
      if (dataset.beta !== beta) pictures ??= window.pictures;
      if (pictures !== null && window.pictures > pictures) resolve(performance.now() - start);
      else setTimeout(look);
    };
    look();
  }, { once: true, capture: true }));
}"""


def alone(page, data, rounds):
    """Steps a second with WebAssembly, and with plain JavaScript, in turn."""
    engine = controls.script(live.PARTS, *live.WORKER)
    source = f"const run = ((WorkerGlobalScope) => {{\n{engine}\nreturn {ALONE};\n}})();"
    source += "onmessage = ({ data }) => postMessage(run(data));"
    images = live.in_base64(live.image_bytes(data)[:2000].tobytes())
    wasm = live.in_base64((live.PARTS / "kernels.wasm").read_bytes())
    given = {"config": live.config(data), "images": images, "wasm": wasm, "rounds": rounds}
    page.goto("about:blank")
    return list(zip(*page.evaluate(IN_A_WORKER, {"source": source, "given": given}), strict=True))


def play(page, file, rounds):
    """Steps and pictures a second, seconds to step 1,000, and milliseconds from key to picture."""
    page.goto(file.as_uri())
    page.wait_for_selector(".playground-status[data-step]")
    page.evaluate(COUNT_PICTURES)
    now = "() => [+document.querySelector('.playground-status').dataset.step, window.pictures]"
    start = time.perf_counter()
    page.locator(".playground-train").click()
    page.wait_for_function(f"({now})()[0] >= 1000")
    found = {"thousand": [time.perf_counter() - start], "steps": [], "pictures": []}
    for _ in range(rounds):
        before, start = page.evaluate(now), time.perf_counter()
        page.wait_for_timeout(4000)
        after, seconds = page.evaluate(now), time.perf_counter() - start
        for name, one, two in zip(("steps", "pictures"), before, after, strict=True):
            found[name].append((two - one) / seconds)
    page.locator(".playground-beta input").focus()
    found["delays"] = delays(page, 8 * rounds)
    slow = page.context.new_cdp_session(page)
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    found["slow"] = delays(page, 4 * rounds)
    slow.detach()
    return found


def delays(page, keys):
    """Milliseconds from a key on the slider that has the focus to its picture."""
    found = []
    for key in range(keys):
        page.evaluate(WAIT)
        page.keyboard.press("ArrowRight" if key % 2 == 0 else "ArrowLeft")
        found.append(page.evaluate("window.delay"))
        page.wait_for_timeout(300)
    return found


def row(what, goal, values, digits=0):
    ends = f"{min(values):.{digits}f}–{max(values):.{digits}f}" if len(values) > 1 else ""
    return [what, goal, f"{median(values):.{digits}f}", ends]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="of measuring (%(default)s)")
    parser.add_argument("--dry", action="store_true", help="print only")
    args = parser.parse_args()
    measured_on, data = machine(), load_images()
    with tempfile.TemporaryDirectory() as folder, lab_browser.chromium() as page:
        found = play(page, live.make(Path(folder) / "live.html", data), args.rounds)
        wasm, plain = alone(page, data, args.rounds)
        version = page.context.browser.version
    ratios = [one / two for one, two in zip(wasm, plain, strict=True)]
    rows = [
        row("steps a second, playing", "at least 60", found["steps"]),
        row("steps a second without pictures", "", wasm),
        row("the same in plain JavaScript", "", plain),
        row("how many times faster WebAssembly is", "", ratios, 1),
        row("pictures a second", "at least 7", found["pictures"], 1),
        row("seconds to step 1,000, where strokes show", "at most 20", found["thousand"], 1),
        row("ms from a key to its picture", "at most 100", found["delays"]),
        row("the same in a page whose processor is 4 times slower", "at most 200", found["slow"]),
    ]
    text = f"{measured_on} Chromium {version}.\n\n"
    text += table(["what", "goal", "median", "from–to"], rows)
    print(text)
    if not args.dry:
        write(text, "live_speed.py")


if __name__ == "__main__":
    main()
