"""Models that an earlier run trained: loaded where all is the same, and never otherwise."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import model_cache
import modern_sparsity
from model_cache import train_or_load
from modern_sparsity import Anneal, GatedAutoencoder, JumpReLU, RevivingAutoencoder, TopK
from sparse_autoencoder import KLSparsity, L1Sparsity, build_autoencoder, keras

ROOT = Path(__file__).parent.parent
IMAGES = np.random.default_rng(0).uniform(size=(64, 12)).astype("float32")
SETTINGS = {"epochs": 2, "steps_per_epoch": 3, "batch_size": 16, "seed": 1}
same_weights = np.testing.assert_array_equal


@pytest.fixture(autouse=True)
def folder(monkeypatch):
    """A folder for models that is not there yet, below one that everybody may read."""
    above = Path(tempfile.mkdtemp())
    above.chmod(0o755)
    monkeypatch.setattr(model_cache, "FOLDER", above / "models")
    yield above / "models"
    shutil.rmtree(above)


@pytest.fixture
def trainings(monkeypatch):
    """One entry for each model that is really trained."""
    calls, train = [], model_cache.train

    def counted(*arguments, **settings):
        calls.append(settings)
        return train(*arguments, **settings)

    counted.__signature__ = model_cache.inspect.signature(train)
    monkeypatch.setattr(model_cache, "train", counted)
    return calls


def untrained(seed=0, units=5, pixels=12, **settings):
    keras.utils.set_random_seed(seed)
    return build_autoencoder(units, pixels=pixels, **settings)


def linear(sparsity, **settings):
    both = {"activation": "linear", "reconstruction_activation": "linear"}
    return untrained(sparsity=sparsity, unit_norm=True, **both, **settings)


def weights(autoencoder):
    return np.concatenate([np.ravel(weight) for weight in autoencoder.get_weights()])


def files(folder):
    return sorted(folder.glob("*"))


def test_a_second_run_loads_what_the_first_trained(trainings, folder, capsys):
    first, second = (untrained(sparsity=KLSparsity(0.1, 1.0), lam2=0.01) for _ in range(2))
    start = weights(first)
    took = train_or_load(first, IMAGES, IMAGES, **SETTINGS)
    bar = capsys.readouterr().out
    assert train_or_load(second, IMAGES, IMAGES, **SETTINGS) == took > 0
    assert len(trainings) == 1 and np.any(weights(first) != start)
    same_weights(weights(second), weights(first))
    said = re.fullmatch(
        r"loaded from data/models, trained before in \d+ s: (.*)\n", capsys.readouterr().out
    )
    last = bar.rstrip().rsplit("epoch, ", 1)[-1].rsplit("epoch/s, ", 1)[-1].removesuffix("]")
    assert said[1] == last, "the same terms as the bar of the training"
    train_or_load(untrained(lam2=0.01), IMAGES, IMAGES, **SETTINGS)
    assert len(trainings) == 2 and len(files(folder)) == 2


def test_what_is_loaded_is_what_training_gives_also_for_settings_that_training_moves(trainings):
    def trained(reuse):
        model = linear(TopK(2), kind=RevivingAutoencoder)
        anneal = [Anneal(model.sparsity, 4, 2)]
        train_or_load(model, IMAGES, None, reuse=reuse, callbacks=anneal, **SETTINGS)
        return model

    without, kept, loaded = trained(False), trained(True), trained(True)
    assert len(trainings) == 2
    same_weights(weights(kept), weights(without))
    same_weights(weights(loaded), weights(without))
    assert float(loaded.sparsity.k) == 2
    assert np.any(loaded.silent.numpy() > 0)
    same_weights(loaded(IMAGES), without(IMAGES))


def key(model=None, images=IMAGES, validation=None, callbacks=(), global_seed=0, **settings):
    model = model or untrained()
    keras.utils.set_random_seed(global_seed)
    call = model_cache.inspect.signature(model_cache.train)
    call = call.bind(model, images, validation, callbacks=callbacks, **settings)
    call.apply_defaults()
    call.arguments.pop("progress")
    return model_cache._key(**call.arguments)


def one_pixel_more():
    images = IMAGES.copy()
    images[-1, -1] += 1e-6
    return images


def frozen():
    model = untrained()
    model.encoder.bias.trainable = False
    return model


OTHERS = {
    "first weights": lambda: key(untrained(seed=1)),
    "units": lambda: key(untrained(units=6)),
    "activation": lambda: key(untrained(activation="relu")),
    "reconstruction": lambda: key(untrained(reconstruction_activation="softplus")),
    "KL": lambda: key(untrained(sparsity=KLSparsity(0.1, 1.0))),
    "its weight": lambda: key(untrained(sparsity=KLSparsity(0.1, 1.5))),
    "its target": lambda: key(untrained(sparsity=KLSparsity(0.2, 1.0))),
    "L2": lambda: key(untrained(lam2=0.01)),
    "unit norm": lambda: key(untrained(unit_norm=True)),
    "L1": lambda: key(linear(L1Sparsity(1.0))),
    "TopK": lambda: key(linear(TopK(2))),
    "JumpReLU": lambda: key(linear(JumpReLU(0.2))),
    "Gated": lambda: key(linear(L1Sparsity(1.0), kind=GatedAutoencoder)),
    "reviving": lambda: key(linear(TopK(2), kind=RevivingAutoencoder)),
    "what learns": lambda: key(frozen()),
    "images": lambda: key(images=one_pixel_more()),
    "their order": lambda: key(images=IMAGES[::-1].copy()),
    "validation images": lambda: key(validation=IMAGES),
    "epochs": lambda: key(epochs=11),
    "steps": lambda: key(steps_per_epoch=391),
    "learning rate": lambda: key(learning_rate=1e-3),
    "batch size": lambda: key(batch_size=64),
    "seed of the order": lambda: key(seed=1),
    "global seed": lambda: key(global_seed=1),
    "a callback": lambda: key(callbacks=[Anneal(TopK(2), 4, 2)]),
    "what it does": lambda: key(callbacks=[Anneal(TopK(2), 5, 2)]),
}


def test_every_setting_makes_another_model():
    keys = {name: other() for name, other in OTHERS.items()} | {"the same": key()}
    assert None not in keys.values()
    assert len(set(keys.values())) == len(keys), keys


@pytest.mark.parametrize("name", ["KL", "L1", "TopK", "JumpReLU", "Gated", "reviving"])
def test_the_same_settings_make_the_same_model_in_one_kernel(name):
    assert OTHERS[name]() == OTHERS[name]()


def test_the_same_settings_make_the_same_model_in_the_next_kernel():
    lines = (
        "import sys; sys.path.insert(0, 'tests'); import test_model_cache as t\n"
        "print(t.key(), t.OTHERS['reviving'](), t.OTHERS['what it does']())"
    )
    run = subprocess.run(
        [sys.executable, "-c", lines],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split()[-3:] == [key(), OTHERS["reviving"](), OTHERS["what it does"]()]


def test_other_code_and_other_versions_make_another_model(monkeypatch, tmp_path):
    def keys():
        return key(), key(linear(TopK(2)))

    before = keys()
    other = tmp_path / "modern_sparsity.py"
    other.write_text(Path(modern_sparsity.__file__).read_text() + "# changed\n")
    os.utime(other, (0, 0))
    with monkeypatch.context() as patch:
        patch.setattr(modern_sparsity, "__file__", str(other))
        now = keys()
        assert now[0] == before[0] and now[1] not in (None, before[1])
        os.utime(other)  # as if edited while this kernel goes on with what it has imported
        assert keys() == (before[0], None)
    for library in (model_cache.keras, model_cache.tf):
        with monkeypatch.context() as patch:
            patch.setattr(library, "__version__", "0.0")
            assert not set(keys()) & set(before)
    assert keys() == before


class OfANotebook(keras.layers.Layer):
    """As a class that a reader writes in a cell."""

    __module__ = "__main__"

    def call(self, code):
        return 0.5 * code


class WithoutConfig(OfANotebook):
    def __init__(self, table):
        super().__init__()
        self.table = table


class ConfigThatCannotBeWritten(OfANotebook):
    def get_config(self):
        return {"parts": {1, 2}}


class Slower(keras.callbacks.Callback):
    pass


def own_activation(values):
    return keras.ops.relu(values)


class OwnConstraint(keras.constraints.Constraint):
    __module__ = "__main__"

    def __call__(self, kernel):
        return kernel


def constrained():
    model = untrained()
    model.decoder.kernel_constraint = OwnConstraint()
    return model


@keras.saving.register_keras_serializable("tests")
def registered(values):
    return values


UNKNOWN = {
    "a class of the notebook": lambda: key(untrained(sparsity=OfANotebook())),
    "a layer without a config": lambda: key(untrained(sparsity=WithoutConfig(IMAGES))),
    "a config of anything": lambda: key(untrained(sparsity=ConfigThatCannotBeWritten())),
    "a function as activation": lambda: key(untrained(activation=own_activation)),
    "a registered one": lambda: key(untrained(activation=registered)),
    "a lambda": lambda: key(untrained(reconstruction_activation=lambda values: values)),
    "a constraint of the notebook": lambda: key(constrained()),
    "a callback without a config": lambda: key(callbacks=[Slower()]),
    "a model whose weights are not yet drawn": lambda: key(
        keras.Sequential([keras.layers.Dense(5), keras.layers.Dense(12)])
    ),
    "a schedule": lambda: key(learning_rate=keras.optimizers.schedules.CosineDecay(1e-3, 100)),
    "a random order": lambda: key(seed=None),
}


@pytest.mark.parametrize("made", UNKNOWN.values(), ids=UNKNOWN)
def test_nothing_is_kept_where_it_cannot_be_known_whether_all_is_the_same(made):
    assert made() is None


def test_such_a_model_is_trained_each_time(trainings, folder):
    for _ in range(2):
        train_or_load(untrained(sparsity=OfANotebook()), IMAGES, None, **SETTINGS)
    assert len(trainings) == 2 and not folder.exists()


def test_on_demand_everything_is_trained_and_nothing_kept(trainings, folder):
    for _ in range(2):
        train_or_load(untrained(), IMAGES, None, reuse=False, **SETTINGS)
    assert len(trainings) == 2 and not folder.exists()


@contextlib.contextmanager
def a_student(folder):
    """As on a server: the models are the teacher's, and a student may only read them."""
    if not hasattr(os, "geteuid"):
        pytest.skip("rights are set otherwise here")
    me = os.geteuid()
    folder.chmod(0o555)
    if me == 0:  # who may write everywhere
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(me)
        folder.chmod(0o755)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def close(path):
    path.chmod(0o000)


