"""Named settings built, trained and measured; settings.py says what a setting holds."""

import numpy as np

from .. import measures, modern
from ..model import Autoencoder, KLSparsity, L1Sparsity, build_autoencoder
from ..training import train

BUILDING = {"hidden_units", "activation", "reconstruction_activation", "lam2", "pixels"}
BUILDING |= {"unit_norm"}
TRAINING = {"epochs", "steps_per_epoch", "learning_rate", "batch_size"}


def build(setting):
    """The untrained autoencoder of a setting, such as SETTINGS["MSE + L2"]."""
    sparsity = KLSparsity(setting["rho"], setting["beta"]) if "rho" in setting else None
    top_k = getattr(modern, setting.get("layer", "TopK"))
    for key, layer in (("lam1", L1Sparsity), ("k", top_k), ("lam0", modern.JumpReLU)):
        if key in setting:
            sparsity = layer(setting[key])
    kind = getattr(modern, setting["kind"]) if "kind" in setting else Autoencoder
    given = {key: setting[key] for key in BUILDING & setting.keys()}
    return build_autoencoder(sparsity=sparsity, kind=kind, **given)


def fit(model, setting, images, validation_images=None, **others):
    """Train the model of a setting; returns the History of train.

    Args:
        model: of build(setting).
        setting: a dict, as in settings.py.
        images: (n, pixels).
        validation_images: likewise; None for no validation.
        others: arguments of train, such as seed, also instead of the setting's.
    """
    if setting.get("tied_start"):
        modern.start_tied(model, images)
    if "frozen" in setting:
        getattr(model, setting["frozen"]).trainable = False
    callbacks = [modern.Anneal(model.sparsity, *setting["anneal"])] if "anneal" in setting else []
    given = {key: setting[key] for key in TRAINING & setting.keys()}
    given = {"progress": False, "callbacks": callbacks, **given, **others}
    return train(model, images, validation_images, **given)


def baseline(name, seed, images):
    """Features that are not trained on images, or only PCA's.

    Args:
        name: a key of BASELINES.
        seed: of PCA.
        images: (n, pixels), what a mean image and PCA are taken of.

    Returns:
        (encode, reconstruct), functions of images; None for what a baseline cannot do.
    """
    if name == "mean image":
        mean = images.mean(axis=0)
        return None, lambda x: np.broadcast_to(mean, x.shape)
    if name == "pixels":
        return np.asarray, None
    if name == "PCA-196":
        from sklearn.decomposition import PCA

        pca = PCA(196, random_state=seed).fit(images)
        return pca.transform, lambda x: pca.inverse_transform(pca.transform(x))
    return build({}).encode, None  # random features: an encoder that was never trained


def code_metrics(model, images):
    """Today's figures of a code, on images, (n, pixels).

    Units of a sigmoid code that are not active are set to 0 first, as other codes have them.

    Returns:
        a dict: l0, active units in an image; fvu, fraction of variance unexplained; size, γ of the
        reconstructions; dead, percent of units that no image makes active.
    """
    code = np.array(model.encode(images))
    only_active = np.where(code > measures.active_above(model)[0], code, 0)
    reconstructions = np.asarray(model.decoder(only_active))
    return {
        "l0": measures.active_units(code, model).mean(),
        "fvu": measures.unexplained_variance(images, reconstructions),
        "size": measures.size_of_reconstructions(images, reconstructions),
        "dead": 100 * measures.dead_units(code, model).mean(),
    }
