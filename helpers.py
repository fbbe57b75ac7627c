"""What would distract in a lesson: loading the data, and drawing pictures of plain arrays.

Every drawing function returns the Axes it drew on. The style is notebooks/matplotlibrc.
"""

from pathlib import Path

import numpy as np

from image_data import ImageData, load_fashion_mnist, load_mnist

__all__ = ["ImageData", "load_fashion_mnist", "load_mnist"]

RESULTS = Path(__file__).parent / "data" / "results.csv"
SWEEP_RESULTS = RESULTS.with_name("sweep.csv")
SWEEP_PICTURES = RESULTS.with_name("sweep")  # for each setting of sweep.csv
FIGURE_SIZES = {"small": (5, 3.2), "wide": (9, 3), "large": (9, 4.8)}  # inches


def sweep():
    """data/sweep.csv as a pandas DataFrame: a row for each setting, figures averaged over seeds.

    A penalty that a setting lacks has weight 0; its ρ is missing (NaN).
    """
    import pandas as pd

    runs = pd.read_csv(SWEEP_RESULTS)
    penalties = ["beta", "lam1", "lam2"]
    runs[penalties] = runs[penalties].fillna(0.0)
    by_setting = runs.groupby("setting", sort=False)
    axes = ["activation", "rho", *penalties, "hidden_units", "batch_size"]
    figures = by_setting.mean(numeric_only=True).drop(columns=["seed", *axes[1:]])
    return figures.join(by_setting[axes].first()).assign(seeds=by_setting.size())


def sweep_picture(setting, kind):
    """The file with the "features" or the "reconstructions" of a setting of the sweep."""
    return SWEEP_PICTURES / f"{setting.replace(' ', '_')}_{kind}.png"


def _axes(ax, size="wide"):
    """The axes to draw on: the given ones, or new ones in one of the course's three sizes."""
    import matplotlib.pyplot as plt  # here, so that importing helpers stays quick

    return ax if ax is not None else plt.subplots(figsize=FIGURE_SIZES[size])[1]


def mosaic(images, columns, image_shape=(28, 28), gap=1, fill=0.0):
    """Many small images as one picture: (n, pixels) → (rows·height, columns·width) with gaps."""
    height, width = image_shape
    rows = -(-len(images) // columns)
    picture = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), fill)
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        picture[top : top + height, left : left + width] = np.reshape(image, image_shape)
    return picture


def _show(picture, ax, title, **how):
    ax.imshow(picture, **how)
    ax.set(xticks=[], yticks=[], title=title or "")
    ax.spines[:].set_visible(False)
    ax.grid(False)
    return ax


def show_images(images, columns=15, image_shape=(28, 28), title=None, ax=None):
    """Images, (n, pixels) in [0, 1], side by side in rows of `columns`; returns the Axes."""
    picture = mosaic(images, columns, image_shape, fill=0.5)
    return _show(picture, _axes(ax), title, cmap="gray", vmin=0, vmax=1)


def show_reconstructions(images, reconstructions, count=15, image_shape=(28, 28), ax=None):
    """The first `count` images above their reconstructions, both (n, pixels); returns the Axes."""
    both = np.concatenate([images[:count], reconstructions[:count]])
    ax = show_images(both, count, image_shape, ax=ax)
    height = image_shape[0]
    ax.set_yticks([height / 2, height * 1.5 + 1], ["original", "reconstruction"])
    ax.tick_params(length=0)
    return ax


def show_features(weights, count=None, columns=28, image_shape=(28, 28), title=None, ax=None):
    """Features as images on a map symmetric about 0; returns the Axes.

    Args:
        weights: (pixels, units), a column of W1 (or of W2 transposed) for each hidden unit.
        count: how many units, from the first; all by default.

    Each feature is divided by its largest weight, so a weak one shows as clearly as a strong one.
    """
    features = np.array(weights[:, :count].T, dtype=np.float64)
    features /= np.maximum(np.abs(features).max(axis=1, keepdims=True), 1e-12)
    picture = mosaic(features, columns, image_shape)
    return _show(picture, _axes(ax, "large"), title, cmap="RdBu_r", vmin=-1, vmax=1)


# Term of the loss → name, colour and dashes, the same in every plot and on the playground.
TERMS = {
    "loss": ("loss (total)", "#000000", (0, (8, 2))),
    "sse": ("SSE", "#0072B2", "-"),
    "l2": ("L2 term", "#009E73", "-."),
    "kl": ("KL term", "#D55E00", "--"),
    "l1": ("L1 term", "#CC79A7", ":"),
    "l0": ("L0 term", "#CC79A7", ":"),
    "aux": ("aux term", "#E69F00", (0, (5, 1, 1, 1, 1, 1))),
}


