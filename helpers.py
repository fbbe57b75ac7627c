"""What would distract in a lesson: loading the data, and drawing pictures of plain arrays.

Every drawing function returns the Axes it drew on. Importing this module gives all figures the
style of the course.
"""

import io

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.colors import PowerNorm

from sparse_autoencoder.arrays import as_numbers
from sparse_autoencoder.features import perpendicular
from sparse_autoencoder.figures import FIGURE_SIZES as FIGURE_SIZES
from sparse_autoencoder.figures import as_pixels, axes_or_new, show_picture, use_style
from sparse_autoencoder.figures import mosaic as mosaic
from sparse_autoencoder.figures import show_features as show_features
from sparse_autoencoder.figures import show_features_by_use as show_features_by_use
from sparse_autoencoder.figures import show_images as show_images
from sparse_autoencoder.images import ImageData as ImageData
from sparse_autoencoder.images import load_images as load_images
from sparse_autoencoder.tables import DATA as DATA
from sparse_autoencoder.tables import sweep as sweep
from sparse_autoencoder.tables import sweep_picture as sweep_picture
from sparse_autoencoder.tables import table as table
from sparse_autoencoder.vocabulary import SCORECARD, TERMS, VERMILION

BASELINE = "pixels"  # what every code has to beat

use_style()


def show_reconstructions(images, reconstructions, count=15, image_shape=(28, 28), ax=None):
    """The first `count` images above their reconstructions, both (n, pixels); returns the Axes.

    Args:
        images: (n, pixels).
        reconstructions: (n, pixels), of the same images.
        count: how many are shown, or all where there are fewer.
        image_shape: height and width of an image in pixels.
        ax: the axes to draw on; new ones by default.

    Raises:
        ValueError: there is not one reconstruction for each image that is shown, of the same size.
    """
    images, image_shape = as_pixels(images, image_shape)
    reconstructions, _ = as_pixels(reconstructions, image_shape)
    pair = (images[:count], reconstructions[:count])
    images, reconstructions = (x.reshape(len(x), -1) for x in pair)
    if images.shape != reconstructions.shape:
        raise ValueError(
            f"Images of shape {images.shape} cannot stand above reconstructions of shape "
            f"{reconstructions.shape}: there must be one for each, of the same size."
        )
    both = np.concatenate([images, reconstructions])
    ax = show_images(both, len(both) // 2, image_shape, ax=ax)
    height = image_shape[0]
    ax.set_yticks([height / 2, height * 1.5 + 1], ["original", "reconstruction"])
    ax.tick_params(length=0)
    return ax


def plot_loss_terms(history, ax=None):
    """Every term of the loss over epochs, each as its own curve on a log axis; returns the Axes.

    A term has the same colour and dashes whatever stands beside it.

    Args:
        history: name → values per epoch, as in Keras' History.history; names that start with
            "val_" are drawn as open markers in the colour of their training curve.
        ax: the axes to draw on; new ones by default.
    """
    ax = axes_or_new(ax)
    terms = [term for term in TERMS if term in history]
    if len(history.get("sse", ())) and np.array_equal(history["sse"], history.get("loss")):
        terms.remove("loss")  # the same curve twice
    for term in terms:
        look = TERMS[term]
        epochs = np.arange(1, len(history[term]) + 1)
        (line,) = ax.plot(epochs, history[term], label=look.label, color=look.color)
        line.set(ls=look.linestyle, zorder=3 if term == "loss" else 2)  # dashes over what they hide
        if f"val_{term}" in history:
            ax.plot(epochs, history[f"val_{term}"], "o", mfc="white", color=look.color)
    if any(name.startswith("val_") for name in history):
        ax.plot([], [], "o", mfc="white", color="gray", label="validation")
    ax.set(xlabel="epoch", ylabel="loss term", yscale="log")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))  # beside the curves, never on them
    return ax


def plot_mean_activation(rho_hat, rho=None, label=None, ax=None):
    """Histogram over hidden units of their mean activation; returns the Axes.

    Args:
        rho_hat: ρ̂ of each unit, (units,).
        rho: the target activation ρ, drawn as a line; None for none.
        label: in the legend.
        ax: the axes to draw on; new ones by default.
    """
    ax = axes_or_new(ax, "small")
    ax.hist(rho_hat, bins=np.linspace(0, max(1.0, np.max(rho_hat)), 51), label=label, alpha=0.7)
    if rho is not None:
        ax.axvline(rho, color=VERMILION, linestyle="--", label=f"target ρ = {rho:g}")
    ax.set(xlabel="mean activation ρ̂ of a hidden unit", ylabel="hidden units")
    if label or rho is not None:
        ax.legend()
    return ax


