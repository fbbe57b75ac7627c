"""Checks of the exercises of lesson 06."""

import numpy as np
from keras import ops

from .verdicts import blocks, check, digits


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


@check("return booleans")
def on_front(on_front, usual):
    """Are those settings of `usual` found that no other beats in both?"""
    errors, accuracies = usual.sse_validation.to_numpy(), usual.probe_10_validation.to_numpy()
    answer = on_front(errors.copy(), accuracies.copy())
    if np.shape(answer) != errors.shape or np.asarray(answer).dtype != bool:
        return f"One boolean for each of {len(errors)} settings, not the shape {np.shape(answer)}."
    pairs = list(zip(errors, accuracies, strict=True))
    front = np.array([not any(e < x and a > y for e, a in pairs) for x, y in pairs])
    worst = np.array([not any(e > x and a > y for e, a in pairs) for x, y in pairs])
    if np.array_equal(answer, worst):
        return "This prefers large errors: a lower SSE is better, a higher accuracy is better."
    if np.sum(answer) <= 2 < front.sum():
        return "Almost nothing is left: a setting is beaten only by one that is better in both."
    if not np.array_equal(answer, front):
        return f"{front.sum()} settings are on the front, but this finds {np.sum(answer)}."
    return f"Right. {front.sum()} of {len(front)} settings are on the front."


@check("return one of rhos")
def choose_rho(choose_rho):
    """Is it the ρ whose code is probed best on validation images, not the one that draws best?

    The models stand in for trained ones: with the middle ρ, units see a block of pixels each; with
    the largest, drawings have no fault, but the one unit sees an empty corner.
    """
    data, rhos = digits(), (0.01, 0.1, 0.5)
    sees = {0.01: blocks()[:, 24:25], 0.1: blocks(), 0.5: blocks()[:, :1]}

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
    return "Right."
