"""One check per exercise, in the order of the lessons: is what was written right, or what is wrong?

    checks.half_sse(half_sse)

A check is named after what it checks, calls it on a small example of its own, and prints one
sentence, which begins with "Right" if the answer is right; the cell fails with it where nbgrader
grades. A check gives its answer away: solve the exercise before you read it.
"""

import functools

import keras
import numpy as np
from keras import ops
from PIL import Image

from . import measures
from .images import load_images
from .model import KLSparsity, build_autoencoder, kl_divergence
from .tables import DATA
from .verdicts import StillToDo, check

# A check returns what is wrong with an answer; nothing, if it is right.


@functools.cache
def _digits():
    """The small bundled images: every check takes seconds, with or without MNIST."""
    return load_images("digits")


@functools.cache
def _blocks():
    """Features that need no training, (784, 49): the blocks of 4 × 4 pixels, each of norm 1."""
    rows = np.kron(np.eye(7), np.ones((4, 1)))
    return np.kron(rows, rows) / 4


# Lesson 01
@check("return the errors")
def half_sse(half_sse):
    """Is it half of the squared error summed over pixels, one number for each image?"""
    images, drawn = np.random.default_rng(1).uniform(size=(2, 3, 784)).astype("float32")
    answer, whole = half_sse(images, drawn), np.sum(np.square(images - drawn), axis=-1)
    if np.shape(answer) != (3,):
        return f"Expected the shape (3,), not {np.shape(answer)}: sum over pixels only, axis=-1."
    if np.allclose(answer, whole / 784) or np.allclose(answer, whole / 784 / 2):
        return "This averages over the pixels, as Keras' mse does: UFLDL sums over them."
    if np.allclose(answer, whole):
        return "This is the whole sum of squares: UFLDL takes half of it."
    if not np.allclose(answer, whole / 2):
        return f"Expected {whole / 2}, got {np.asarray(answer)}."


@check("return the model")
def trained_autoencoder(trained_autoencoder, data):
    """Has it as many hidden units as asked for, and does it draw after one epoch on `data`?"""
    narrow = trained_autoencoder(32, 1)
    if narrow.layers[0].units != 32:
        return f"32 hidden units were asked for, not {narrow.layers[0].units}: use `units`."
    error = measures.mean_sse(data.x_test, np.asarray(narrow(data.x_test)))
    mean_image = measures.mean_sse(data.x_test, data.x_train.mean(axis=0))
    if error > 1.2 * mean_image:
        return "It draws worse than the mean image: compile alone trains nothing."
    return f"Right. With 32 units the test SSE is {error:.1f} after one epoch."


@check("return the dataset")
def denoising_batches(denoising_batches):
    """Are its pairs (noisy, clean), with noise of the right size, cut to [0, 1]?"""
    some = _digits().x_train[:500]
    noisy, clean = map(np.asarray, next(iter(denoising_batches(some, 0.3))))
    if np.isin(noisy, some).all():  # a pixel is one of few grays, noise is not
        return "What goes in has no noise. The pair is (noisy, clean): are the two swapped?"
    if not np.isin(clean, some).all():
        return "The answer is noisy as well: so it learns to draw the noise. It must stay clean."
    if noisy.min() < 0 or noisy.max() > 1:
        return "Some pixels are below 0 or above 1: cut them, with tf.clip_by_value."
    on_paper = noisy[clean == 0].mean()
    if abs(on_paper - 0.3 / np.sqrt(2 * np.pi)) > 0.01:  # the mean of noise cut at 0
        return f"On empty paper the noise has mean {on_paper:.2f}: is its deviation `noise`?"


# Lesson 02
@check("return the gradient")
def l2_gradient(l2_gradient):
    """Is it the gradient of λ₂·½‖W‖², one number for each weight?"""
    W = np.array([[1.0, -2.0], [0.0, 3.0]])
    answer = l2_gradient(0.1, W)
    if np.shape(answer) != W.shape:
        return "The gradient has one number for each weight: do not sum."
    if np.allclose(answer, 0.2 * W):
        return "Twice too large: the ½ in the penalty cancels the 2 from the square."
    if np.allclose(answer, -0.1 * W):
        return "This is the step of gradient descent; the gradient itself points uphill, no minus."
    if not np.allclose(answer, 0.1 * W):
        return f"Expected {(0.1 * W).tolist()}, got {np.asarray(answer).tolist()}."