def show_codes(codes, title=None, ax=None, label="activation"):
    """Activations of a batch, (n, units), as a picture: a row an image; returns the Axes."""
    codes = as_numbers(codes, "codes")
    ax = show_picture(codes, axes_or_new(ax), title, cmap="viridis", vmin=0, aspect="auto")
    ax.set(xlabel="hidden unit", ylabel="image")
    ax.figure.colorbar(ax.images[0], ax=ax, label=label)
    return ax


def show_rules(k=2, size=16, seed=0):
    """Four rules that make a code sparse, on made-up activations, as tables; returns the Axes.

    KL is a sketch, columns scaled to their mean. Each panel has a colour scale of its own.

    Args:
        k: active units per image, or images per unit.
        size: images, and as many units.
        seed: of the activations, large in some images and some units.
    """
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(size, 1)) + rng.normal(size=size) + rng.normal(size=(size, size))
    z = np.exp(0.5 * z)
    codes = {
        f"KL, ρ = {k}/{size} (sketch)": k / size * z / z.mean(axis=0),
        f"winner-take-all, k = {k}": np.where(z >= np.sort(z, axis=0)[-k], z, 0),
        f"TopK, k = {k}": np.where(z >= np.sort(z, axis=1)[:, [-k]], z, 0),
        f"BatchTopK, k = {k}": np.where(z >= np.sort(z, axis=None)[-k * size], z, 0),
    }
    axes = plt.subplots(1, len(codes), figsize=FIGURE_SIZES["wide"])[1]
    for ax, (name, code) in zip(axes, codes.items(), strict=True):
        show_picture(code, ax, name, cmap="viridis", norm=PowerNorm(0.5, vmin=0))
        images, units = (np.sum(~code.any(axis=axis)) for axis in (1, 0))
        ax.set(xlabel=f"units ({units} never active)", ylabel=f"images ({images} without units)")
    return axes


def show_unit_by_unit(autoencoder, images, counts=(0, 1, 3, 10, 25), image_shape=(28, 28), ax=None):
    """Images drawn from the most active units of their code alone; returns the Axes.

    Args:
        autoencoder: with `encode` and `decode`.
        images: (n, pixels), the last column of the picture.
        counts: how many units draw, one column for each.
        image_shape: height and width of an image in pixels.
        ax: the axes to draw on; new ones by default.
    """
    code = as_numbers(autoencoder.encode(images), "code")
    rank = np.argsort(np.argsort(-code, axis=1), axis=1)  # 0: the most active unit of its image
    drawn = [autoencoder.decode(np.where(rank < count, code, 0)) for count in counts]
    names = [f"{counts[0]} units", *counts[1:], "image"]
    rows = np.stack([*drawn, images], axis=1).reshape(-1, images.shape[1])
    ax = show_images(rows, len(names), image_shape, ax=axes_or_new(ax, "small"))
    ax.set_xticks((np.arange(len(names)) + 0.5) * (image_shape[1] + 1) - 1, names)
    return ax


def show_plane(rows, own, other, shares, names, ax=None):
    """Units as arrows in the plane of two known features, which are dotted; returns the Axes.

    Drawn is, of each kind of example, the unit that is active most often: where both features are
    there, and where one is alone. An arrow is the part of its row of W2 that lies in the plane.

    Args:
        rows: W2, (units, size).
        own: a direction, (size,), which points to the right.
        other: another one.
        shares: how often each unit is active where the first is alone, the second, and where both
            are, (3, units): see features.occasions.
        names: of the two features.
        ax: the axes to draw on; new ones by default.
    """
    ax = axes_or_new(ax, "small")
    plane = np.stack([own / np.linalg.norm(own), perpendicular(other, own)])
    for x, y in np.stack([own, other]) @ plane.T:
        ax.plot([0, x], [0, y], "k:")
    kinds = zip(shares, (*(f" {name}\n alone " for name in names), " both "), strict=True)
    words = {share.argmax(): word for share, word in kinds if share.any()}
    for unit, word in words.items():
        color = "C1" if word == " both " else "C0"
        look = {"arrowstyle": "->", "color": color, "lw": 2.5, "shrinkA": 0, "shrinkB": 0}
        x, y = tip = plane @ rows[unit]
        ax.annotate("", tip, (0, 0), arrowprops=look)
        side = {"ha": "left" if x > 0 else "center", "va": "bottom" if y > 0 else "top"}
        ax.text(x, y, word, color=color, **side)
    ax.set(xlim=(-0.9, 1.5), ylim=(-0.75, 1.25), aspect="equal", xticks=[], yticks=[])
    return ax