@pytest.mark.parametrize("damage", [cut, flip])
def test_a_damaged_model_is_trained_anew_and_mended(damage, trainings, folder, capfd):
    first, second, third = (untrained() for _ in range(3))
    train_or_load(first, IMAGES, None, **SETTINGS)
    (path,) = files(folder)
    damage(path)
    capfd.readouterr()
    train_or_load(second, IMAGES, None, progress=False, **SETTINGS)
    said = capfd.readouterr()
    assert said.out == f"{path} cannot be read: the model is trained anew.\n" and not said.err
    train_or_load(third, IMAGES, None, **SETTINGS)
    assert len(trainings) == 2
    same_weights(weights(second), weights(first))
    same_weights(weights(third), weights(first))


@pytest.mark.parametrize("damage", [cut, close])
def test_a_damaged_model_that_cannot_be_mended_is_trained_anew(damage, trainings, folder, capfd):
    first, second = (untrained() for _ in range(2))
    train_or_load(first, IMAGES, None, **SETTINGS)
    (path,) = files(folder)
    damage(path)
    capfd.readouterr()
    with a_student(folder):
        assert train_or_load(second, IMAGES, None, progress=False, **SETTINGS) > 0
    said = capfd.readouterr()
    assert said.out == f"{path} cannot be read: the model is trained anew.\n" and not said.err
    same_weights(weights(second), weights(first))
    assert len(trainings) == 2 and files(folder) == [path]


