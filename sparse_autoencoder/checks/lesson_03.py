"""Checks of the exercises of lesson 03."""

import numpy as np
from keras import ops
from PIL import Image

from ..model import build_autoencoder, kl_divergence
from ..tables import DATA
from .verdicts import StillToDo, check


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
    return "Right."


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
    if np.allclose(activation, 0.05):
        return "Right."
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
    return right if mixed_up else "Right."
