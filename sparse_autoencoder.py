"""What the lessons derive: the autoencoder, its penalties and how it is trained.

Lessons 01 to 04 build each piece step by step; later lessons import it from here.
The loss of a model, per image, averaged over the batch:

    SSE  +  λ₂·½(‖W1‖² + ‖W2‖²)  +  β·Σⱼ KL(ρ‖ρ̂ⱼ)  or  λ₁·Σⱼ |hⱼ|

The source of the formulas and settings is credited in README.md.
"""

import contextlib
import math
import os
import sys
import tempfile

import numpy as np


@contextlib.contextmanager
def _without_log_lines():
    """Keep TensorFlow's C++ log lines off the page; if the import fails, show them after all."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except BaseException:
            log.seek(0)
            os.write(stderr, log.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


with _without_log_lines():
    import keras
    import tensorflow as tf
    from keras import ops
    from tqdm import tqdm
    from tqdm.keras import TqdmCallback

tf.get_logger().setLevel("ERROR")  # else training several models warns of "retracing"

# KL(ρ‖ρ̂) needs ρ̂ to be a probability: these activations stay between 0 and 1.
ACTIVATIONS_BETWEEN_0_AND_1 = ("sigmoid", "hard_sigmoid", "softmax")
KL_EPSILON = 1e-6  # KL follows its tangent where ρ̂ is closer than this to 0 or 1

serializable = keras.saving.register_keras_serializable(package="sparse_autoencoder")


@serializable
def sse(images, reconstructions):
    """Squared error summed over pixels: (batch, pixels) twice → (batch,).

    Keras averages it over the batch. Its own "mse" is this divided by the number of pixels.
    """
    return ops.sum(ops.square(images - reconstructions), axis=-1)


def kl_divergence(rho, rho_hat):
    """KL(ρ‖ρ̂) between two coins that show heads with probability ρ and ρ̂, element by element.

    Outside [ε, 1−ε] with ε = 1e-6 it goes on along its tangent, so value and gradient stay
    finite and push ρ̂ back.
    """
    rho_hat = ops.convert_to_tensor(rho_hat)
    inside = ops.clip(rho_hat, KL_EPSILON, 1 - KL_EPSILON)
    rest = ops.clip(1 - rho_hat, KL_EPSILON, 1 - KL_EPSILON)  # 1 − inside, without rounding
    slope = (1 - rho) / rest - rho / inside
    # Above 1 − ε the distance is taken from `rest`, since 1 − ε itself is rounded in float32.
    outside = ops.where(rho_hat < 0.5, rho_hat - inside, rest - (1 - rho_hat))
    value = rho * ops.log(rho / inside) + (1 - rho) * ops.log((1 - rho) / rest)
    return value + slope * outside


def check(name, value, low=0.0, high=math.inf, inclusive=True):
    """Raise a ValueError that names the setting, what it was and what it may be."""
    value = float(value)
    inside = low <= value <= high if inclusive else low < value < high
    if not (inside and math.isfinite(value)):
        allowed = f"between {low:g} and {high:g}"
        if high == math.inf:
            allowed = f"finite and {low:g} or more"
        if not inclusive:
            allowed += ", both excluded"
        raise ValueError(f"{name} is {value:g}, but it must be {allowed}.")


def setting(layer, name, value):
    """A number that a layer keeps as a variable: it can be changed while the model trains."""
    return layer.add_weight(
        name=name,
        shape=(),
        initializer=keras.initializers.Constant(float(value)),
        trainable=False,
    )


class Penalty(keras.layers.Layer):
    """A layer that adds one term to the loss; Autoencoder reports it under the term's name.

    The settings of a penalty are variables: assign to them while the model trains
    (`penalty.beta.assign(0)`), also after it was saved and loaded; nothing is traced again.
    `settings` holds them by the course's names, such as "beta" or "lam2".
    """

    def __init__(self, term, name=None, **kwargs):
        super().__init__(name=name or f"{term}_penalty", **kwargs)
        self.term = keras.metrics.Mean(name=term)

    def report(self, images):
        """Count the term of the batch that just passed, of so many images, in the epoch's mean."""
        self.term.update_state(sum(self.losses), sample_weight=images)


