"""What lessons 01 to 04 derive: the squared error, the penalties and the autoencoder.

The loss of a model, per image, averaged over the batch:

    SSE  +  λ₂·½(‖W1‖² + ‖W2‖²)  +  β·Σⱼ KL(ρ‖ρ̂ⱼ)  or  λ₁·Σⱼ |hⱼ|

The source of the formulas and settings is credited in README.md.
"""

import keras
from keras import layers, ops

from .arrays import NOISE, activation_of, as_tensor, lies_between_0_and_1
from .image_model import ImageModel, Penalty

KL_EPSILON = 1e-6  # ε: KL follows its tangent where ρ̂ is closer than this to 0 or 1

serializable = keras.saving.register_keras_serializable(package="sparse_autoencoder")


@serializable
def sse(images, reconstructions):
    """Squared error summed over pixels: (batch, pixels) twice → (batch,).

    Keras averages it over the batch. Its own "mse" is this divided by the number of pixels.

    Raises:
        ValueError: the reconstructions have another shape.
    """
    reconstructions = ops.convert_to_tensor(reconstructions)
    if images.shape[1:] != reconstructions.shape[1:]:
        raise ValueError(
            f"Images of shape {tuple(images.shape[1:])} cannot be compared with reconstructions of "
            f"shape {tuple(reconstructions.shape[1:])}: the model's last layer must draw as many "
            "numbers as an image has."
        )
    return sum_of_each(ops.square(ops.cast(images, reconstructions.dtype) - reconstructions))


def sum_of_each(batch):
    """The sum over all numbers of an image or of a code: (batch, ...) → (batch,)."""
    return ops.sum(batch, axis=tuple(range(1, len(batch.shape))))


def kl_divergence(rho, rho_hat):
    """KL(ρ‖ρ̂) between two coins that show heads with probability ρ and ρ̂, element by element.

    Outside [ε, 1−ε] it follows its tangent, so value and gradient stay finite and push ρ̂ back.
    """
    rho_hat = ops.convert_to_tensor(rho_hat)
    inside = ops.clip(rho_hat, KL_EPSILON, 1 - KL_EPSILON)
    rest = ops.clip(1 - rho_hat, KL_EPSILON, 1 - KL_EPSILON)  # 1 − inside, without rounding
    slope = (1 - rho) / rest - rho / inside
    outside = ops.where(rho_hat < 0.5, rho_hat - inside, rest - (1 - rho_hat))  # likewise
    value = rho * ops.log(rho / inside) + (1 - rho) * ops.log((1 - rho) / rest)
    return value + slope * outside


def kernels_of(part):
    """The weight matrices of a layer, or of all layers of a model within the model."""
    inner = [weight for weight in part.weights if len(weight.shape) > 1]
    return [part.kernel] if hasattr(part, "kernel") else inner


def check_probability(encoder):
    """Refuse KLSparsity behind an encoder whose code need not lie between 0 and 1."""
    activation = activation_of(encoder)
    if activation is not None and not lies_between_0_and_1(activation):
        name = getattr(activation, "__name__", type(activation).__name__)
        raise ValueError(
            f"KLSparsity reads a unit's mean activation as a probability, but {name} activations "
            "need not lie between 0 and 1: use a sigmoid encoder, or L1Sparsity."
        )


@serializable
class KLSparsity(Penalty):
    """Passes the code through and adds β·Σⱼ KL(ρ‖ρ̂ⱼ), reported as "kl".

    ρ̂ⱼ is the mean activation of hidden unit j over the batch. The code, (batch, units), must lie
    between 0 and 1: use it behind a sigmoid.

    Args:
        rho: target activation ρ, between 0 and 1 (both excluded).
        beta: KL strength β, 0 or more.

    Raises:
        ValueError: ρ or β out of range.
    """

    keys = {"rho": "rho", "beta": "beta"}

    def __init__(self, rho, beta, **kwargs):
        super().__init__("kl", {"rho": rho, "beta": beta}, **kwargs)

    def __call__(self, code, **kwargs):
        if hasattr(code, "_keras_history"):  # of a Sequential or functional model that is built
            check_probability(code._keras_history.operation)
        return super().__call__(code, **kwargs)

    def call(self, code):
        rho_hat = ops.mean(code, axis=0)
        term = self.beta * ops.sum(kl_divergence(self.rho, rho_hat))
        self.add_term(term, ops.shape(code)[0])
        return code


