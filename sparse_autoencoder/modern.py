"""Today's ways to a sparse code, derived in lesson 07: TopK, BatchTopK, JumpReLU and Gated.

Each stands behind an encoder without an activation, as KLSparsity and L1Sparsity stand behind
theirs: build_autoencoder(1000, "linear", "linear", sparsity=TopK(25), unit_norm=True).
"""

import keras
import tensorflow as tf
from keras import ops

from .arrays import NOISE, as_images, as_tensor
from .image_model import Penalty, hyperparameter
from .model import Autoencoder, serializable, sse


@serializable
class TopK(keras.layers.Layer):
    """Keeps the k largest activations of each image, if positive, and sets the others to 0.

    There is no penalty: L0 is at most k by construction. Makhzani & Frey 2013 (k-sparse
    autoencoders), Gao et al. 2024.

    Args:
        k: active units per image, at most; it can be changed while the model trains.

    Raises:
        ValueError: k below 1.
    """

    def __init__(self, k, name="top_k", **kwargs):
        super().__init__(name=name, **kwargs)
        self.k = hyperparameter(self, "k", "k", k)

    @property
    def hyperparameters(self):
        """Key in the vocabulary → the variable."""
        return {"k": self.k}

    def call(self, code):
        kth_largest = kth_largest_of(ops.stop_gradient(code), self.k)
        return ops.where(code >= kth_largest, ops.relu(code), 0.0)

    def get_config(self):
        return super().get_config() | {"k": float(self.k)}


@serializable
class BatchTopK(TopK):
    """Keeps the k·n largest activations of a batch of n images, if positive, the others 0.

    So much while a model trains. After that `threshold` takes the place of the competition: the
    running mean of the smallest activation that was kept. So the code of an image does not depend
    on the batch it comes in, and L0 is about k. Bussmann et al. 2024.

    Args:
        k: active units per image, on average; it can be changed while the model trains.

    Raises:
        ValueError: k below 1.
    """

    def __init__(self, k, name="batch_top_k", **kwargs):
        super().__init__(k, name=name, **kwargs)
        self.threshold = self.add_weight(
            name="threshold", shape=(), initializer="zeros", trainable=False
        )

    def call(self, code, training=None):
        threshold = self.threshold
        if training:
            batch = ops.reshape(ops.stop_gradient(code), (1, -1))
            kept = self.k * ops.cast(ops.shape(code)[0], code.dtype)
            threshold = ops.relu(kth_largest_of(batch, kept)[0, 0])
            self.threshold.assign(0.99 * self.threshold + 0.01 * threshold)
        return ops.where(code >= threshold, ops.relu(code), 0.0)


def kth_largest_of(code, k, halvings=40):
    """The k-th largest activation of each image: (batch, units) → (batch, 1).

    By halving an interval: compiled, a twentieth of ops.top_k's time, and k may be a variable.
    """

    def halve(_, interval):
        low, high = interval
        middle = low + (high - low) / 2
        enough = ops.sum(ops.cast(code >= middle, code.dtype), axis=-1, keepdims=True) >= k
        return ops.where(enough, middle, low), ops.where(enough, high, middle)

    ends = ops.min(code, axis=-1, keepdims=True), ops.max(code, axis=-1, keepdims=True)
    low, high = ops.fori_loop(0, halvings, halve, ends)
    # The interval has become as narrow as the numbers allow; the largest of all may be its end.
    at_least = ops.sum(ops.cast(code >= high, code.dtype), axis=-1, keepdims=True) >= k
    return ops.where(at_least, high, low)


@serializable
class JumpReLU(Penalty):
    """z·H(z − θ), θ a threshold of each unit, and λ₀ times the number of active units, "l0".

    The step H has no slope, so the gradient reaches θ through a window of width ε around the
    threshold: a straight-through estimator. Rajamanoharan et al. 2024b.

    Args:
        lam: L0 strength λ₀, 0 or more.
        theta: threshold of every unit at the start; each then learns how far its own lies from it.
        width: ε of the window.

    Raises:
        ValueError: a number out of range.
    """

    keys = {"lam": "lam0", "theta": "theta"}

    def __init__(self, lam, theta=0.1, width=0.1, **kwargs):
        if not width > 0:
            raise ValueError(f"The width of the window is {width:g}, but it must be above 0.")
        super().__init__("l0", {"lam": lam, "theta": theta}, **kwargs)
        self.width = width

    def build(self, input_shape):
        self.offset = self.add_weight(name="offset", shape=input_shape[-1:], initializer="zeros")

    def call(self, code):
        theta = self.theta + self.offset
        # As relu(θ), but with the slope 1 below 0 too: there θ would never learn again.
        theta += ops.stop_gradient(ops.relu(theta) - theta)
        kept, active = jump(code, theta, self.width)
        term = self.lam * ops.mean(ops.sum(active, axis=-1))
        self.add_term(term, ops.shape(code)[0])
        return kept

    def get_config(self):
        return super().get_config() | {"width": self.width}


