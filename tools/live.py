"""Make the page that trains an autoencoder without Python: one file, build/live.html.

    python -m tools.live              the page
    python -m tools.live --kernels    site/live/kernels.wasm anew, with Debian's clang and lld

It opens by a double click: engine, kernels, images and the playground's view stand in it. Its
parts lie in site/live: engine.js answers the view as the playground's session does, training.js
trains, kernels.c holds the loops that take the time, page.js the sliders and the address.
"""

import base64
import gzip
import json
import math
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import jinja2
import numpy as np

from sparse_autoencoder.images import load_images
from sparse_autoencoder.measures import active_above
from sparse_autoencoder.playground import controls, engine, frames, session
from sparse_autoencoder.studies.settings import SETTINGS
from sparse_autoencoder.vocabulary import HYPERPARAMETERS, PRESETS, TERMS

ROOT = Path(__file__).parent.parent
PARTS = ROOT / "site" / "live"
WORKER = "kernels.js", "settings.js", "training.js", "digit.js", "engine.js"
CLANG = "clang --target=wasm32 -O3 -msimd128 -nostdlib -ffreestanding -Wl,--no-entry"
CLANG += " -Wl,--import-memory -Wl,--strip-all -Wl,--stack-first"

TRAINING_IMAGES, BATCH, UNITS = 10_000, 32, 196
MODELS = {
    "kl": ("Sigmoid code, KL penalty", "MSE + L2 + KLD, sparser"),
    "l1": ("ReLU code, L1 penalty", "ReLU + L1 + L2"),
}
CREDIT = {
    "MNIST": "The images are the first of MNIST, put together by Yann LeCun, Corinna Cortes and "
    "Christopher J. C. Burges (CC BY-SA 3.0).",
    "digits": "MNIST was not at hand when this page was made: the images are scikit-learn's "
    "digits, 8×8 pixels enlarged.",
}


def config(data):
    """What page and engine must know, and the package knows already, for such ImageData."""
    hyperparameters, models = {}, {}
    for key in ("learning_rate", "rho", "beta", "lam1", "lam2"):
        one = HYPERPARAMETERS[key]
        more = {"label": one.label, "high": one.high if math.isfinite(one.high) else None}
        hyperparameters[key] = asdict(one) | more
    for name, (title, setting) in MODELS.items():
        chosen = {key: value for key, value in SETTINGS[setting].items() if key in hyperparameters}
        settings = {"learning_rate": 3e-3} | chosen | {"seed": 0}
        models[name] = {"title": title, "settings": settings}
    return {
        "hyperparameters": hyperparameters,
        "models": models,
        "presets": PRESETS,
        "terms": {key: asdict(term) for key, term in TERMS.items()},
        "active_above": {name: active_above(name) for name in ("sigmoid", "relu")},
        "speeds": {name: 1000 * seconds for name, seconds in session.SPEEDS.items()},
        "hurry": 1000 * session.HURRY,
        "one_step": session.ONE_STEP,
        "gone": 1000 * session.GONE,
        "idle_minutes": 10,
        **{"points": engine.POINTS, "pictured": engine.PICTURED, "columns": frames.COLUMNS},
        **{"drawing": frames.DRAWING, "bins": frames.BINS, "batch": BATCH, "units": UNITS},
        "image_shape": data.image_shape,
        "training_images": min(TRAINING_IMAGES, len(data.x_train)),
    }


def in_base64(content):
    return base64.b64encode(content).decode()


def image_bytes(data):
    """Training images, then validation images, a byte a pixel: (images, pixels)."""
    parts = data.x_train[:TRAINING_IMAGES], data.x_validation[: engine.SHOWN]
    return np.uint8(np.rint(255 * np.concatenate(parts)))


def view_script(names):
    """Modules of the playground as a script that gives the view to `view`."""
    module = controls.script(controls.HERE, *names).replace("export default", "return")
    return f"const view = (() => {{\n{module}\n}})();"


def compile_kernels(to=PARTS / "kernels.wasm"):
    """Compile kernels.c."""
    subprocess.run([*CLANG.split(), "-o", to, PARTS / "kernels.c"], check=True)


def make(file, data):
    """Write the page to a file, a Path, with images of ImageData; returns the path."""
    known = config(data)
    styles = [controls.HERE / "view.css", PARTS / "page.css"]
    parts = {
        "config": known,
        "json": json.dumps(known, ensure_ascii=False),
        "credit": CREDIT[data.name],
        "styles": "\n".join(path.read_text(encoding="utf-8") for path in styles),
        "engine": controls.script(PARTS, *WORKER),
        "view": view_script(controls.VIEW),
        "page": controls.script(PARTS, "settings.js", "page.js"),
        "images": in_base64(gzip.compress(image_bytes(data).tobytes(), mtime=0)),
        "wasm": in_base64((PARTS / "kernels.wasm").read_bytes()),
    }
    for name in ("json", "engine", "view", "page"):
        assert "</script" not in parts[name], f"{name} would end its own element"
    template = (PARTS / "page.html.j2").read_text(encoding="utf-8")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(jinja2.Template(template).render(parts), encoding="utf-8")
    return file


if __name__ == "__main__":
    if "--kernels" in sys.argv:
        compile_kernels()
    else:
        print(make(ROOT / "build" / "live.html", load_images()))