@check("return the accuracy")
def validation_accuracy(validation_accuracy):
    """Does it probe the code of a model, with 10 labels per class, on validation images?"""
    data, model = _digits(), build_autoencoder(32)
    answer = validation_accuracy(model, data)

    def is_of(encode, x, y):
        code, other = (np.asarray(encode(images)) for images in (data.x_train, x))
        return np.isclose(answer, measures.linear_probe(code, data.y_train, other, y, 10).mean())

    if np.ndim(answer) != 0:
        return f"Expected one number, not the shape {np.shape(answer)}: average over the draws."
    if is_of(model.encode, data.x_validation, data.y_validation):
        return None
    if is_of(model.encode, data.x_test, data.y_test):
        problem = "These are the test images"
        return f"{problem}: what chooses λ₂ must be data.x_validation and its labels."
    if is_of(model, data.x_validation, data.y_validation):
        return "This probes the reconstructions: the code is model.encode(images)."
    return "Not the expected accuracy: does linear_probe draw 10 training labels per class?"


@check("draw in call what build prepared")
def tied_decoder(TiedDecoder):
    """Does the layer draw σ(h W1ᵀ + b2), with a bias of its own, and follow the encoder?"""
    encoder = keras.layers.Dense(196, activation="sigmoid")
    code = encoder(_digits().x_test[:5])
    decoder = TiedDecoder(encoder)
    drawn = decoder(code)
    if drawn is None:
        raise StillToDo
    shared = {id(weight) for weight in encoder.trainable_weights}
    own = [weight for weight in decoder.trainable_weights if id(weight) not in shared]
    encoder.kernel.assign(2 * encoder.kernel)
    if np.shape(drawn) != (5, 784):
        return f"5 images have the shape (5, 784), not {np.shape(drawn)}: is W1 turned round?"
    if not own:
        return "The decoder has no bias of its own: make one in build, and add it in call."
    if np.allclose(decoder(code), drawn):
        return "The weights were copied, not tied: read self.encoder.kernel in call, not in build."
    if not np.allclose(decoder(code), ops.sigmoid(code @ ops.transpose(encoder.kernel)), atol=1e-5):
        return "Expected σ(h W1ᵀ + b2), with a bias that starts at 0: is the sigmoid there?"


# Lesson 03
@check("add the term and return the code")
def my_kl_sparsity(MyKLSparsity):
    """Does the layer add β Σ KL(ρ‖ρ̂) to the loss, and hand the code on unchanged?"""
    code = np.random.default_rng(1).uniform(0.1, 0.4, (64, 10)).astype("float32")
    layer = MyKLSparsity(0.1, 2.0)
    passed_on, losses = layer(code), [float(ops.sum(loss)) for loss in layer.losses]
    kl = {axis: float(ops.sum(kl_divergence(0.1, code.mean(axis=axis)))) for axis in (0, 1)}
    each = float(ops.sum(kl_divergence(0.1, code)))
    if passed_on is None and not losses:
        raise StillToDo
    if len(losses) != 1:
        return f"One term is to be added to the loss, not {len(losses)}: call self.add_loss once."
    if np.isclose(losses[0], 2 * kl[1]):
        return "The mean is over the wrong axis: ρ̂ averages over images, axis 0, for each unit."
    if np.isclose(losses[0], 2 * each) or np.isclose(losses[0], 2 * each / 64):
        return "This takes KL of every activation: average over the images first, then take KL."
    if np.isclose(losses[0], kl[0]):
        return "This is the sum of KL without its strength β."
    if not np.isclose(losses[0], 2 * kl[0]):
        return f"Expected a term of {2 * kl[0]:.4f}, got {losses[0]:.4f}: sum over the units."
    if passed_on is None or not np.array_equal(passed_on, code):
        return "The term is right, but the decoder gets no code: end with `return code`."


@check("return the model")
def start_near(start_near):
    """Does an empty image have activations ρ?"""
    model = start_near(build_autoencoder(), 0.05)
    activation = np.asarray(model.encode(np.zeros((1, 784), "float32")))
    if np.allclose(activation, 0.5):
        return "The biases are still 0: assign to model.encoder.bias."
    if np.allclose(model.encoder.bias, 0.05):
        return "ρ is to come out of the sigmoid; the bias goes into it. Solve σ(b) = ρ."
    if np.allclose(activation, 0.95):
        return "The sign is turned round: the activation is 1 − ρ, so nearly all units are active."
    if not np.allclose(activation, 0.05):
        return f"Activations of an empty image should be 0.05, not {activation.mean():.3f}."


