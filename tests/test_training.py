"""Batches and training: their order, their steps, their memory, and what is printed."""

import os
import subprocess
import sys
import time
import weakref

import keras
import numpy as np
import psutil
import pytest
import tensorflow as tf
from conftest import ROOT
from sklearn.datasets import load_digits

from sparse_autoencoder import (
    Autoencoder,
    KLSparsity,
    L1Sparsity,
    as_tensor,
    batches,
    build_autoencoder,
    sse,
    train,
    training,
)

DIGITS = (load_digits().data / 16).astype("float32")  # 1,797 images of 64 pixels
FEW = DIGITS[:200]
MAPS = FEW.reshape(-1, 8, 8, 1)


def small_model():
    """With the same weights each time."""
    keras.utils.set_random_seed(1)
    return build_autoencoder(8, sparsity=KLSparsity(0.15, 0.5), lam2=0.001, pixels=64)


# ---------------------------------------------------------------------- batches


def passes(count, images=12, batch_size=4, seed=0):
    """The images' numbers in each of so many batches."""
    keras.utils.set_random_seed(0)
    numbers = np.arange(images, dtype="float32")[:, None]
    pairs = list(batches(numbers, batch_size, seed).take(count))
    for x, y in pairs:
        assert x.shape == (batch_size, 1) and np.array_equal(x, y)
    return [np.array(x).ravel().astype(int).tolist() for x, _ in pairs]


def test_every_image_comes_once_in_each_pass_and_each_pass_in_another_order():
    first, second = np.reshape(passes(6), (2, 12)).tolist()
    assert sorted(first) == sorted(second) == list(range(12))
    assert len({tuple(order) for order in (first, second, range(12))}) == 3


def test_the_seed_decides_the_order_of_the_batches():
    assert passes(6, seed=1) == passes(6, seed=1) != passes(6, seed=2)


def test_fewer_images_than_a_batch_fill_it_by_turns():
    order = passes(3, images=3, batch_size=8)
    assert all(set(np.bincount(batch, minlength=3)) <= {2, 3, 4} for batch in order)
    assert np.bincount(np.concatenate(order)).tolist() == [8, 8, 8]


def test_images_come_with_their_targets_where_there_are_some():
    numbers = np.arange(12, dtype="float32")[:, None]
    for x, y in batches(numbers, 5, targets=np.arange(12) * 10).take(4):
        np.testing.assert_array_equal(y, np.ravel(x) * 10)


# ---------------------------------------------------------------------- training


def test_training_learns_and_reports_the_reconstruction_error_of_all_images():
    model, start = small_model(), time.perf_counter()
    history = train(model, DIGITS[:500], DIGITS[500:], epochs=2, progress=False)
    assert 0 < history.seconds <= time.perf_counter() - start
    assert int(model.optimizer.iterations) == 2 * 390
    images, history = DIGITS[500:].astype("float64"), history.history
    error = ((images - model(DIGITS[500:]).numpy()) ** 2).sum(axis=1).mean()
    assert history["val_sse"][-1] == pytest.approx(error, rel=1e-5)
    assert error < 0.75 * ((images - DIGITS[:500].mean(axis=0)) ** 2).sum(axis=1).mean()
    for prefix in ("", "val_"):
        total = sum(np.array(history.pop(prefix + term)) for term in ("sse", "kl", "l2"))
        np.testing.assert_allclose(total, history.pop(prefix + "loss"), rtol=1e-5)
    assert not history


def of_keras():
    """A model that is no Autoencoder, with the same weights each time."""
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((64,)), keras.layers.Dense(64)])


def weights_of_training(seed):
    model = of_keras()
    train(model, FEW, epochs=2, steps_per_epoch=4, seed=seed, progress=False)
    return np.concatenate([weight.numpy().ravel() for weight in model.weights])


def test_the_seeds_decide_the_weights_to_the_bit_and_nothing_is_printed(capfd):
    weights = weights_of_training(seed=0)
    assert np.array_equal(weights_of_training(seed=0), weights)
    assert not np.array_equal(weights_of_training(seed=1), weights)
    assert capfd.readouterr() == ("", "")


def convolutional():
    keras.utils.set_random_seed(1)
    conv = {"kernel_size": 3, "padding": "same"}
    encoder = keras.layers.Conv2D(4, activation="sigmoid", name="encoder", **conv)
    model = Autoencoder(encoder, keras.layers.Conv2DTranspose(1, **conv), L1Sparsity(0.01))
    model.build((None, 8, 8, 1))
    return model


