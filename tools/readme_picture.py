"""Draw the README's picture: the features of four models, from a fresh run on real MNIST."""

from pathlib import Path

import keras
import matplotlib
import matplotlib.pyplot as plt

import experiments
import helpers
from sparse_autoencoder import train

ROOT = Path(__file__).parent.parent
SHOWN = {
    "MSE": "MSE alone",
    "MSE + L2": "+ L2",
    "MSE + L2 + KLD": "+ L2 + KL (the source's ρ, β)",
    "MSE + L2 + KLD, sparser": "+ L2 + KL, sparser",
}


def main():
    matplotlib.rc_file(ROOT / "notebooks" / "matplotlibrc")
    data = helpers.load_mnist("mnist")
    figure, axes = plt.subplots(1, 4, figsize=(12, 3.4))
    for ax, (setting, title) in zip(axes, SHOWN.items(), strict=True):
        keras.utils.set_random_seed(0)
        model = experiments.build(setting)
        train(model, data.x_train, data.x_validation)
        helpers.show_features(model.encoder.kernel.numpy(), 49, 7, title=title, ax=ax)
    figure.savefig(ROOT / "data" / "features.png", bbox_inches="tight", pad_inches=0.04)


if __name__ == "__main__":
    main()