@serializable
class KLSparsity(Penalty):
    """Passes the code through and adds β·Σⱼ KL(ρ‖ρ̂ⱼ), reported as "kl".

    ρ̂ⱼ is the mean activation of hidden unit j over the batch. The code, (batch, units), must lie
    between 0 and 1: use it behind a sigmoid.

    Args:
        rho: target activation ρ, between 0 and 1 (both excluded).
        beta: KL weight β, 0 or more.

    Raises:
        ValueError: ρ or β out of range.
    """

    def __init__(self, rho, beta, **kwargs):
        check("The target activation rho", rho, 0, 1, inclusive=False)
        check("The KL weight beta", beta)
        super().__init__("kl", **kwargs)
        self.rho = setting(self, "rho", rho)
        self.beta = setting(self, "beta", beta)

    @property
    def settings(self):
        return {"rho": self.rho, "beta": self.beta}

    def call(self, code):
        rho_hat = ops.mean(code, axis=0)
        self.add_loss(self.beta * ops.sum(kl_divergence(self.rho, rho_hat)))
        return code

    def get_config(self):
        return super().get_config() | {"rho": float(self.rho), "beta": float(self.beta)}


@serializable
class L1Sparsity(Penalty):
    """Passes the code through and adds λ₁·Σⱼ |hⱼ| per image, averaged over the batch, as "l1".

    Args:
        lam: L1 weight λ₁, 0 or more.

    Raises:
        ValueError: λ₁ out of range.
    """

    def __init__(self, lam, **kwargs):
        check("The L1 weight lam", lam)
        super().__init__("l1", **kwargs)
        self.lam = setting(self, "lam", lam)

    @property
    def settings(self):
        return {"lam1": self.lam}

    def call(self, code):
        self.add_loss(self.lam * ops.mean(ops.sum(ops.abs(code), axis=-1)))
        return code

    def get_config(self):
        return super().get_config() | {"lam": float(self.lam)}


@serializable
class L2Penalty(Penalty):
    """Adds λ₂·½(‖W1‖² + ‖W2‖²) for the weight matrices it is called with, reported as "l2".

    It is a penalty on the loss, so Adam scales its gradient like any other; AdamW's "weight
    decay" is not the same thing. Biases are left alone.

    Args:
        lam: L2 weight λ₂, 0 or more.

    Raises:
        ValueError: λ₂ out of range.
    """

    def __init__(self, lam, **kwargs):
        check("The L2 weight lam", lam)
        super().__init__("l2", **kwargs)
        self.lam = setting(self, "lam", lam)

    @property
    def settings(self):
        return {"lam2": self.lam}

    def call(self, matrices):
        self.add_loss(self.lam * 0.5 * sum(ops.sum(ops.square(matrix)) for matrix in matrices))
        return matrices

    def get_config(self):
        return super().get_config() | {"lam": float(self.lam)}