def test_models_that_may_only_be_read_are_loaded(trainings, folder, capfd):
    train_or_load(untrained(), IMAGES, None, **SETTINGS)
    with a_student(folder):
        train_or_load(untrained(), IMAGES, None, **SETTINGS)
        assert len(trainings) == 1
        capfd.readouterr()
        train_or_load(untrained(units=6), IMAGES, None, progress=False, **SETTINGS)
    assert len(trainings) == 2 and len(files(folder)) == 1
    assert capfd.readouterr() == ("", "")


def test_where_nothing_can_be_kept_it_trains(trainings, folder):
    folder.touch()  # a file where the folder should be
    for _ in range(2):
        assert train_or_load(untrained(), IMAGES, None, **SETTINGS) > 0
    assert len(trainings) == 2


def test_a_training_that_failed_is_not_kept(folder):
    for _ in range(2):
        with pytest.raises(FloatingPointError, match="lower the learning rate"):
            train_or_load(
                untrained(reconstruction_activation="linear"),
                IMAGES,
                None,
                **SETTINGS | {"learning_rate": 1e30},
            )
    assert not files(folder)


def test_interrupted_while_it_is_written_it_leaves_nothing(folder, monkeypatch):
    def interrupted(result, path, compress):
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(model_cache.joblib, "dump", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_or_load(untrained(), IMAGES, None, **SETTINGS)
    assert folder.exists() and not files(folder)


def test_an_unknown_setting_is_refused_in_one_sentence():
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
        train_or_load(untrained(), IMAGES, None, epoch=3)


def test_of_too_many_the_oldest_go(trainings, folder, monkeypatch):
    monkeypatch.setattr(model_cache, "LIMIT", 2)
    for age, units in ((30, 5), (20, 6)):
        train_or_load(untrained(units=units), IMAGES, None, **SETTINGS)
        newest = max(files(folder), key=os.path.getmtime)
        os.utime(newest, (0, newest.stat().st_mtime - age))
    train_or_load(untrained(units=7), IMAGES, None, **SETTINGS)
    for units, trained_in_all in ((7, 3), (6, 3), (5, 4)):
        train_or_load(untrained(units=units), IMAGES, None, **SETTINGS)
        assert len(trainings) == trained_in_all
    assert len(files(folder)) == 2


def test_git_ignores_them():
    assert "data/models/" in (ROOT / ".gitignore").read_text().splitlines()
