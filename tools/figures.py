"""Draw the pictures in data/ that no lesson draws.

    python -m tools.figures readme       # data/features.png, of four models; three minutes
    python -m tools.figures broken       # data/broken_runs.png, of an exercise; two minutes
    python -m tools.figures recording    # data/playground.gif, from a real browser

All of them need MNIST.
"""

import io
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
from PIL import Image

import helpers
from sparse_autoencoder import KLSparsity, build_autoencoder, keras, kl_divergence, studies, train

PLAY = """
from sparse_autoencoder import KLSparsity, build_autoencoder
from sparse_autoencoder.playground import Playground
import helpers
data = helpers.load_images("mnist")
model = build_autoencoder(sparsity=KLSparsity(0.05, 3), lam2=0.003)
Playground(model, data, sliders=("rho", "beta", "lam2"))
"""


def readme():
    """The features of four models, above the README."""
    settings = {
        "MSE": "MSE alone",
        "MSE + L2": "+ L2",
        "MSE + L2 + KLD": "+ L2 + KL (the source's ρ, β)",
        "MSE + L2 + KLD, sparser": "+ L2 + KL, sparser",
    }
    data = helpers.load_images("mnist")
    figure, axes = plt.subplots(1, 4, figsize=(12, 3.4))
    for ax, (setting, title) in zip(axes, settings.items(), strict=True):
        keras.utils.set_random_seed(0)
        model = studies.build(studies.SETTINGS[setting])
        train(model, data.x_train, data.x_validation)
        helpers.show_features(model.encoder.kernel.numpy(), 49, 7, title=title, ax=ax)
    figure.savefig(helpers.DATA / "features.png", bbox_inches="tight", pad_inches=0.04)


class WrongAxis(KLSparsity):
    """A KL penalty that asks every image, not every unit, for a mean activation of ρ."""

    def call(self, code):
        rho_hat = keras.ops.mean(code, axis=1)
        self.add_loss(self.beta * keras.ops.sum(kl_divergence(self.rho, rho_hat)))
        return code


class PerActivation(KLSparsity):
    """A KL penalty that takes KL of every activation before it averages over images."""

    def call(self, code):
        kl = kl_divergence(self.rho, code)
        self.add_loss(self.beta * keras.ops.sum(keras.ops.mean(kl, axis=0)))
        return code


def broken():
    """Four runs with a fault each, for an exercise of lesson 03.

    Which run has which fault stands in the picture's own text, under "A" to "D".
    """
    runs = {
        "KL of every activation": (PerActivation(0.05, 3.0), 3e-3),
        "learning rate 0.3": (KLSparsity(0.05, 3.0), 0.3),
        "mean over the wrong axis": (WrongAxis(0.05, 3.0), 3e-3),
        "beta = 0": (KLSparsity(0.05, 0.0), 3e-3),
    }
    data = helpers.load_images("mnist")
    digits = data.x_validation[:8]
    figure, axes = plt.subplots(4, 2, figsize=(9, 6.2), height_ratios=[3, 2, 3, 2])
    pairs = axes.reshape(2, 2, 2).swapaxes(1, 2).reshape(4, 2)  # features above drawings
    for name, (penalty, rate), (top, bottom) in zip("ABCD", runs.values(), pairs, strict=True):
        keras.utils.set_random_seed(0)
        model = build_autoencoder(sparsity=penalty, lam2=0.003)
        train(model, data.x_train, data.x_validation, epochs=5, learning_rate=rate)
        helpers.show_features(model.encoder.kernel.numpy(), 24, 8, title=name, ax=top)
        helpers.show_reconstructions(digits, model(digits).numpy(), 8, ax=bottom)
        bottom.set_yticks([])
    answers = dict(zip("ABCD", runs, strict=True))
    figure.savefig(helpers.DATA / "broken_runs.png", metadata=answers)


SEVEN = ((0.25, 0.25), (0.75, 0.25), (0.65, 0.4), (0.55, 0.6), (0.45, 0.85))  # shares of the pad


def recording():
    """The playground as it trains, a feature pointed at, β moved, a digit drawn: for the README."""
    from tests.browser import lab_browser

    frames = []

    def film(count):
        for _ in range(count):
            picture = page.locator(".playground").screenshot(animations="disabled")
            frames.append(Image.open(io.BytesIO(picture)).convert("RGB"))
            page.wait_for_timeout(350)

    def point(name, *places):
        """Press at the first place, a share of an element's width and height; move to others."""
        box = page.locator(f".playground-{name}").bounding_box()
        for number, (x, y) in enumerate(places):
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8)
            if number == 0:
                page.mouse.down()
            film(number % 2)
        page.mouse.up()

    with tempfile.TemporaryDirectory() as folder:
        nbformat.write(lab_browser.notebook(PLAY), Path(folder, "play.ipynb"))
        with lab_browser.jupyterlab(folder) as address, lab_browser.chromium(1366, 1100) as page:
            lab = lab_browser.Lab(page, address, "play.ipynb")
            lab.run(0)
            film(1)
            lab.click("train")
            lab.wait_for_state("training", timeout=60)
            film(8)  # strokes appear
            point("features", (0.5, 0.3))  # one of them is looked at
            film(4)
            for key, presses in (("ArrowLeft", 12), ("ArrowRight", 7)):  # mean activations spread,
                for _ in range(presses):
                    lab.press("beta", key)
                film(6)  # and come back
            page.locator(".playground-tabs input[value=drawing]").check()
            point("pad", *SEVEN)
            film(4)
    width, height = frames[0].width, min(frame.height for frame in frames)
    size = (760, round(760 * height / width))
    small = [f.crop((0, 0, width, height)).resize(size, Image.Resampling.LANCZOS) for f in frames]
    palette = small[len(small) // 2].quantize(64)
    first, *rest = [f.quantize(palette=palette, dither=Image.Dither.NONE) for f in small]
    file = helpers.DATA / "playground.gif"
    first.save(file, save_all=True, append_images=rest, duration=450, loop=0, optimize=True)


if __name__ == "__main__":
    drawn = {"readme": readme, "broken": broken, "recording": recording}
    if len(sys.argv) < 2 or set(sys.argv[1:]) - set(drawn):
        sys.exit(__doc__)
    for name in sys.argv[1:]:
        drawn[name]()