@serializable
class Autoencoder(keras.Model):
    """images → encoder → code → (sparsity penalty) → decoder → reconstructions.

    Args:
        encoder, decoder: layers with a `kernel`, such as Dense.
        sparsity: a layer the code passes through, such as KLSparsity or L1Sparsity, or None.
        l2: an L2Penalty on the two kernels, or None.

    Raises:
        ValueError: KLSparsity behind an encoder whose code need not lie between 0 and 1.
    """

    def __init__(self, encoder, decoder, sparsity=None, l2=None, **kwargs):
        super().__init__(**kwargs)
        activation = keras.activations.serialize(encoder.activation)
        if isinstance(sparsity, KLSparsity) and activation not in ACTIVATIONS_BETWEEN_0_AND_1:
            raise ValueError(
                "KLSparsity reads the mean activation of a unit as a probability, but "
                f"{activation} activations need not lie between 0 and 1: use a sigmoid encoder, "
                "or L1Sparsity."
            )
        self.encoder, self.decoder = encoder, decoder
        self.sparsity, self.l2 = sparsity, l2

    @property
    def penalties(self):
        """The layers that add a term to the loss."""
        return [part for part in (self.sparsity, self.l2) if isinstance(part, Penalty)]

    def build(self, input_shape):
        code_shape = self.encoder.compute_output_shape(input_shape)
        shapes = {self.encoder: input_shape, self.sparsity: code_shape, self.decoder: code_shape}
        for layer, shape in shapes.items():
            if layer is not None and not layer.built:  # after loading, all are
                layer.build(shape)

    def encode(self, images):
        """The code, (n, units), of images, (n, pixels)."""
        code = self.encoder(as_tensor(images))
        return code if self.sparsity is None else self.sparsity(code)

    def decode(self, code):
        """Reconstructions, (n, pixels), of a code, (n, units)."""
        if self.l2 is not None:
            matrices = self.encoder.kernel, self.decoder.kernel
            self.l2([ops.convert_to_tensor(matrix) for matrix in matrices])
        return self.decoder(code)

    def call(self, images):
        return self.decode(self.encode(images))

    def train_step(self, data):
        """One step on a batch, (batch, pixels), or one on each of a stack, (steps, batch, pixels).

        A stack is one compiled loop, with nothing to wait for between its steps.
        """
        step = super().train_step
        if data[0].shape.rank == 2:
            return step(data)

        def next_step(i):
            step(tf.nest.map_structure(lambda batches: batches[i], data))
            return (i + 1,)

        tf.while_loop(lambda i: i < tf.shape(data[0])[0], next_step, (0,))
        return self.get_metrics_result()

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of a batch while training or evaluating, its penalties reported one by one."""
        for penalty in self.penalties:
            penalty.report(images=ops.shape(x)[0])
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def get_config(self):
        parts = {name: getattr(self, name) for name in ("encoder", "decoder", "sparsity", "l2")}
        serialize = keras.saving.serialize_keras_object
        return super().get_config() | {name: serialize(part) for name, part in parts.items()}

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        return cls(**{k: deserialize(v) if isinstance(v, dict) else v for k, v in config.items()})


def build_autoencoder(
    hidden_units=196,
    activation="sigmoid",
    reconstruction_activation="sigmoid",
    sparsity=None,
    lam2=None,
    pixels=784,
    unit_norm=False,
    kind=None,
):
    """An untrained Autoencoder, pixels → hidden_units → pixels.

    Args:
        hidden_units: numbers in the code.
        activation: of the code; the course uses "sigmoid" and "relu".
        reconstruction_activation: of the reconstruction; "sigmoid" or "softplus".
        sparsity: a layer the code passes through, such as KLSparsity(rho, beta) or
            L1Sparsity(lam), or None.
        lam2: L2 weight λ₂; None leaves the term out, 0 keeps it, switched off.
        pixels: numbers in an image.
        unit_norm: keep each row of W2, what one unit draws, at length 1, so that no penalty on the
            code can be dodged by a small code and a large decoder.
        kind: another class than Autoencoder, made of the same four parts.

    Raises:
        ValueError: a setting out of range, or KLSparsity with a code that need not lie between 0
            and 1.
    """
    autoencoder = (kind or Autoencoder)(
        encoder=keras.layers.Dense(hidden_units, activation=activation, name="encoder"),
        decoder=keras.layers.Dense(
            pixels,
            activation=reconstruction_activation,
            kernel_constraint=keras.constraints.UnitNorm(axis=1) if unit_norm else None,
            name="decoder",
        ),
        sparsity=sparsity,
        l2=None if lam2 is None else L2Penalty(lam2),
        name="autoencoder",
    )
    autoencoder.build((None, pixels))
    if unit_norm:
        kernel = autoencoder.decoder.kernel
        kernel.assign(kernel.constraint(kernel))
    return autoencoder


def as_tensor(images):
    """An array as a tensor in the same memory, so that MNIST is not held twice.

    TensorFlow reads in place what is contiguous and starts at a multiple of 64 bytes, as the images
    of load_mnist do; other arrays are copied.
    """
    if not isinstance(images, np.ndarray):
        return ops.convert_to_tensor(images)
    flags = images.flags
    if flags.c_contiguous and flags.writeable and images.ctypes.data % 64 == 0:
        return tf.experimental.dlpack.from_dlpack(images.__dlpack__())
    return tf.constant(images)


def batches(images, batch_size=128, seed=0, stack=1, targets=None):
    """Endless shuffled batches (images, targets) to train on, as a tf.data.Dataset.

    The order depends on `seed` and on keras.utils.set_random_seed.
    Only the row numbers are shuffled; a whole batch of rows is then picked at once, which is
    several times faster than handing Keras one image at a time.
    With a `stack` above 1, so many batches come as one array, (stack, batch_size, pixels).
    Without `targets`, one per image, an image is its own.
    """
    images = as_tensor(images)
    targets = images if targets is None else as_tensor(targets)
    rows = tf.data.Dataset.range(len(images)).shuffle(len(images), seed=seed).repeat()
    rows = rows.batch(batch_size, drop_remainder=True)
    if stack > 1:
        rows = rows.batch(stack, drop_remainder=True)
    options = tf.data.Options()  # tf.data's own tuning costs more than it brings here: it ...
    options.experimental_optimization.apply_default_optimizations = False  # ... copies the images,
    options.autotune.enabled = False  # and often waits for a second or two when training ends

    def pick(batch):
        picked = tf.gather(images, batch)
        return picked, picked if targets is images else tf.gather(targets, batch)

    return rows.map(pick).prefetch(2).with_options(options)


class StopIfNotFinite(keras.callbacks.Callback):
    """Stops training with an error as soon as the loss is no longer a finite number."""

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise FloatingPointError(
                f"The loss became {logs['loss']}: lower the learning rate or the penalty's weight, "
                "then build the model again and train it."
            )


def train(
    autoencoder,
    images,
    validation_images,
    epochs=10,
    steps_per_epoch=390,
    learning_rate=3e-3,
    batch_size=128,
    seed=0,
    progress=True,
    callbacks=(),
):
    """Compile and fit as derived in lesson 01; returns Keras' History.

    `history` holds, per epoch, "loss", "sse" and each penalty under its own name, and the same
    with "val_" in front.

    Args:
        images, validation_images: (n, pixels) in [0, 1]; None for no validation.
        epochs, steps_per_epoch: 390 steps are one pass over 50,000 images in batches of 128; with
            fewer images the same number of steps passes over them more often.
        seed: of the batches' order. Weights are drawn earlier: keras.utils.set_random_seed.
        progress: show a progress bar, which leaves one line.
        callbacks: of Keras, such as one that changes a setting after every epoch.

    Raises:
        FloatingPointError: the loss is no longer finite.
    """
    callbacks = [StopIfNotFinite(), *callbacks]
    if progress:
        callbacks.append(TqdmCallback(verbose=0, tqdm_class=tqdm, file=sys.stdout))
    validation = None
    if validation_images is not None:
        validation = (as_tensor(validation_images),) * 2  # the image is its own answer
    stack = 1
    if isinstance(autoencoder, Autoencoder):  # other models take no stacks
        stack = max(n for n in range(1, 33) if steps_per_epoch % n == 0)  # 32 take 13 MB
    executions = steps_per_epoch // stack
    autoencoder.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=sse,
        metrics=[sse],
        jit_compile=True,
        # A loop over many executions is faster than Python's, but takes half a second to compile.
        steps_per_execution=executions if executions > 32 else 1,
    )
    return autoencoder.fit(
        batches(images, batch_size, seed, stack),
        shuffle=False,  # the batches come shuffled
        epochs=epochs,
        steps_per_epoch=executions,
        validation_data=validation,
        validation_batch_size=1000,
        callbacks=callbacks,
        verbose=0,
    )
