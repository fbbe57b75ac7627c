"""Checks of the exercises of lesson 04."""

import numpy as np

from .verdicts import check


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
    return (
        "Right." if np.isclose(answer, 2) else f"Expected 2 active units per image, got {answer}."
    )


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
    if np.allclose(np.maximum(x @ answer[0] + answer[1], 0) @ answer[2], drawn):
        return "Right."
    return "The drawings changed: where W2 is divided by a norm, W1 and b1 are multiplied by it."


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
    return "Right."
