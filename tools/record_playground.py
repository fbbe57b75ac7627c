"""Record data/playground.gif, the moving picture in the README, from the real browser.

python -m tools.record_playground
"""

import io
import tempfile
from pathlib import Path

import nbformat
from PIL import Image

from tools import lab_browser

GIF = Path(__file__).parent.parent / "data" / "playground.gif"
SETUP = """
from sparse_autoencoder import KLSparsity, build_autoencoder
import helpers
from playground import Playground
data = helpers.load_mnist("mnist")
model = build_autoencoder(sparsity=KLSparsity(0.05, 3), lam2=0.003)
"""
PLAY = """
playground = Playground(model, data, sliders=("rho", "beta", "lam2"))
playground
"""
WIDTH = 720  # pixels of the recording
COLORS = 80


def main():
    folder = tempfile.mkdtemp()
    nbformat.write(lab_browser.notebook(SETUP, PLAY), f"{folder}/play.ipynb")
    with lab_browser.jupyterlab(folder) as address, lab_browser.chromium(1280, 1100) as page:
        lab = lab_browser.Lab(page, address, "play.ipynb")
        lab.run(0)
        lab.run(1)
        frames = []

        def film(frame_count, pause=350):
            for _ in range(frame_count):
                picture = page.locator(".playground").screenshot(animations="disabled")
                frames.append(Image.open(io.BytesIO(picture)).convert("RGB"))
                page.wait_for_timeout(pause)

        film(1)
        lab.click("train")
        lab.wait_for_state("training", timeout=60)
        film(10)  # strokes appear
        for _ in range(12):  # β down to "off"
            lab.press("beta", "ArrowLeft")
        film(6)  # the mean activations spread
        for _ in range(7):
            lab.press("beta", "ArrowRight")
        film(6)  # and come back
    height = round(WIDTH * min(f.height for f in frames) / frames[0].width)
    crop = (0, 0, frames[0].width, min(f.height for f in frames))
    small = [f.crop(crop).resize((WIDTH, height), Image.Resampling.LANCZOS) for f in frames]
    palette = small[len(small) // 2].quantize(COLORS)
    first, *rest = [f.quantize(palette=palette, dither=Image.Dither.NONE) for f in small]
    first.save(GIF, save_all=True, append_images=rest, duration=450, loop=0, optimize=True)
    print(f"{GIF.name}: {len(small)} frames, {GIF.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