@tf.custom_gradient
def jump(z, theta, width):
    """z·H(z − θ) and H(z − θ), (batch, units) both, with a gradient by θ (units,)."""
    active = tf.cast(z > theta, z.dtype)

    def gradient(by_kept, by_active):
        near = tf.cast(tf.abs(z - theta) < width / 2, z.dtype) / width
        by_theta = -tf.reduce_sum(near * (theta * by_kept + by_active), axis=0)
        return active * by_kept, by_theta, None

    return (z * active, active), gradient


@serializable
class OtherError(Penalty):
    """Adds the error of another reconstruction than the model's to the loss.

    Args:
        term: what it is reported as.
    """

    def __init__(self, term, **kwargs):
        super().__init__(term, **kwargs)

    def call(self, value):
        self.add_term(value)
        return value

    def get_config(self):
        return super().get_config() | {"term": self.term.name}


@serializable
class GatedAutoencoder(Autoencoder):
    """One path says which units are active, another how much; only the first is penalised.

    So L1 need not shrink the activations. The gate learns from a reconstruction of its own, which
    does not train the decoder; its error is reported as "gate". Rajamanoharan et al. 2024a.

    Args:
        encoder: a Dense layer without an activation.
        decoder: likewise.
        sparsity: L1Sparsity on the gate.
        l2: an L2Penalty on the two kernels, or None.
    """

    def __init__(self, encoder, decoder, sparsity, l2=None, **kwargs):
        super().__init__(encoder, decoder, sparsity, l2, **kwargs)
        self.gate_error = OtherError("gate")

    def build(self, input_shape):
        super().build(input_shape)
        zeros = {"shape": (self.encoder.units,), "initializer": "zeros"}
        self.log_scale = self.add_weight(name="log_scale", **zeros)
        self.shift = self.add_weight(name="shift", **zeros)

    def encode(self, images):
        """The code, (n, units), of images, (n, pixels)."""
        z = self.encoder(as_tensor(images, self, slack=NOISE))
        return ops.where(z > 0, ops.relu(ops.exp(self.log_scale) * z + self.shift), 0.0)

    def call(self, images):
        gate = self.sparsity(ops.relu(self.encoder(images)))
        W2, b2 = (ops.stop_gradient(weights) for weights in self.decoder.weights)
        self.gate_error(ops.mean(sse(images, gate @ W2 + b2)))
        return self.decode(self.encode(images))


@serializable
class RevivingAutoencoder(Autoencoder):
    """A TopK autoencoder whose dead units learn to draw what the living ones left over.

    A unit is dead here once it was active in no image of `patience` steps. This auxiliary loss is
    reported as "aux". Gao et al. 2024 ("AuxK").

    Args:
        encoder: a Dense layer without an activation.
        decoder: likewise.
        sparsity: a TopK layer.
        l2: an L2Penalty on the two kernels, or None.
        revived: dead units that may be active in an image, at most.
        weight: the strength of their error in the loss.
        patience: steps.
    """

    def __init__(
        self, encoder, decoder, sparsity, l2=None, revived=64, weight=1 / 32, patience=390, **kwargs
    ):
        super().__init__(encoder, decoder, sparsity, l2, **kwargs)
        self.revived, self.weight, self.patience = revived, weight, patience
        self.auxiliary, self.of_the_dead = OtherError("aux"), TopK(revived)

    def build(self, input_shape):
        super().build(input_shape)
        units = {"shape": (self.encoder.units,), "initializer": "zeros", "trainable": False}
        self.silent = self.add_weight(name="silent", **units)  # for how many steps

    def call(self, images, training=False):
        z = self.encoder(images)
        code = self.sparsity(z)
        reconstructions = self.decode(code)
        if training:
            self.silent.assign(ops.where(ops.any(code > 0, axis=0), 0.0, self.silent + 1))
        dead = self.silent >= self.patience
        code_of_the_dead = self.of_the_dead(ops.where(dead, z, 0.0))
        left_over = ops.stop_gradient(images - reconstructions)
        from_the_dead = code_of_the_dead @ ops.convert_to_tensor(self.decoder.kernel)
        error = ops.mean(sse(left_over, from_the_dead))
        self.auxiliary(ops.where(ops.any(dead), self.weight * error, 0.0))
        return reconstructions

    def get_config(self):
        own = {"revived": self.revived, "weight": self.weight, "patience": self.patience}
        return super().get_config() | own