@serializable
class L1Sparsity(Penalty):
    """Passes the code through and adds λ₁·Σⱼ |hⱼ| per image, averaged over the batch, as "l1".

    Args:
        lam: L1 strength λ₁, 0 or more.

    Raises:
        ValueError: λ₁ out of range.
    """

    keys = {"lam": "lam1"}

    def __init__(self, lam, **kwargs):
        super().__init__("l1", {"lam": lam}, **kwargs)

    def call(self, code):
        term = self.lam * ops.mean(sum_of_each(ops.abs(code)))
        self.add_term(term, ops.shape(code)[0])
        return code


@serializable
class L2Penalty(Penalty):
    """Adds λ₂·½(‖W1‖² + ‖W2‖²) for the weight matrices it is called with, reported as "l2".

    It is a penalty on the loss, so Adam scales its gradient like any other; AdamW's "weight
    decay" is not the same thing. Biases are left alone.

    Args:
        lam: L2 strength λ₂, 0 or more.

    Raises:
        ValueError: λ₂ out of range.
    """

    keys = {"lam": "lam2"}

    def __init__(self, lam, **kwargs):
        super().__init__("l2", {"lam": lam}, **kwargs)

    def call(self, matrices):
        squares = sum(ops.sum(ops.square(matrix)) for matrix in matrices)
        self.add_term(self.lam * 0.5 * squares)
        return matrices


@serializable
class Autoencoder(ImageModel):
    """images → encoder → code → (sparsity penalty) → decoder → reconstructions.

    Args:
        encoder: a layer with a `kernel`, such as Dense.
        decoder: likewise.
        sparsity: a layer the code passes through, such as KLSparsity or L1Sparsity, or None.
        l2: an L2Penalty on the two kernels, or None.

    Raises:
        ValueError: KLSparsity behind an encoder whose code need not lie between 0 and 1.
    """

    def __init__(self, encoder, decoder, sparsity=None, l2=None, **kwargs):
        super().__init__(**kwargs)
        if isinstance(sparsity, KLSparsity):
            check_probability(encoder)
        self.encoder, self.decoder = encoder, decoder
        self.sparsity, self.l2 = sparsity, l2

    def build(self, input_shape):
        code_shape = self.encoder.compute_output_shape(input_shape)
        shapes = {self.encoder: input_shape, self.sparsity: code_shape, self.decoder: code_shape}
        for layer, shape in shapes.items():
            if layer is not None and not layer.built:  # after loading, all are
                layer.build(shape)

    def encode(self, images):
        """The code, (n, units), of images, (n, pixels)."""
        code = self.encoder(as_tensor(images, self, slack=NOISE))
        return code if self.sparsity is None else self.sparsity(code)

    def decode(self, code):
        """Reconstructions, (n, pixels), of a code, (n, units)."""
        if self.l2 is not None:
            self.l2([*kernels_of(self.encoder), *kernels_of(self.decoder)])
        return self.decoder(code)

    def call(self, images, training=None):  # asked for, so that Keras tells the layers within
        return self.decode(self.encode(images))

    def get_config(self):
        parts = {name: getattr(self, name) for name in ("encoder", "decoder", "sparsity", "l2")}
        return super().get_config() | keras.saving.serialize_keras_object(parts)

    @classmethod
    def from_config(cls, config):
        return cls(**keras.saving.deserialize_keras_object(config))


def build_autoencoder(
    hidden_units=196,
    activation="sigmoid",
    reconstruction_activation="sigmoid",
    sparsity=None,
    lam2=None,
    pixels=784,
    unit_norm=False,
    kind=Autoencoder,
):
    """An untrained Autoencoder, pixels → hidden_units → pixels.

    Args:
        hidden_units: numbers in the code.
        activation: of the code; the course uses "sigmoid" and "relu".
        reconstruction_activation: of the reconstruction; "sigmoid" or "softplus".
        sparsity: a layer the code passes through, such as KLSparsity(rho, beta), or None.
        lam2: L2 strength λ₂; None leaves the term out, 0 keeps it, switched off.
        pixels: numbers in an image.
        unit_norm: keep each row of W2, what one unit draws, at length 1, so that no penalty on the
            code can be dodged by a small code and a large decoder.
        kind: Autoencoder, or another class made of the same four parts.

    Raises:
        ValueError: KLSparsity with a code that need not lie between 0 and 1, or λ₂ out of range.
    """
    norm = keras.constraints.UnitNorm(axis=1) if unit_norm else None
    encoder = layers.Dense(hidden_units, activation, name="encoder")
    decoder = layers.Dense(pixels, reconstruction_activation, name="decoder")
    decoder.kernel_constraint = norm
    l2 = None if lam2 is None else L2Penalty(lam2)
    autoencoder = kind(encoder, decoder, sparsity, l2, name="autoencoder")
    autoencoder.build((None, pixels))
    if unit_norm:
        decoder.kernel.assign(norm(decoder.kernel))
    return autoencoder