def means(runs, columns, rows=None):
    """Mean ± sd over the seeds of each setting, as texts, and n, how many seeds; a DataFrame.

    Args:
        runs: a table of results (see table), with a column "setting".
        columns: column of `runs` → what it is called.
        rows: settings in the order wanted, or setting → what it is called; by default all, as they
            come.
    """
    rows = runs.setting.unique() if rows is None else rows
    rows = rows if isinstance(rows, dict) else {name: name for name in rows}
    of_setting = {label: runs[runs.setting == name] for name, label in rows.items()}
    texts = {}
    for key, label in columns.items():
        digits = 2 if runs[key].max() < 2 else 1
        values = [some[key].dropna().to_numpy() for some in of_setting.values()]
        texts[label] = [_mean_and_sd(some, digits) for some in values]
    return pd.DataFrame(texts, of_setting).assign(n=[len(some) for some in of_setting.values()])


def means_of_changes(runs, columns, start, end):
    """What each of several changes does alone, to either end, side by side (see means).

    Args:
        runs: a table of results (see table), with settings such as "A", "A + tied start",
            "B − tied start" and "B".
        columns: column of `runs` → what it is called.
        start: the setting that has none of them, such as "A".
        end: the setting that has them all.
    """
    sides = {f"{start} with it": f"{start} + ", f"{end} without it": f"{end} − "}
    tables = {}
    for side, prefix in sides.items():
        rows = {prefix[:-3]: "as it is"}
        rows |= {s: s.removeprefix(prefix) for s in runs.setting.unique() if s.startswith(prefix)}
        tables[side] = means(runs, columns, rows)
    return pd.concat(tables, axis=1)


def plot_means(runs, x, y, by="setting", ax=None, **look):
    """The mean over seeds of y against that of x, the sd of y as bars; returns the Axes.

    Args:
        runs: a table of results (see table).
        x: a column of `runs`.
        y: likewise.
        by: the column whose values are the points; a line joins them in the order of x.
        ax: the axes to draw on; new ones by default.
        look: how the line looks, as for Axes.errorbar.
    """
    points = runs.groupby(by)[[x, y]]
    mean, sd = (figures.reset_index(drop=True) for figures in (points.mean(), points.std()))
    mean = mean.sort_values(x)
    ax = axes_or_new(ax)
    ax.errorbar(mean[x], mean[y], sd[y][mean.index].fillna(0), capsize=3, **look)
    return ax


def plot_panels(runs, x, panels, looks, lines="setting", by="setting", sharey=True):
    """Columns of a table against x, a panel for each and a line for each kind; returns the Axes.

    Args:
        runs: a table of results (see table).
        x: a column of `runs`.
        panels: column of `runs` → the title of its panel.
        looks: value of the column `lines` → how its line looks, such as "C0o-".
        lines: the column that says which line a run belongs to.
        by: as for plot_means.
        sharey: whether the panels have one y axis.
    """
    _, axes = plt.subplots(1, len(panels), figsize=FIGURE_SIZES["wide"], sharey=sharey)
    for ax, (column, title) in zip(axes, panels.items(), strict=True):
        for name, look in looks.items():
            plot_means(runs[runs[lines] == name], x, column, by, ax, fmt=look, label=name)
        ax.set(title=title)
    return axes