@serializable
class MatryoshkaAutoencoder(Autoencoder):
    """The first units draw as well as they can without the others, at several places at once.

    The error of the first eighth, quarter and half of the units is added to that of all. So what is
    general moves to the front, and cannot hide in units that stand for special cases. Bussmann et
    al. 2025 (arXiv 2503.17547).

    Args:
        encoder: a Dense layer without an activation.
        decoder: likewise.
        sparsity: a TopK layer.
        l2: an L2Penalty on the two kernels, or None.
        parts: the shares of the units that draw without the rest.
    """

    def __init__(self, encoder, decoder, sparsity, l2=None, parts=(1 / 8, 1 / 4, 1 / 2), **kwargs):
        super().__init__(encoder, decoder, sparsity, l2, **kwargs)
        self.parts, self.nested_error = parts, OtherError("nested")

    def call(self, images, training=None):  # asked for, so that the layers within are told
        code = self.encode(images)
        W2, b2 = (ops.convert_to_tensor(weights) for weights in self.decoder.weights)
        firsts = [round(part * W2.shape[0]) for part in self.parts]
        drawn = [code[:, :first] @ W2[:first] + b2 for first in firsts]
        self.nested_error(sum(ops.mean(sse(images, part)) for part in drawn))
        return self.decode(code)

    def get_config(self):
        return super().get_config() | {"parts": self.parts}


class TiedDecoder(keras.layers.Layer):
    """A linear decoder with no weights of its own but a bias: W2 = W1ᵀ, throughout training.

    A model with it cannot be saved to a file: encoder and decoder would come apart.

    Args:
        encoder: a built layer with a `kernel`, (pixels, units).
    """

    def __init__(self, encoder):
        super().__init__(name="decoder", dtype=encoder.dtype_policy)
        self._encoder = lambda: encoder  # an attribute of its own would count its weights twice
        pixels = encoder.kernel.shape[:1]
        self.bias = self.add_weight(name="bias", shape=pixels, initializer="zeros")

    @property
    def kernel(self):
        """W2, (units, pixels)."""
        return ops.transpose(self._encoder().kernel)

    def call(self, code):
        return code @ self.kernel + self.bias


def start_tied(autoencoder, images):
    """Start an autoencoder with a linear encoder and decoder as the transpose of its decoder.

    W1 = W2ᵀ, the reconstruction starts from the mean image, and the code measures how far an image
    lies from it along each row of W2. Fewer units begin dead.

    Args:
        autoencoder: a built one, whose weights are changed.
        images: (n, pixels), of which the mean is taken.
    """
    mean = ops.mean(as_images(images, autoencoder), axis=0)
    W1 = ops.transpose(autoencoder.decoder.kernel)
    autoencoder.encoder.kernel.assign(W1)
    autoencoder.encoder.bias.assign(-ops.matmul(mean, W1))
    autoencoder.decoder.bias.assign(mean)


class Anneal(keras.callbacks.Callback):
    """Lowers k of a TopK layer from `start` to its own value in even steps, one an epoch.

    Args:
        layer: a TopK of the model that trains.
        start: k in the first epoch.
        epochs: until k has its own value again.

    Raises:
        ValueError: when training begins, if the layer is not part of the model.
    """

    def __init__(self, layer, start, epochs):
        super().__init__()
        self.k = layer.k
        self.course = ops.convert_to_numpy(ops.linspace(start, layer.k, epochs))

    def get_config(self):
        """What it does to k: the value of each epoch."""
        return {"course": self.course.tolist()}

    def on_train_begin(self, logs=None):
        if not any(self.k is variable for variable in self.model.variables):
            raise ValueError("Anneal's layer is not part of the model: give it the one that is.")

    def on_epoch_begin(self, epoch, logs=None):
        self.k.assign(round(float(self.course[min(epoch, len(self.course) - 1)])))