@pytest.mark.parametrize(
    ("make", "images", "compiled"), [(small_model, FEW, True), (convolutional, MAPS, False)]
)
def test_training_in_stacks_is_plain_training(make, images, compiled, monkeypatch):
    """Four steps an epoch in one loop, against Keras' own steps on the same batches."""
    if compiled:
        monkeypatch.setattr(training, "STEPS_WORTH_COMPILING", 7)
    stacked, plain, steps = make(), make(), {"epochs": 2, "steps_per_epoch": 4}
    options = {"learning_rate": 0.01, "batch_size": 32, "progress": False}
    history = train(stacked, images, **steps, **options).history
    assert stacked.jit_compile == compiled
    plain.compile(keras.optimizers.Adam(0.01), loss=sse, metrics=[sse], jit_compile=False)
    make()  # the order depends on the random numbers drawn so far, too
    expected = plain.fit(batches(images, 32), **steps, shuffle=False, verbose=0).history
    assert set(history) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5)
    for mine, theirs in zip(stacked.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("steps", [37, 990])  # a prime above 32 is not stacked
def test_training_takes_the_steps_it_is_asked_for_and_plain_fit_goes_on(steps):
    model = of_keras()
    options = {"epochs": 2, "steps_per_epoch": steps, "batch_size": 4, "progress": False}
    assert set(train(model, FEW, **options).history) == {"loss", "sse"}
    assert int(model.optimizer.iterations) == 2 * steps
    error = float(np.mean(sse(FEW, model(FEW))))
    history = model.fit(FEW, FEW, 200, verbose=0).history
    assert int(model.optimizer.iterations) == 2 * steps + 1
    assert history["sse"] == pytest.approx([error], rel=1e-5)


def test_training_that_diverges_stops_with_a_sentence_and_leaves_the_model_usable():
    model = build_autoencoder(8, "relu", "softplus", pixels=64)
    options = {"epochs": 2, "steps_per_epoch": 64, "learning_rate": 1e30, "progress": False}
    with pytest.raises(FloatingPointError, match="^The loss became .*: lower the learning rate"):
        train(model, FEW, FEW, **options)
    before = int(model.optimizer.iterations)
    assert before < 2 * 64
    model.fit(FEW, FEW, 100, verbose=0)
    assert int(model.optimizer.iterations) == before + 2


# ---------------------------------------------------------------------- memory


@pytest.fixture
def mapped(tmp_path):
    """Images as the loader hands them out: pages of a file, copied where they are written to."""
    path = tmp_path / "images"
    np.random.default_rng(0).random((40, 784), np.float32).tofile(path)
    return np.memmap(path, np.float32, "c", shape=(40, 784))


def test_batches_do_not_hold_the_images_a_second_time(tmp_path):
    path = tmp_path / "images"
    path.touch()
    os.truncate(path, 50_000 * 784 * 4)  # 157 MB of zeros
    images = np.memmap(path, np.float32, "c", shape=(50_000, 784))
    next(iter(batches(images[:256])))  # what tf.data needs at its first start
    images.max()  # all pages are read, as they are by training
    before = psutil.Process().memory_info().rss
    iterator = iter(batches(images))
    next(iterator)
    assert psutil.Process().memory_info().rss - before < images.nbytes / 2


def test_a_tensor_shares_the_memory_of_the_images_and_lets_it_go(mapped):
    images = mapped[7:]
    tensor, memory = as_tensor(images), weakref.ref(images)
    assert np.shares_memory(np.asarray(tensor), mapped)
    np.testing.assert_array_equal(tensor, mapped[7:])
    del images
    assert tensor.shape == (33, 784) and memory() is not None
    del tensor
    assert memory() is None


@pytest.mark.parametrize("operation", [tf.square, tf.nn.relu, tf.negative, lambda x: x + 1])
def test_no_operation_writes_into_the_images_behind_a_tensor(operation, mapped):
    before = np.array(mapped)
    for function in (operation, tf.function(operation, jit_compile=True)):
        function(as_tensor(mapped))
        np.testing.assert_array_equal(mapped, before)


def read_only(images):
    images.flags.writeable = False
    return images


@pytest.mark.parametrize("change", [lambda x: x[:, 1:], lambda x: x.ravel()[1:785], read_only])
def test_images_that_tensorflow_cannot_read_in_place_are_copied(change, mapped):
    images = change(mapped)
    tensor = as_tensor(images)
    assert not np.shares_memory(np.asarray(tensor), images)
    np.testing.assert_array_equal(tensor, images)


# ---------------------------------------------------------------------- what is printed


def run_python(code, *search_path):
    path = os.pathsep.join(map(str, [*search_path, ROOT]))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TF_CPP")}
    environment |= {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    return run.returncode, run.stdout.decode(), run.stderr.decode()


QUIET = """
import os
import sparse_autoencoder
os.write(2, b"imported.")  # stderr is back
print("imported", flush=True)
import numpy as np
from sparse_autoencoder import build_autoencoder, sse, train
x = np.random.default_rng(0).random((200, 8)).astype("float32")
train(build_autoencoder(4, lam2=0.1, pixels=8), x, x, epochs=2, steps_per_epoch=4)
for _ in range(6):  # TensorFlow would warn of "retracing"
    model = build_autoencoder(4, pixels=8)
    model.compile(loss=sse, jit_compile=False)
    model.evaluate(x, x, 200, verbose=0)
"""


def test_the_import_prints_nothing_and_training_one_line():
    code, out, err = run_python(QUIET)
    assert (code, err) == (0, "imported.")
    assert out.startswith("imported\n\r") and out.endswith("\n") and out.count("\n") == 2
    last = out.split("\r")[-1]
    assert "2/2" in last and "l2=" in last and "val_sse=" in last


BROKEN_TENSORFLOW = """
import os
os.write(2, b"a library is missing")
raise ImportError("broken here")
"""


def test_an_import_that_fails_shows_why_and_what_was_written(tmp_path):
    (tmp_path / "tensorflow.py").write_text(BROKEN_TENSORFLOW)
    code, out, err = run_python("import sparse_autoencoder", tmp_path)
    assert code == 1 and out == ""
    assert err.startswith("a library is missing")
    assert err.endswith("ImportError: broken here\n")
