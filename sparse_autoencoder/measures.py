"""The figures of the scorecard: what is measured of a code and its probe."""

import itertools
from types import SimpleNamespace

import keras
import numpy as np

from .arrays import (
    ACTIVATION_LAYERS,
    NOISE,
    ROUNDING,
    activation_of,
    as_images,
    as_numbers,
    lies_between_0_and_1,
)

PROBE_C = (0.1, 1, 10)  # among which the probe's inverse regularisation is chosen


def in_rows(images, reconstructions):
    """Images and what they are compared with, of any type, as floats of one unit, one image a row.

    Bytes beside numbers from 0 to 1 are divided by 255.

    Raises:
        ValueError: they are of different sizes or not equally many.
    """
    x, y = as_numbers(images), as_numbers(reconstructions, "reconstructions")
    if x.dtype == np.uint8 and y.dtype.kind == "f" and y.size and y.max() <= 1 + NOISE:
        x = as_images(x)
    x, y = (a if a.dtype in ("f4", "f8") else a.astype(float) for a in (x, y))
    x, y = (a.reshape(len(a), -1) if a.ndim > 2 else a for a in (x, y))
    if x.ndim != 2 or not x.size or y.shape not in (x.shape, x.shape[1:]):
        raise ValueError(
            f"Images of shape {x.shape} cannot be compared with reconstructions of shape "
            f"{y.shape}: there must be one for each, of the same size."
        )
    return x, y


def mean_sse(images, reconstructions):
    """Squared error summed over pixels, mean over images: (n, pixels) twice → float."""
    images, reconstructions = in_rows(images, reconstructions)
    error = images - reconstructions
    return float(np.mean(np.einsum("ij,ij->i", error, error, dtype=np.float64)))


def unexplained_variance(images, reconstructions):
    """FVU, the fraction of variance unexplained: SSE over that of the mean image; (n, pixels)."""
    images, reconstructions = in_rows(images, reconstructions)
    return mean_sse(images, reconstructions) / mean_sse(images, images.mean(axis=0))


def size_of_reconstructions(images, reconstructions):
    """γ, how large images come back: 1 is right, less is shrinkage; (n, pixels) twice → float.

    The γ for which reconstructions / γ would be nearest to the images, both taken about the mean
    image; "relative reconstruction bias" in Rajamanoharan et al. 2024a.
    """
    images, reconstructions = in_rows(images, reconstructions)
    mean = images.mean(axis=0)
    x, y = images - mean, reconstructions - mean
    squares = np.einsum("ij,ij->", y, y, dtype=np.float64)
    return float(squares / np.einsum("ij,ij->", y, x, dtype=np.float64))


def mean_activation(code):
    """ρ̂ of each hidden unit: (n, units) → (units,)."""
    return np.mean(as_numbers(code, "code"), axis=0, dtype=np.float64)


def active_above(model):
    """The activation above which a unit counts as active, and the one up to which it is dead.

    Half of what a unit can be where activations lie between 0 and 1 (dead: a tenth); elsewhere
    L0's convention, everything that is not 0. A linear encoder has a layer behind it that makes
    zeros (TopK, JumpReLU, Gated).

    Args:
        model: what made the code: a model with a layer named "encoder", or the name of the
            code's activation, such as "relu".

    Returns:
        two floats.
    """
    if isinstance(model, str):
        activation = keras.activations.get(model)
    else:
        activation = activation_of(*layers_of_code(model))
    return (0.5, 0.1) if lies_between_0_and_1(activation) else (0.0, 0.0)


def layers_of_code(model):
    """The layer named "encoder" and what belongs to its code: an activation, a penalty, TopK.

    Raises:
        ValueError: the model has no such layer.
    """
    names = [layer.name for layer in model.layers]
    if "encoder" not in names:
        raise ValueError(
            'The code is what a layer named "encoder" makes, but the layers of this model are '
            f"{', '.join(map(repr, names))}: rename one."
        )
    first, *behind = model.layers[names.index("encoder") :]
    own = itertools.takewhile(
        lambda layer: isinstance(layer, ACTIVATION_LAYERS) or hasattr(layer, "hyperparameters"),
        [] if hasattr(model, "encode") else behind,
    )
    return [first, *own]


def encoder_of(model):
    """The function from images to their code: encode, or the layers up to that of the code."""
    if hasattr(model, "encode"):
        return model.encode
    return keras.Model(model.inputs, layers_of_code(model)[-1].output)


def active_units(code, model):
    """How many units are active in each image: (n, units) → (n,).

    `model` is what made the code: see active_above.
    """
    return np.sum(np.abs(as_numbers(code, "code")) > active_above(model)[0], axis=1)


def dead_units(code, model):
    """Which units no image makes active even a little: (n, units) → (units,) of booleans.

    `model` is what made the code: see active_above.
    """
    return np.max(np.abs(as_numbers(code, "code")), axis=0) <= active_above(model)[1]


def as_labels(labels):
    """The class of each image, numbers or words, as an array, (n,).

    Raises:
        ValueError: there is not one for each image.
    """
    labels = np.squeeze(np.asarray(labels))
    if labels.ndim != 1 or not labels.size:
        raise ValueError(
            "The labels must be one number or word for each image, but their shape is "
            f"{labels.shape}: of a column for each class, take y.argmax(axis=1)."
        )
    return labels.astype(str) if labels.dtype == object else labels


def through_the_door(data, model=None, slack=ROUNDING):
    """A data set whose images are as a model reads them, and whose labels are arrays.

    Args:
        data: images.ImageData, or what has its attributes.
        model: see arrays.as_images, and the errors there.
        slack: likewise.
    """
    parts = {key: value for key, value in vars(data).items() if value is not None}
    for key in parts:
        if key.startswith("x_"):
            name = f"{'training' if key == 'x_train' else key[2:]} images"
            parts[key] = as_images(parts[key], model, name, slack)
        elif key.startswith("y_"):
            parts[key] = as_labels(parts[key])
    return SimpleNamespace(**parts)


