"""What the playground shows as a matplotlib figure, for those who read without running."""

import matplotlib.pyplot as plt
import numpy as np

from ..figures import FIGURE_SIZES, show_features, show_images
from ..vocabulary import TERMS, VERMILION

COUNT = 10  # images, and features in a row


def still(training, steps, image_shape):
    """A matplotlib figure of what a training shows after some steps from the start.

    Args:
        training: an engine.LiveTraining, which afterwards is where it was.
        steps: how many.
        image_shape: height and width of an image.

    Raises:
        FloatingPointError: the loss is no longer finite after these steps.
    """
    with training.aside():
        training.reset()
        training.off = frozenset()
        figures = training.train_and_measure(steps)
        fig = plt.figure(figsize=FIGURE_SIZES["large"])
        left, right = fig.subfigures(1, 2, width_ratios=(1, 1.1))
        above, below = left.subplots(2, 1, height_ratios=(5, 1))
        _draw_pictures(training, image_shape, above, below)
        curves, bars = right.subplots(2, 1)
        _draw_curves(training.history, curves)
        _draw_histogram(training.histogram, bars)
        fig.suptitle(training.in_words(figures), fontsize=10)
    return fig


def _draw_pictures(training, image_shape, above, below):
    title = f"{min(COUNT**2, training.features.shape[1])} features after {training.step:,} steps"
    show_features(training.features, COUNT**2, COUNT, image_shape, title, above)
    pairs = np.concatenate([training.shown[:COUNT], training.reconstructions[:-1][:COUNT]])
    show_images(pairs, len(pairs) // 2, image_shape, "originals over reconstructions", below)


def _draw_curves(history, ax):
    steps = [step for step, _ in history]
    for key, term in TERMS.items():
        values = [terms.get(key, 0) for _, terms in history]
        if any(values):
            ax.plot(steps, values, label=term.label, color=term.color, linestyle=term.linestyle)
    ax.set(xlabel="step", ylabel="loss term", yscale="log")
    ax.legend(loc="upper right")


def _draw_histogram(histogram, ax):
    ax.hist(histogram.values, bins=50, range=(0, histogram.upper))
    ax.set(xlabel=histogram.label, ylabel=histogram.counted)
    if histogram.target is not None:
        name = f"target ρ = {histogram.target:g}"
        ax.axvline(histogram.target, color=VERMILION, linestyle="--", label=name)
        ax.legend(loc="upper right")