def plot_loss_terms(history, ax=None):
    """Every term of the loss over epochs, each as its own curve on a log axis; returns the Axes.

    Args:
        history: name → values per epoch, as in Keras' History.history; names that start with
            "val_" are drawn as open markers in the colour of their training curve.

    A term has the same colour and dashes whatever stands beside it.
    """
    ax = _axes(ax)
    drawn = [term for term in TERMS if term in history]
    if len(history.get("sse", ())) and np.array_equal(history["sse"], history.get("loss")):
        drawn.remove("loss")  # the same curve twice
    for term in drawn:
        name, color, dashes = TERMS[term]
        epochs = np.arange(1, len(history[term]) + 1)
        ax.plot(epochs, history[term], label=name, color=color, linestyle=dashes)
        if f"val_{term}" in history:
            ax.plot(epochs, history[f"val_{term}"], "o", mfc="white", color=color)
    if any(name.startswith("val_") for name in history):
        ax.plot([], [], "o", mfc="white", color="gray", label="validation")
    ax.set(xlabel="epoch", ylabel="loss term", yscale="log")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))  # beside the curves, never on them
    return ax


def plot_mean_activation(rho_hat, rho=None, label=None, ax=None):
    """Histogram over hidden units of the mean activation ρ̂, (units,), with the target ρ as a line.

    Returns the Axes.
    """
    ax = _axes(ax, "small")
    ax.hist(rho_hat, bins=np.linspace(0, max(1.0, np.max(rho_hat)), 51), label=label, alpha=0.7)
    if rho is not None:
        ax.axvline(rho, color="#D55E00", linestyle="--", label=f"target ρ = {rho:g}")
    ax.set(xlabel="mean activation ρ̂ of a hidden unit", ylabel="hidden units")
    if label or rho is not None:
        ax.legend()
    return ax


def plot_activations(code, ax=None):
    """The activations of one image, (units,), one bar for each hidden unit; returns the Axes."""
    ax = _axes(ax)
    ax.bar(np.arange(len(code)), code, width=1.0)
    ax.set(xlabel="hidden unit", ylabel="activation", xlim=(-1, len(code)))
    return ax


def show_codes(codes, title=None, ax=None, label="activation"):
    """Activations of a batch, (n, units), as a picture: a row an image; returns the Axes."""
    ax = _show(codes, _axes(ax), title, cmap="viridis", vmin=0, aspect="auto")
    ax.set(xlabel="hidden unit", ylabel="image")
    ax.figure.colorbar(ax.images[0], ax=ax, label=label)
    return ax


def show_exciting_images(images, code, unit, count=9, image_shape=(28, 28), ax=None):
    """The `count` images that excite a hidden unit most, strongest first; returns the Axes.

    Args:
        images: (n, pixels). code: (n, units), of the same images. unit: its number.
    """
    strongest = np.argsort(-code[:, unit], kind="stable")[:count]
    title = f"images that excite hidden unit {unit} most"
    return show_images(images[strongest], count, image_shape, title, ax)


# key in data/results.csv and measures.score → column title and decimals
SCORECARD_COLUMNS = {
    "sse_test": ("test SSE", 2),
    "mean_activation": ("mean ρ̂", 3),
    "active_units": ("active units", 1),
    "dead_units": ("dead units", 0),
    "probe_10": ("probe %, 10 labels per class", 1),
    "probe_100": ("probe %, 100 labels per class", 1),
    "seconds": ("seconds to train", 0),
}


def scorecard(live, data_name, earlier=()):
    """The table at a lesson's end, one row a model, as a pandas DataFrame of text.

    Args:
        live: model name → its figures (see measures.score), of one seed.
        data_name: what they were measured on, such as data.name.
        earlier: settings to show from data/results.csv, as mean ± sd over seeds on MNIST.

    Raises:
        KeyError: data/results.csv has no such setting.
    """
    import pandas as pd

    rows = {}
    if earlier:
        runs = pd.read_csv(RESULTS)
        for setting in earlier:
            of_setting = runs[runs.setting == setting]
            if of_setting.empty:
                raise KeyError(f"data/results.csv has no setting {setting!r}: run `make results`.")
            rows[setting] = {"measured on": f"MNIST, n = {len(of_setting)}"}
            for key, (column, digits) in SCORECARD_COLUMNS.items():
                rows[setting][column] = _mean_and_sd(of_setting[key].dropna(), digits)
            # Those trained side by side, one core each: no measure of how long a reader waits.
            rows[setting]["seconds to train"] = "–"
    for name, figures in live.items():
        rows[f"{name} "] = {"measured on": f"{data_name}, this run"}
        for key, (column, digits) in SCORECARD_COLUMNS.items():
            values = [figures[key]] if figures.get(key) is not None else []
            rows[f"{name} "][column] = _mean_and_sd(np.array(values), digits)
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.rename_axis("model")[[*table.columns[1:], "measured on"]]


def _mean_and_sd(values, digits):
    """Text such as "74.6 ± 1.4"; a lone value, or the same value each time, has no ±.

    Where the ± would round to 0, both get one digit more.
    """
    if len(values) == 0:
        return "–"
    if len(values) == 1 or np.ptp(values) == 0:
        return f"{np.mean(values):.{digits}f}"
    sd = np.std(values, ddof=1)
    digits += float(f"{sd:.{digits}f}") == 0
    return f"{np.mean(values):.{digits}f} ± {sd:.{digits}f}"
