"""Every named setting, as plain data: what is trained for which table in data/.

A setting is a dict:

- hyperparameters by their keys in the vocabulary: rho and beta make a KLSparsity, lam1 an
  L1Sparsity, k a TopK, lam0 a JumpReLU, lam2 an L2Penalty
- layer: BatchTopK, to make k one of those
- arguments of build_autoencoder; its `kind` is the name of a class in modern.py
- arguments of train
- images: how many of the training images are used
- tied_start: whether the encoder starts as the transpose of the decoder
- anneal: k of a TopK in the first epoch, and after how many epochs it has its own value
- frozen: "encoder" or "decoder", the side that keeps its random start
- variant: one of VARIANTS, for the table
- baseline: features that need no training; nothing else is given then
"""

# Lessons 01 to 04

BASELINES = {
    name: {"baseline": name} for name in ("mean image", "pixels", "PCA-196", "random features")
}
RELU = {"activation": "relu", "learning_rate": 1e-3}
L1_L2 = {"lam1": 0.1, "lam2": 0.001}
SETTINGS = {
    "MSE": {},
    "MSE + L2": {"lam2": 0.01},
    "MSE + KLD": {"rho": 0.15, "beta": 0.5},
    "MSE + L2 + KLD": {"rho": 0.15, "beta": 0.5, "lam2": 0.01},
    "MSE + KLD, sparser": {"rho": 0.05, "beta": 3.0},
    "MSE + L2 + KLD, sparser": {"rho": 0.05, "beta": 3.0, "lam2": 0.003},
    # Lesson 04: codes without an upper limit, and the pairs of activation and penalty.
    "ReLU": RELU,
    "ReLU + L1": {**RELU, "lam1": 0.1},
    "ReLU + L1 + L2": {**RELU, **L1_L2},
    "ReLU + L1 + L2, softplus": {**RELU, **L1_L2, "reconstruction_activation": "softplus"},
    "sigmoid + L1 + L2": {**L1_L2, "learning_rate": 1e-3},
    "λ₂ = 0.001": {"lam2": 0.001},
}
# Lesson 02: does L2 help where there are few images?
SETTINGS |= {
    f"{name}, {images} images": {**SETTINGS[name], "images": images}
    for name in ("MSE", "λ₂ = 0.001")
    for images in (500, 2_000, 10_000)
}

# Lesson 05


def _of(*names):
    return {name: (BASELINES | SETTINGS)[name] for name in names}


SPARSER = "MSE + L2 + KLD, sparser"
CODES = _of("pixels", "PCA-196", "random features", "MSE", "MSE + L2", "MSE + KLD", SPARSER)
# Whose encoder a classifier starts from; None: Keras' own start.
STARTS = {"Glorot": None, **_of("MSE", "MSE + L2", "MSE + L2 + KLD", SPARSER)}

# Lesson 06


def _sweep():
    """Each axis is stated in lesson 06."""
    sparser = SETTINGS[SPARSER]
    settings = [
        {"rho": rho, "beta": beta, "lam2": 0.003}
        for rho in (0.02, 0.05, 0.1, 0.2, 0.5)
        for beta in (0.5, 1.0, 3.0, 10.0)
    ]
    settings += [{**sparser, "lam2": lam2} for lam2 in (0.0, 0.0003, 0.001, 0.01, 0.03)]
    settings += [{"lam2": lam2} for lam2 in (0.0, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)]
    settings += [
        {**RELU, "lam1": lam1, "lam2": lam2}
        for lam2 in (0.0, 0.001)
        for lam1 in (0.0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0)
    ]
    settings += [
        {**setting, "hidden_units": units}
        for units in (49, 100, 400, 784)
        for setting in (sparser, {"lam2": 0.0}, SETTINGS["ReLU + L1 + L2"])
    ]
    settings += [
        {**sparser, "beta": beta, "batch_size": batch_size}
        for batch_size in (32, 512)
        for beta in (1.0, 3.0, 10.0)
    ]
    return {sweep_name(**setting): setting for setting in settings}


def sweep_name(activation="sigmoid", hidden_units=196, batch_size=128, **others):
    """The name of a setting of the sweep, such as "sigmoid rho=0.05 beta=3 lam2=0.003"."""
    parts = [f"{key}={others[key]:g}" for key in ("rho", "beta", "lam1", "lam2") if key in others]
    parts += [f"units={hidden_units}"] if hidden_units != 196 else []
    parts += [f"batch={batch_size}"] if batch_size != 128 else []
    return " ".join([activation, *parts])


SWEEP = _sweep()

# Lesson 07

