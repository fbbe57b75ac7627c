"""Today's ways to a sparse code, derived in lesson 07: TopK, JumpReLU and Gated.

Each is a layer that the code passes through, as KLSparsity and L1Sparsity are, behind an encoder
without an activation: build_autoencoder(activation="linear", sparsity=TopK(25), ...).
"""

from sparse_autoencoder import Autoencoder, Penalty, keras, ops, serializable, tf


@serializable
class TopK(keras.layers.Layer):
    """Keeps the k largest activations of each image, if positive, and sets the others to 0.

    There is no penalty: L0 is k by construction. Makhzani & Frey 2013 (k-sparse autoencoders),
    Gao et al. 2024.

    Args:
        k: active units per image, at most; assign another to `k` and compile again to change it.
    """

    def __init__(self, k, **kwargs):
        super().__init__(**kwargs)
        self.k = k

    def call(self, code):
        kth_largest = ops.top_k(code, self.k).values[:, -1:]
        return ops.where(code >= kth_largest, ops.relu(code), 0.0)

    def get_config(self):
        return super().get_config() | {"k": self.k}


@serializable
class JumpReLU(Penalty):
    """z·H(z − θ), with a threshold θ for each unit, and λ₀ times the number of active units.

    The step H has no slope, so the gradient reaches θ through a window of width ε around the
    threshold: a straight-through estimator. Rajamanoharan et al. 2024b.

    Args:
        lam: L0 weight λ₀, 0 or more.
        threshold: of every unit, at the start.
        width: ε of the window.
    """

    def __init__(self, lam, threshold=0.1, width=0.1, **kwargs):
        super().__init__("l0", **kwargs)
        self.lam = self._setting("lam", lam)
        self.threshold, self.width = threshold, width

    def build(self, input_shape):
        start = keras.initializers.Constant(self.threshold)
        self.theta = self.add_weight(name="theta", shape=input_shape[-1:], initializer=start)

    def call(self, code):
        kept, active = jump(code, ops.relu(self.theta), self.width)
        self.add_loss(self.lam * ops.mean(ops.sum(active, axis=-1)))
        return kept

    def get_config(self):
        settings = {"threshold": self.threshold, "width": self.width}
        return super().get_config() | settings | {"lam": float(self.lam)}


def jump(z, theta, width):
    """z·H(z − θ) and H(z − θ), (batch, units) both, with a gradient by θ (units,)."""

    @tf.custom_gradient
    def both(z, theta):
        active = tf.cast(z > theta, z.dtype)

        def gradient(by_kept, by_active):
            window = tf.cast(tf.abs(z - theta) < width / 2, z.dtype) / width
            by_theta = -tf.reduce_sum((theta * by_kept + by_active) * window, axis=0)
            return active * by_kept, by_theta

        return (z * active, active), gradient

    return both(z, theta)


@serializable
class GatedAutoencoder(Autoencoder):
    """One path says which units are active, another how much; only the first is penalised.

    So L1 need not shrink the activations. The gate learns from a reconstruction of its own, which
    does not train the decoder. Rajamanoharan et al. 2024a.

    Args:
        encoder, decoder: Dense layers without an activation.
        lam: L1 weight λ₁ of the gate, 0 or more.
    """

    def __init__(self, encoder, decoder, lam=0.0, **kwargs):
        super().__init__(encoder, decoder, **kwargs)
        self.lam = lam

    def build(self, input_shape):
        super().build(input_shape)
        zeros = {"shape": (self.encoder.units,), "initializer": "zeros"}
        self.log_scale = self.add_weight(name="log_scale", **zeros)
        self.shift = self.add_weight(name="shift", **zeros)

    def encode(self, images):
        z = self.encoder(images)
        return ops.where(z > 0, ops.relu(ops.exp(self.log_scale) * z + self.shift), 0.0)

    def call(self, images):
        gate = ops.relu(self.encoder(images))
        self.add_loss(self.lam * ops.mean(ops.sum(gate, axis=-1)))
        W2, b2 = (ops.stop_gradient(weights) for weights in self.decoder.weights)
        self.add_loss(ops.mean(ops.sum(ops.square(images - gate @ W2 - b2), axis=-1)))
        return self.decoder(self.encode(images))

    def get_config(self):
        return super().get_config() | {"lam": self.lam}