def show_dashboard(images, code, labels, unit, digit, off, lengths, steered):
    """What can be asked of a unit, as four panels: see sparse_autoencoder.features.

    Args:
        images: (n, pixels).
        code: (n, units), of the same images.
        labels: (n,) integers.
        unit: its number.
        digit: the one it seems to stand for.
        off: change of each output when the unit is switched off, (digits,).
        lengths: how much of a direction is added when one steers.
        steered: name of a direction → percent of the other digits read as `digit`, (lengths,).

    Returns:
        the Axes: top images, activations, change of outputs, steering.
    """
    _, axes = plt.subplots(1, 4, figsize=FIGURE_SIZES["wide"])
    own, same = code[:, unit], labels == digit
    on, edges = own > 0, np.linspace(0, own.max(), 21)
    strongest = images[np.argsort(-own)[:16]]
    show_images(strongest, 4, ax=axes[0], title=f"unit {unit}: top images")
    for name, some, look in ((f"a {digit}", same, "C0-"), ("another", ~same, "C1--")):
        counts = np.histogram(own[on & some], edges)[0]
        axes[1].stairs(counts, edges, color=look[:2], ls=look[2:], lw=2, label=name)
    axes[1].set(xlabel="activation", title=f"active in {on.mean():.0%}")
    axes[1].legend(handlelength=1.5)
    axes[2].bar(range(len(off)), off)
    axes[2].set(xlabel="digit", title="change of output, off", xticks=range(len(off)))
    for (name, shares), look in zip(steered.items(), ("C0-", "C3-.", "C1--"), strict=False):
        axes[3].plot(lengths, shares, look, label=name)
    axes[3].axvline(own.max(), color="black", linestyle=":")
    axes[3].set(xlabel="length added", title=f"other digits as {digit}, %")
    axes[3].legend(handlelength=1, loc=(0.45, 0.16))
    return axes


def with_sliders(draw, **sliders):
    """A picture below sliders, drawn anew whenever one is let go; returns the widget.

    Args:
        draw: function of the sliders' values, by name, that draws a figure and returns its Axes.
        sliders: name → a slider of ipywidgets.
    """
    picture = ipywidgets.Image(format="png")

    def redraw(change=None):
        figure = draw(**{name: slider.value for name, slider in sliders.items()}).figure
        figure.savefig(file := io.BytesIO(), format="png")
        plt.close(figure)  # else it would stand below the cell as well
        picture.value = file.getvalue()

    for name, slider in sliders.items():
        slider.description, slider.continuous_update = name, False
        slider.observe(redraw, "value")
    redraw()
    return ipywidgets.VBox([*sliders.values(), picture])


def scorecard(live, data_name, earlier=()):
    """The table at a lesson's end, one row a model, as HTML.

    Each figure has two columns: mean ± sd over the seeds of data/results.csv, and this run. The
    baseline is grey; bold is the best of a column, and each mean that reads the same.

    Args:
        live: model name → its figures (see measures.score). One that data/results.csv knows as a
            setting has both columns.
        data_name: what they were measured on, such as data.name.
        earlier: settings of data/results.csv to compare with, above the others.

    Returns:
        an IPython.display.HTML.

    Raises:
        KeyError: data/results.csv has no such setting.
    """
    runs = table("results")
    for setting in earlier:
        if setting not in set(runs.setting):
            raise KeyError(f"data/results.csv has no setting {setting!r}: run `make results`.")
    names = list(dict.fromkeys([*earlier, *live]))
    seeds, columns = f"{runs.seed.nunique()} seeds", {}
    for key, measure in SCORECARD.items():
        this_run = [live.get(name, {}).get(key) for name in names]
        for column, values in {
            seeds: [runs.loc[runs.setting == name, key].dropna() for name in names],
            "this run": [[] if value is None else [value] for value in this_run],
        }.items():
            if any(map(len, values)):
                columns[measure.label, column] = _column(values, measure)
    card = pd.DataFrame(columns, names)
    baseline = card.index == BASELINE
    card[baseline] = card[baseline].map(_grey)
    card = card.rename(index={BASELINE: _grey(BASELINE)})
    note = f"{seeds}: mean ± sd, MNIST" + f"; {data_name}, this run" * bool(live)
    note += f". Bold: the best of its column. Grey: {BASELINE}, the baseline."
    return HTML(f"{card.to_html(escape=False)}<p>{note}</p>")


def folded(summary, table):
    """A table behind a line that opens it, as an IPython.display.HTML.

    Args:
        summary: the line.
        table: a DataFrame, or a scorecard.
    """
    return HTML(f"<details><summary>{summary}</summary>{table._repr_html_()}</details>")


def _column(values, measure):
    """A column of the scorecard as HTML, from the values of each model."""
    means = np.array([np.mean(some) if len(some) else np.nan for some in values])
    texts = [_mean_and_sd(np.array(some), measure.digits) for some in values]
    if not measure.best or np.isfinite(means).sum() < 2:  # one alone is no best
        return texts
    best, *_ = texts[getattr(np, f"nanarg{measure.best}")(means)].split()
    return [f"<b>{t}</b>" if t.split()[0] == best else t for t in texts]


def _grey(text):
    return f'<span style="color: #767676">{text}</span>'


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