@check("return a dictionary")
def diagnose(diagnose):
    """Has each run the fault that it was trained with?"""
    answer = diagnose()
    with Image.open(DATA / "broken_runs.png") as picture:
        truth = {run: fault for run, fault in picture.text.items() if run in "ABCD"}
    if sorted(answer.values()) != sorted(truth.values()) or sorted(answer) != sorted(truth):
        return "Each letter, A to D, has one fault of FAULTS, and each fault has one letter."
    mixed_up = {fault for run, fault in truth.items() if answer[run] != fault}
    right = f"{4 - len(mixed_up)} of 4 are right."
    if mixed_up == {"mean over the wrong axis", "KL of every activation"}:
        return f"{right} Two mixed up: which of them draws better, and which is all grey?"
    if mixed_up == {"beta = 0", "learning rate 0.3"}:
        without = "without KL, digits are drawn well by many small, noisy features."
        return f"{right} Two mixed up: {without}"
    return right if mixed_up else None


@check("return β and λ₂")
def in_our_units(in_our_units):
    """Are strengths converted from half a sum, and from a mean over 784 pixels?"""
    for text, factor, squares in (("UFLDL", 2, 1), ("Keras", 784, 2), ("PyTorch", 784, 1)):
        beta, lam2 = in_our_units(3.0, 0.01, text)
        expected = 3.0 * factor, 0.01 * factor * squares
        if np.isclose(beta, 3.0 / factor):
            wrong = "divided where it should be multiplied. Its squared error is smaller than the"
            return f"{text}: {wrong} SSE."
        if not np.isclose(beta, expected[0]):
            return f"{text}: β = 3 becomes {expected[0]:g}, not {beta:g}: which factor makes SSE?"
        if np.isclose(lam2, expected[1] / 2):
            return f"{text}: λ₂ is off by a factor of 2. Its L2 has no ½, ours has."
        if not np.isclose(lam2, expected[1]):
            return f"{text}: 0.01 becomes λ₂ = {expected[1]:g}, not {lam2:g}."


# Lesson 04
@check("return the number")
def l0(l0):
    """Is it the number of active units of an image, averaged over images?"""
    code = np.array([[0.0, 2.0, 0.4, 0.7], [0.0, 0.0, 1e-3, 0.0]])
    answer = l0(code)
    if np.ndim(answer) != 0:
        return f"One number is wanted, not the shape {np.shape(answer)}: average over the images."
    if np.isclose(answer, np.mean(code > 0)):
        return "This is the share of active entries: count them for each image, then average."
    if np.isclose(answer, code.sum(axis=1).mean()):
        return "This sums activations, which is L1. L0 counts those above 0, however small."
    if np.isclose(answer, np.mean(np.sum(code > 0.5, axis=1))):
        return "A ReLU unit is active above 0; above 0.5 is the convention for sigmoid codes."
    if not np.isclose(answer, 2):
        return f"Expected 2 active units per image, got {answer}."


@check("return three arrays")
def unit_features(unit_features):
    """Has every row of W2 the norm 1, and do the drawings stay?"""
    rng = np.random.default_rng(1)
    x, W1, b1, W2 = (rng.normal(size=shape) for shape in ((5, 6), (6, 4), (4,), (4, 6)))
    drawn = np.maximum(x @ W1 + b1, 0) @ W2
    answer = unit_features(W1.copy(), b1.copy(), W2.copy())
    if [np.shape(part) for part in answer] != [(6, 4), (4,), (4, 6)]:
        return "Return W1, b1 and W2, in this order and with their shapes."
    if np.allclose(np.linalg.norm(answer[2], axis=0), 1):
        return "The columns of W2 have norm 1. A unit's feature is a row of W2: axis=1."
    if not np.allclose(np.linalg.norm(answer[2], axis=1), 1):
        return "Not every row of W2 has norm 1."
    if np.allclose(answer[1], b1):
        return "b1 is unchanged, so the drawings are not: the bias is part of an activation."
    if not np.allclose(np.maximum(x @ answer[0] + answer[1], 0) @ answer[2], drawn):
        return (
            "The drawings changed: where W2 is divided by a norm, W1 and b1 are multiplied by it."
        )