def draw_labels(labels, labels_per_class, seed):
    """A random draw with the same number of labels for each class.

    Args:
        labels: (n,) numbers or words.
        labels_per_class: 1 or more.
        seed: of the draw, an integer or a list of them.

    Returns:
        row numbers, (classes · labels_per_class,).

    Raises:
        ValueError: a class has fewer images than labels asked for.
    """
    rng, labels = np.random.default_rng(seed), as_labels(labels)
    classes = [np.flatnonzero(labels == name) for name in np.unique(labels)]
    fewest = min(map(len, classes))
    if fewest < labels_per_class:
        raise ValueError(
            f"{labels_per_class} labels per class were asked for, but one class has only {fewest} "
            "images: ask for fewer."
        )
    return np.concatenate([rng.choice(rows, labels_per_class, replace=False) for rows in classes])


def fit_probe(features, labels, labels_per_class, seed):
    """A logistic regression trained on a few labels, its C cross-validated among those alone.

    The arguments are those of linear_probe and draw_labels; with one label per class, which cannot
    be cross-validated, C stays 1. Returns the fitted scikit-learn estimator.
    """
    features, labels = as_numbers(features, "features"), as_labels(labels)
    rows = draw_labels(labels, labels_per_class, seed)
    return fit_probe_to_drawn(features[rows], labels[rows], labels_per_class)


def fit_probe_to_drawn(features, labels, labels_per_class):
    """The probe of fit_probe, on images that draw_labels has drawn already: in that order.

    Another order makes other folds of the cross-validation. Features are (n, units), labels (n,)
    integers; returns the fitted scikit-learn estimator.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from threadpoolctl import threadpool_limits

    probe = LogisticRegression(max_iter=1000, tol=1e-3)
    if labels_per_class > 1:
        folds = StratifiedKFold(min(3, labels_per_class), shuffle=True, random_state=0)
        probe = GridSearchCV(probe, {"C": list(PROBE_C)}, cv=folds)
    with threadpool_limits(1):  # on so little data, threads that wait for each other cost more
        return probe.fit(as_numbers(features, "features"), as_labels(labels))


def fit_probe_to_all(features, labels, validation_features, validation_labels, choices=PROBE_C):
    """A logistic regression trained on every label, its C chosen on validation images.

    Features are (n, units), labels (n,) integers, `choices` those of C, the inverse regularisation;
    returns the fitted scikit-learn estimator.
    """
    from sklearn.linear_model import LogisticRegression

    probes = [LogisticRegression(C=c, max_iter=200, tol=1e-3) for c in choices]
    probes = [probe.fit(features, labels) for probe in probes]
    return max(probes, key=lambda probe: probe.score(validation_features, validation_labels))


def linear_probe(features, labels, test_features, test_labels, labels_per_class, draws=5, seed=0):
    """Test accuracy of a logistic regression that sees only a few labels: how good is a code?

    Args:
        features: (n, units) codes or pixels.
        labels: (n,) integers.
        test_features: (m, units), on which each probe is scored.
        test_labels: (m,).
        labels_per_class: 1 or more.
        draws: how many random draws of labelled images; each is a probe of its own.
        seed: the draws depend on this and on nothing else.

    Returns:
        accuracies between 0 and 1, (draws,).

    Raises:
        ValueError: a class has fewer images than labels asked for.
    """
    probes = [fit_probe(features, labels, labels_per_class, [seed, d]) for d in range(draws)]
    test_features, test_labels = as_numbers(test_features, "features"), as_labels(test_labels)
    return np.array([probe.score(test_features, test_labels) for probe in probes])


def score(data, model=None, encode=None, seed=0):
    """One row of the scorecard, on the test images.

    Args:
        data: images.ImageData.
        model: an autoencoder with a layer named "encoder", whose activation says what counts as
            active; None for features that are no code, of which only the probe is measured.
        encode: function from images, (n, pixels), to their features, (n, units); by default
            the model's own.
        seed: of the linear probe's draws, three with 10 labels per class and one with 100.

    Returns:
        dict with sse_test, mean_activation, active_units, dead_units, probe_10 and probe_100 (in
        percent), as far as they apply: a probe asks for so many images of each class.
    """
    encode = encode or encoder_of(model)
    data = through_the_door(data, model, NOISE)
    test_features = np.asarray(encode(data.x_test))
    figures = {}
    if model is not None:
        parts = np.array_split(data.x_test, 10)  # all at once would take much memory
        reconstructions = np.concatenate([np.asarray(model(part)) for part in parts])
        figures["sse_test"] = mean_sse(data.x_test, reconstructions)
        figures["mean_activation"] = float(mean_activation(test_features).mean())
        figures["active_units"] = float(active_units(test_features, model).mean())
        figures["dead_units"] = int(dead_units(test_features, model).sum())
    for labels_per_class, draws in ((10, 3), (100, 1)):  # more labels vary less, and take longer
        if np.unique(data.y_train, return_counts=True)[1].min() < labels_per_class:
            continue
        accuracies = []
        for draw in range(draws):
            # Only what is labelled is encoded: all training images would take much memory.
            rows = draw_labels(data.y_train, labels_per_class, [seed, draw])
            code = np.asarray(encode(data.x_train[rows]))
            probe = fit_probe_to_drawn(code, data.y_train[rows], labels_per_class)
            accuracies.append(probe.score(test_features, data.y_test))
        figures[f"probe_{labels_per_class}"] = 100 * float(np.mean(accuracies))
    return figures
