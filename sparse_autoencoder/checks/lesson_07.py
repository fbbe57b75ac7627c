"""Checks of the exercises of lesson 07."""

import numpy as np

from .verdicts import blocks, check, digits


@check("return the code")
def batch_topk(batch_topk):
    """Are the k·n largest of a whole batch kept, if positive, with their values?"""
    code = np.array([[0.1, 0.3, -0.2, 0.2], [2.0, 0.9, 0.8, 0.7], [-1.0, 0.5, 0.4, -0.6]])
    answer, everything = (batch_topk(code.copy(), k) for k in (2, 4))
    if np.shape(answer) != code.shape:
        return f"The code keeps its shape {code.shape}: not {np.shape(answer)}, but 0 for the rest."
    if min(np.min(answer), np.min(everything)) < 0:
        return "A negative activation was kept: only positive ones may be, even if fewer stay."
    active = np.count_nonzero(answer, axis=1).tolist()
    if active == [2, 2, 2]:
        return "This keeps 2 in each image, which is TopK: let the images of a batch compete."
    if sum(active) == 2:
        return "Only k are left of the whole batch: k for each image on average makes k·n."
    if active != [0, 4, 2]:
        return f"With k = 2, the three images should have 0, 4 and 2 active units, not {active}."
    if not np.allclose(answer, code * (code >= 0.4)):
        return "The right units are active, but what is kept should keep its value."
    if not np.allclose(everything, np.maximum(code, 0)):
        return "With k = 4 of 4 units, every positive activation should be kept."
    return "Right."


@check("return the number")
def shrinkage(shrinkage):
    """Is γ 0.8, where the best drawings with some features come at 80 % of their size?"""
    images = digits().x_validation.astype("float64")
    x = images - images.mean(axis=0)
    drawn = 0.8 * x @ blocks() @ blocks().T
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
    return "Right." if np.isclose(answer, 0.8) else f"Drawn at 80 %, γ is 0.8, not {answer:.3f}."