@check("return λ₁")
def find_lam1(find_lam1):
    """Does it close in on the λ₁ that gives 30 active units, by a formula?"""

    def formula(lam1):
        return 190 / (1 + lam1 / 0.1)

    answer = find_lam1(formula, 30, 0.001, 10.0, 30)
    if np.isclose(answer, 30, rtol=1e-3):
        return "This is the number of units: return the λ₁ that gives it."
    if answer > 9 or answer < 0.0011:
        return "It ran to the end of the range: too many active units ask for a larger λ₁."
    if not np.isclose(answer, 0.1 * (190 / 30 - 1), rtol=1e-3):
        return f"λ₁ = {answer:.4f} gives {formula(answer):.1f} units, not 30: were all steps taken?"


# Lesson 05
@check("return row numbers")
def images_to_label(images_to_label):
    """Are there as many rows as asked for, and are they near to all other codes?"""
    codes = _digits().x_train[:1000] @ np.random.default_rng(1).normal(size=(784, 30))
    rows = images_to_label(codes, 20)
    if len(rows) == len(codes):
        return "These are the clusters of all images. Wanted is one image for every centre."
    if np.ndim(rows) == 2:
        return "These are the centres, which are no images: return the rows of the nearest ones."
    if len(rows) != 20:
        return f"20 images were asked for, not {len(rows)}."
    from_nearest, from_first = (
        np.linalg.norm(codes[:, None] - codes[chosen], axis=2).min(axis=1).mean()
        for chosen in (rows, range(20))
    )
    if from_nearest > from_first:
        return "The first 20 images cover the rest better: is it the nearest image, argmin?"


@check("return the model")
def learn_from_small_digits(learn_from_small_digits):
    """Is it trained(…) of the images of 0–4 alone, with the penalties of the sparser model?

    The check hands it the bundled digits and a `trained` that notes what it is asked and trains
    nothing.
    """
    data, asked = _digits(), []

    def trained(images, **how):
        asked.append(np.asarray(images))
        return build_autoencoder(**how)

    model = learn_from_small_digits(trained, data)
    if not hasattr(model, "encode"):
        return f"Return the model that trained() gives, not {type(model).__name__}."
    if not asked:
        return "The model was not trained with `trained`, which the function is given: call it."
    if not isinstance(model.sparsity, KLSparsity):
        return "Without a penalty most units will be active: where is the penalty, KLSparsity?"
    if model.l2 is None:
        return "The sparser model has an L2 penalty as well: where is lam2?"
    if np.array_equal(asked[-1], data.x_train[data.y_train >= 5]):
        return "It will draw 5–9 better than 0–4: was it trained on the wrong half?"
    if not np.array_equal(asked[-1], data.x_train[data.y_train < 5]):
        return "It should learn from the training images of 0–4, all of them, and from no others."
    return "Right. It learns from 0–4, and never sees 5–9."


@check("return two models")
def deeper_autoencoder(deeper_autoencoder):
    """Do the two models share their layers, with the penalty between code and decoder?"""
    deeper, encoder = deeper_autoencoder()
    shapes = [tuple(w.shape) for w in deeper.trainable_weights if len(w.shape) == 2]
    if shapes != [(784, 400), (400, 196), (196, 400), (400, 784)]:
        return f"Expected four matrices, 784-400-196-400-784, but they are {shapes}."
    if encoder.output_shape != (None, 196):
        return f"The encoder should end with 196 units, but gives {encoder.output_shape}."
    if not any(encoder.trainable_weights[0] is weight for weight in deeper.trainable_weights):
        return "The encoder has weights of its own, which will not train: share the layers."
    deeper(_digits().x_test[:9])
    if not deeper.losses:
        return "The penalty is not on the way to the drawing: hand its output on to the decoder."


# Lesson 06
@check("return a setting")
def sparsest_that_beats(sparsest_that_beats, usual):
    """Is it the setting of `usual` with the fewest active units and a probe above 83 %?"""
    answer, good = sparsest_that_beats(83), usual[usual.probe_10_validation > 83]
    if answer not in usual.index:
        return "That is no setting of the table: return an entry of usual.index, as idxmin does."
    if answer not in good.index:
        return "That model's probe is not above 83 %: keep the good ones first."
    if answer != good.active_units.idxmin():
        return "There is a sparser one that is good enough: look for the smallest active_units."
    return f"Right. {answer}: {good.active_units[answer]:.1f} active units."


def _front(errors, accuracies):
    """Which settings no other dominates: none as good in both and better in one."""
    pairs = list(zip(errors, accuracies, strict=True))
    return np.array(
        [not any(e <= x and a >= y and (e < x or a > y) for e, a in pairs) for x, y in pairs]
    )


