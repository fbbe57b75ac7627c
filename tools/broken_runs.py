"""Train the four broken models of lesson 03's exercises, and draw data/broken_runs.png.

    python -m tools.broken_runs      # needs MNIST; two minutes

Which run has which fault stands in the picture's own text (PNG key "A" to "D").
"""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

import helpers
from sparse_autoencoder import KLSparsity, build_autoencoder, keras, kl_divergence, ops, train

SETTINGS = {"rho": 0.05, "beta": 3.0}
LAM2, LEARNING_RATE, EPOCHS = 0.003, 3e-3, 5


class WrongAxis(KLSparsity):
    """Averages over units: asks every image, not every unit, for a mean activation of ρ."""

    def call(self, code):
        rho_hat = ops.mean(code, axis=1)
        self.add_loss(self.beta * ops.sum(kl_divergence(self.rho, rho_hat)))
        return code


class PerActivation(KLSparsity):
    """Takes KL of every activation before it averages over images."""

    def call(self, code):
        kl = kl_divergence(self.rho, code)
        self.add_loss(self.beta * ops.sum(ops.mean(kl, axis=0)))
        return code


RUNS = {
    "KL of every activation": (PerActivation(**SETTINGS), LEARNING_RATE),
    "learning rate 0.3": (KLSparsity(**SETTINGS), 0.3),
    "mean over the wrong axis": (WrongAxis(**SETTINGS), LEARNING_RATE),
    "beta = 0": (KLSparsity(rho=SETTINGS["rho"], beta=0), LEARNING_RATE),
}


def main():
    data = helpers.load_mnist("mnist")
    plt.style.use(helpers.RESULTS.parent.parent / "notebooks" / "matplotlibrc")
    digits = data.x_validation[:5]
    fig, axes = plt.subplots(2, 4, figsize=(9, 2.8), height_ratios=[1.5, 1])
    for run, (penalty, learning_rate), (top, bottom) in zip(
        "ABCD", RUNS.values(), axes.T, strict=True
    ):
        keras.utils.set_random_seed(0)
        model = build_autoencoder(sparsity=penalty, lam2=LAM2)
        train(
            model, data.x_train, data.x_validation, EPOCHS, learning_rate=learning_rate,
            progress=False,
        )  # fmt: skip
        helpers.show_features(model.encoder.kernel.numpy(), 40, 8, title=run, ax=top)
        helpers.show_reconstructions(digits, model(digits).numpy(), 5, ax=bottom)
        bottom.set_yticks([])
    fig.savefig(
        helpers.RESULTS.with_name("broken_runs.png"),
        metadata=dict(zip("ABCD", RUNS, strict=True)),
    )


if __name__ == "__main__":
    main()
