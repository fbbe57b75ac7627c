"""One check per exercise: what was written → whether it is right, or what is probably wrong.

    checks.half_sse(half_sse)

A check is named after what it checks, calls it on a small example of its own, and prints one
sentence, which begins with "Right" if the answer is right; the cell fails
with it where nbgrader grades. A check gives its answer away: solve the exercise before you read it.
"""

from .lesson_01 import denoising_batches, half_sse, trained_autoencoder
from .lesson_02 import l2_gradient, tied_decoder, validation_accuracy
from .lesson_03 import diagnose, my_kl_sparsity, start_near
from .lesson_04 import find_lam1, l0, unit_features
from .lesson_05 import deeper_autoencoder, images_to_label, learn_from_small_digits
from .lesson_06 import choose_rho, on_front, sparsest_that_beats
from .lesson_07 import batch_topk, shrinkage

__all__ = [
    "batch_topk",
    "choose_rho",
    "deeper_autoencoder",
    "denoising_batches",
    "diagnose",
    "find_lam1",
    "half_sse",
    "images_to_label",
    "l0",
    "l2_gradient",
    "learn_from_small_digits",
    "my_kl_sparsity",
    "on_front",
    "shrinkage",
    "sparsest_that_beats",
    "start_near",
    "tied_decoder",
    "trained_autoencoder",
    "unit_features",
    "validation_accuracy",
]