@check("return booleans")
def on_front(on_front, usual):
    """Are those settings of `usual` found that no other dominates, and of settings with ties?"""
    errors, accuracies = usual.sse_validation.to_numpy(), usual.probe_10_validation.to_numpy()
    answer = on_front(errors.copy(), accuracies.copy())
    if np.shape(answer) != errors.shape or np.asarray(answer).dtype != bool:
        return f"One boolean for each of {len(errors)} settings, not the shape {np.shape(answer)}."
    front, worst = _front(errors, accuracies), _front(-errors, accuracies)
    if np.array_equal(answer, worst):
        return "This prefers large errors: a lower SSE is better, a higher accuracy is better."
    if np.sum(answer) <= 2 < front.sum():
        return "Almost nothing is left: to dominate is to be as good in both and better in one."
    if not np.array_equal(answer, front):
        return f"{front.sum()} settings are on the front, but this finds {np.sum(answer)}."
    ties = np.array([1.0, 1.0, 2.0, 2.0]), np.array([5.0, 6.0, 6.0, 7.0])
    if not np.array_equal(on_front(*ties), _front(*ties)):
        return "Not right with ties: of two equal errors, the better accuracy dominates."
    return f"Right. {front.sum()} of {len(front)} settings are on the front."


@check("return one of rhos")
def choose_rho(choose_rho):
    """Is it the ρ whose code is probed best on validation images, not the one that draws best?

    The models stand in for trained ones: with the middle ρ, units see a block of pixels each; with
    the largest, drawings have no fault, but the one unit sees an empty corner.
    """
    data, rhos = _digits(), (0.01, 0.1, 0.5)
    sees = {0.01: _blocks()[:, 24:25], 0.1: _blocks(), 0.5: _blocks()[:, :1]}

    class Trained:
        def __init__(self, rho):
            self.rho = rho

        def encode(self, images):
            return ops.convert_to_tensor(images @ sees[self.rho])

        def __call__(self, images):
            drawn = images if self.rho == 0.5 else images @ sees[self.rho] @ sees[self.rho].T
            return ops.convert_to_tensor(drawn)

    answer = choose_rho(rhos, Trained, data)
    if answer not in rhos:
        return f"{answer} is none of {rhos}: return the ρ itself, not its accuracy or its place."
    if answer == 0.5:
        return "This is the ρ that draws best: choose by what the code is for, by the probe."
    if answer != 0.1:
        return "Another ρ has the better probe on validation images: are you choosing the best?"


# Lesson 07
@check("return the threshold")
def threshold_for(threshold_for):
    """Do k·n activations of n images reach it, or the positive ones where there are fewer?"""
    code = np.array([[0.1, 0.3, -0.2, 0.2], [2.0, 0.9, 0.8, 0.7], [-1.0, 0.5, 0.4, -0.6]])
    answer, of_all = (threshold_for(code.copy(), k) for k in (2, 4))
    if np.ndim(answer) != 0:
        return f"One number for all images is wanted, not the shape {np.shape(answer)}."
    if np.isclose(answer, 0.9):
        return "Only k activations of the whole code reach this: k for each image makes k·n."
    if np.isclose(answer, 0.5):
        return "This is the mean of each image's k-th largest: let them compete for k·n places."
    if not 0.3 < answer <= 0.4:
        reach = np.count_nonzero(code >= answer)
        return f"With k = 2, six activations of these three images should reach it, not {reach}."
    if not 0 <= of_all <= 0.1:
        return (
            "With k = 4 of 4 units only 9 of 12 activations are positive: then the threshold is 0, "
            f"not {of_all:g}."
        )


@check("return the number")
def shrinkage(shrinkage):
    """Is γ 0.8, where the best drawings with some features come at 80 % of their size?"""
    images = _digits().x_validation.astype("float64")
    x = images - images.mean(axis=0)
    drawn = 0.8 * x @ _blocks() @ _blocks().T
    reconstructions = images.mean(axis=0) + drawn
    answer = shrinkage(images.copy(), reconstructions.copy())
    if np.ndim(answer) != 0:
        return f"One number for all images and pixels is wanted, not the shape {np.shape(answer)}."
    if np.isclose(answer, np.sum(reconstructions**2) / np.sum(reconstructions * images)):
        return "The mean image is still in both, and hides the shrinkage: subtract it first."
    if np.isclose(answer, np.sum(drawn * x) / np.sum(x * x)):
        return "This fits a multiple of x to x̂. It is the other way round: x̂/γ has to fit x."
    if np.isclose(answer, np.linalg.norm(drawn) / np.linalg.norm(x)):
        return "This compares lengths, so it also counts what is not drawn at all: fit x̂/γ to x."
    if np.isclose(answer, 1 / 0.8):
        return "This is 1/γ: drawings that come back too small have a γ below 1."
    if not np.isclose(answer, 0.8):
        return f"Drawn at 80 %, γ is 0.8, not {answer:.3f}."