_LINEAR = {"activation": "linear", "reconstruction_activation": "linear"}
_LINEAR |= {"unit_norm": True, "tied_start": True, "learning_rate": 1e-3}
# Variant of sparse autoencoder → the key of what sets how sparse its code is, and the rest.
VARIANTS = {
    "L1": ("lam1", {**_LINEAR, "activation": "relu"}),
    "KLD": ("rho", {"beta": 3.0, "lam2": 0.003}),  # as in lesson 03: sigmoid, no tied start
    "TopK": ("k", _LINEAR),
    "BatchTopK": ("k", {**_LINEAR, "layer": "BatchTopK"}),
    "JumpReLU": ("lam0", _LINEAR),
    "Gated": ("lam1", {**_LINEAR, "kind": "GatedAutoencoder"}),
}


def variant_setting(variant, strength, **others):
    """The setting of one of today's sparse autoencoders: 1,000 units, 6 epochs.

    Args:
        variant: a key of VARIANTS.
        strength: λ₁, ρ, k, k, λ₀ or λ₁ again.
        others: of the setting, instead of the usual ones.
    """
    key, rest = VARIANTS[variant]
    usual = {"variant": variant, key: strength, "hidden_units": 1000, "epochs": 6}
    return {**usual, **rest, **others}


def _variants(strengths, **others):
    return {
        f"{variant} {strength:g}": variant_setting(variant, strength, **others)
        for variant, of_variant in strengths.items()
        for strength in of_variant
    }


STRENGTHS = {
    "L1": (0.1, 0.3, 0.6, 1.0),
    "KLD": (0.01, 0.02, 0.05, 0.1),
    "TopK": (10, 25, 50, 100),
    "BatchTopK": (25,),
    "JumpReLU": (0.03, 0.1, 0.3, 1.0),
    "Gated": (0.5, 1.0, 2.0, 4.0),
}
SAME_L0 = _variants(STRENGTHS)
_REVIVING = {"kind": "RevivingAutoencoder"}
REVIVALS = {
    "TopK 25, random start": variant_setting("TopK", 25, tied_start=False),
    "TopK 25, annealed": variant_setting("TopK", 25, anneal=(200, 3)),
    "TopK 25, auxiliary loss": variant_setting("TopK", 25, **_REVIVING),
    "TopK 25, annealed, auxiliary loss": variant_setting("TopK", 25, anneal=(200, 3), **_REVIVING),
}


# Why L1 does better here than in lesson 04: its model there, and all that differs here. Three
# epochs are enough: both ends come out as in the other tables, which have ten and six.
_IN_04 = {**SETTINGS["ReLU + L1 + L2, softplus"], "epochs": 3}
CHANGES = {
    "linear output": {"reconstruction_activation": "linear"},
    "unit norm": {"unit_norm": True, "lam2": None},  # takes the place of L2
    "tied start": {"tied_start": True},
    "λ₁ = 1": {"lam1": 1.0},
    "1,000 units": {"hidden_units": 1000},
}


def _changed(*changes):
    setting = _IN_04 | {key: value for name in changes for key, value in CHANGES[name].items()}
    return {key: value for key, value in setting.items() if value is not None}


L1_CHANGES = {
    "lesson 04": _changed(),
    **{f"lesson 04 + {name}": _changed(name) for name in CHANGES},
    **{f"lesson 07 − {name}": _changed(*(CHANGES.keys() - {name})) for name in CHANGES},
    "lesson 07": _changed(*CHANGES),
}

# Lesson 08

CONTROLS = {
    f"TopK 25, {side} frozen": variant_setting("TopK", 25, frozen=side)
    for side in ("decoder", "encoder")
}
# Examples made of known features are no images.
_EXAMPLES = {"hidden_units": 256, "pixels": 64}
_EXAMPLES |= {"epochs": 10, "steps_per_epoch": 400, "learning_rate": 3e-3}


def _recovery(variant, strength, **others):
    return variant_setting(variant, strength, **{**_EXAMPLES, **others})


RECOVERY = _variants(
    {"TopK": (2, 5, 8, 16, 32), "L1": (0.2, 0.4), "JumpReLU": (0.02, 0.05)},
    **_EXAMPLES,
)
RECOVERY |= {
    f"TopK {k}, {units} units": _recovery("TopK", k, hidden_units=units)
    for k, units in ((5, 64), (16, 64), (5, 512))
}
RECOVERY["TopK 5, Matryoshka"] = _recovery("TopK", 5, kind="MatryoshkaAutoencoder")
RECOVERY |= {
    f"TopK 5, {side} frozen": _recovery("TopK", 5, frozen=side) for side in ("decoder", "encoder")
}
OVERLAP = {name: SETTINGS[name] for name in ("MSE", "MSE + L2", SPARSER)}
OVERLAP |= {"L1": {**VARIANTS["L1"][1], "lam1": 1.0}, "TopK": {**_LINEAR, "k": 25}}
INSIDE = {"trained": True, "untrained": False}

_PAPERS = {"k": 25, "hidden_units": 1000, "epochs": 60, "tied_start": True, "anneal": (100, 12)}
K_SPARSE = {"k-sparse, k = 25": _PAPERS}