# Lesson 08
@check("return booleans")
def found_in_all(found_in_all):
    """Which features have a partner of their own, alike enough, in each of several models?"""
    features = np.float64([[1, 0, 0], [0.9, 0.1, 0], [0, 1, 0], [0, 0, 1]])
    without_last = np.float64([[0, 0, -1], [0, 1, 0], [0.9, 0.1, 0], [1, 0, 0]])
    only_one_like_the_first = np.float64([[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, -1]])
    models = [without_last, only_one_like_the_first]
    answer = found_in_all(features.copy(), [model.copy() for model in models], 0.9)
    if np.shape(answer) != (4,) or np.asarray(answer).dtype != bool:
        return f"One boolean for each of 4 features is wanted, not the shape {np.shape(answer)}."
    if np.array_equal(answer, [True, True, True, True]):
        return "The last feature is in one model only: it has to be found in all of them."
    if np.array_equal(answer, [True, True, True, False]):
        return "Two features share one partner: match them one to one, with match."
    if not np.array_equal(answer, [True, False, True, False]):
        return f"Of these four the first and the third are found in both, not {answer.tolist()}."


@check("return the hidden units")
def without_unit(without_unit):
    """Is one unit's share taken out of the hidden units, and everything else left as it is?"""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4, 6)).astype("float32")
    lens = build_autoencoder(4, "relu", "linear", pixels=6)
    lens.encoder.set_weights([rows.T, np.float32([0.5, 0, 0, 0])])
    lens.decoder.set_weights([rows, np.full(6, 0.3, "float32")])
    hidden = rng.uniform(size=(5, 6)).astype("float32")
    code = lens.encode(hidden).numpy()
    share = code[:, [0]] * rows[0]
    answer = np.asarray(without_unit(lens, hidden.copy(), 0))
    if answer.shape != hidden.shape:
        return f"Hidden units are wanted, of shape {hidden.shape}, not {answer.shape}."
    if np.allclose(answer, lens.decoder(code * [0, 1, 1, 1]), atol=1e-5):
        return "This also loses what the lens cannot draw: take the share from the hidden units."
    if np.allclose(answer, hidden - rows[0], atol=1e-5):
        return "The row is taken out whole, whatever the image: multiply it by the activation."
    if np.allclose(answer, hidden + share, atol=1e-5):
        return "The unit's share is added: take it away."
    if not np.allclose(answer, hidden - share, atol=1e-5):
        return "Expected the hidden units minus the unit's activation times its row of W2."


@check("return the sum of the errors")
def nested_error(nested_error):
    """Is it the sum of the errors that the first units make alone, one number for a batch?"""
    rng = np.random.default_rng(0)
    images, code = rng.uniform(size=(5, 6)), rng.uniform(size=(5, 8))
    W2, b2, firsts = rng.normal(size=(8, 6)), rng.normal(size=6), (2, 4)

    def error(parts, bias=b2):
        drawn = [code[:, part] @ W2[part] + bias for part in parts]
        return [np.mean(np.sum(np.square(images - one), axis=1)) for one in drawn]

    heads, tails = [slice(0, 2), slice(0, 4)], [slice(2, None), slice(4, None)]
    answer = nested_error(*(ops.convert_to_tensor(a) for a in (images, code, W2, b2)), firsts)
    if np.ndim(answer) != 0:
        return f"One number for the batch is wanted, not the shape {np.shape(answer)}."
    answer = float(answer)
    if np.isclose(answer, sum(error(tails))):
        return "These are the last units: the first ones are to draw alone."
    if np.isclose(answer, sum(error(heads, 0))):
        return "The decoder's bias is missing: every drawing begins with b2."
    if np.isclose(answer, error(heads)[-1]):
        return "Only one of the parts counts: add up the errors of all."
    if np.isclose(answer, np.mean(error(heads))):
        return "This is the mean over the parts: add them up."
    if not np.isclose(answer, right := sum(error(heads))):
        return f"With first units 2 and 4 the sum should be {right:.2f}, not {answer:.2f}."
