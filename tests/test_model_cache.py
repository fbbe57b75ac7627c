"""Models that an earlier run trained: loaded where all is the same, and never otherwise."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import model_cache
from model_cache import train_or_load
from modern_sparsity import Anneal, RevivingAutoencoder, TopK
from sparse_autoencoder import KLSparsity, build_autoencoder, keras

ROOT = Path(__file__).parent.parent
IMAGES = np.random.default_rng(0).uniform(size=(64, 12)).astype("float32")
SETTINGS = {"epochs": 2, "steps_per_epoch": 3, "batch_size": 16, "seed": 1}
same_weights = np.testing.assert_array_equal


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder for models."""
    monkeypatch.setattr(model_cache, "FOLDER", tmp_path / "models")
    return tmp_path / "models"


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


def weights(autoencoder):
    return np.concatenate([np.ravel(weight) for weight in autoencoder.get_weights()])


def files(folder):
    return sorted(folder.rglob("output.pkl"))


def test_a_second_run_loads_what_the_first_trained(trainings, folder, capsys):
    first, second = (untrained(sparsity=KLSparsity(0.1, 1.0), lam2=0.01) for _ in range(2))
    start = weights(first)
    took = train_or_load(first, IMAGES, IMAGES, **SETTINGS)
    capsys.readouterr()
    assert train_or_load(second, IMAGES, IMAGES, **SETTINGS) == took > 0
    assert len(trainings) == 1 and np.any(weights(first) != start)
    same_weights(weights(second), weights(first))
    said = capsys.readouterr().out
    assert re.fullmatch(r"loaded from data/models: an earlier run trained it in \d+ s\n", said)
    train_or_load(untrained(lam2=0.01), IMAGES, IMAGES, **SETTINGS)
    assert len(trainings) == 2 and len(files(folder)) == 2


def test_what_is_loaded_is_what_training_gives_also_for_settings_that_training_moves(trainings):
    def trained(reuse):
        top_k = TopK(2)
        model = untrained(
            activation="linear",
            reconstruction_activation="linear",
            sparsity=top_k,
            kind=RevivingAutoencoder,
            unit_norm=True,
        )
        train_or_load(model, IMAGES, None, reuse, callbacks=[Anneal(top_k, 4, 2)], **SETTINGS)
        return model

    without, kept, loaded = trained(False), trained(True), trained(True)
    assert len(trainings) == 2
    same_weights(weights(kept), weights(without))
    same_weights(weights(loaded), weights(without))
    assert float(loaded.sparsity.k) == 2
    assert np.any(loaded.silent.numpy() > 0)
    same_weights(loaded(IMAGES), without(IMAGES))


def key(model=None, images=IMAGES, callbacks=(), global_seed=0, **settings):
    model = model or untrained()
    keras.utils.set_random_seed(global_seed)
    call = model_cache.inspect.signature(model_cache.train).bind(model, images, None, **settings)
    call.apply_defaults()
    return model_cache._key(**call.arguments | {"callbacks": callbacks})


def one_pixel_more():
    images = IMAGES.copy()
    images[-1, -1] += 1e-6
    return images


OTHERS = {
    "first weights": lambda: key(untrained(seed=1)),
    "units": lambda: key(untrained(units=6)),
    "activation": lambda: key(untrained(activation="relu")),
    "reconstruction": lambda: key(untrained(reconstruction_activation="softplus")),
    "a penalty": lambda: key(untrained(sparsity=KLSparsity(0.1, 1.0))),
    "its weight": lambda: key(untrained(sparsity=KLSparsity(0.1, 1.5))),
    "its target": lambda: key(untrained(sparsity=KLSparsity(0.2, 1.0))),
    "an L2 weight": lambda: key(untrained(lam2=0.01)),
    "unit norm": lambda: key(untrained(unit_norm=True)),
    "images": lambda: key(images=one_pixel_more()),
    "their order": lambda: key(images=IMAGES[::-1].copy()),
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


@pytest.mark.parametrize("made", [key, OTHERS["a penalty"], OTHERS["what it does"]])
def test_the_same_settings_make_the_same_model_in_one_kernel(made):
    assert made() == made()


def test_what_only_shows_the_training_makes_no_other_model():
    assert key(progress=False) == key()


def test_the_same_settings_make_the_same_model_in_the_next_kernel():
    lines = "import sys; sys.path.insert(0, 'tests'); import test_model_cache as t; print(t.key())"
    for hashes in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", lines],
            cwd=ROOT,
            env={"PYTHONHASHSEED": hashes, "CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.split()[-1] == key()


def test_other_code_and_other_versions_make_another_model(monkeypatch):
    before = key(), key(untrained(sparsity=TopK(2)))
    getsource = model_cache.inspect.getsource

    def changed(module):
        return getsource(module) + ("#" if module.__name__ == "modern_sparsity" else "")

    with monkeypatch.context() as patch:
        patch.setattr(model_cache.inspect, "getsource", changed)
        assert key() == before[0], "does not depend on modern_sparsity.py"
        assert key(untrained(sparsity=TopK(2))) != before[1]
    for library in (model_cache.keras, model_cache.tf):
        with monkeypatch.context() as patch:
            patch.setattr(library, "__version__", "0.0")
            assert key() != before[0]
    assert key() == before[0]


class OfANotebook(keras.layers.Layer):
    """As a class that a reader writes in a cell."""

    __module__ = "__main__"

    def call(self, code):
        return 0.5 * code


class WithoutConfig(OfANotebook):
    def __init__(self, table):
        super().__init__()
        self.table = table


class Slower(keras.callbacks.Callback):
    pass


def own_activation(values):
    return keras.ops.relu(values)


UNKNOWN = {
    "a class of the notebook": lambda: key(untrained(sparsity=OfANotebook())),
    "a layer without a config": lambda: key(untrained(sparsity=WithoutConfig(IMAGES))),
    "a function as activation": lambda: key(untrained(activation=own_activation)),
    "a callback without a config": lambda: key(callbacks=[Slower()]),
    "a model whose weights are not yet drawn": lambda: key(
        keras.Sequential([keras.layers.Dense(5), keras.layers.Dense(12)])
    ),
    "a schedule": lambda: key(learning_rate=keras.optimizers.schedules.CosineDecay(1e-3, 100)),
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


def cut(data):
    return data[: len(data) // 2]


def flipped(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("damage", [cut, flipped])
def test_a_damaged_model_is_trained_anew_and_mended(damage, trainings, folder, capfd):
    first, second, third = (untrained() for _ in range(3))
    train_or_load(first, IMAGES, None, **SETTINGS)
    (file,) = files(folder)
    file.write_bytes(damage(file.read_bytes()))
    capfd.readouterr()
    train_or_load(second, IMAGES, None, progress=False, **SETTINGS)
    said = capfd.readouterr()
    assert said.out == f"A model in {folder} cannot be read: it is trained anew.\n"
    assert said.err == ""
    train_or_load(third, IMAGES, None, **SETTINGS)
    assert len(trainings) == 2
    same_weights(weights(second), weights(first))
    same_weights(weights(third), weights(first))


def test_where_nothing_can_be_kept_it_trains(trainings, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(model_cache, "FOLDER", tmp_path / "file" / "models")
    for _ in range(2):
        assert train_or_load(untrained(), IMAGES, None, **SETTINGS) > 0
    assert len(trainings) == 2


@pytest.fixture
def reader_without_rights(folder):
    """As on a server: the models are the teacher's, and a student may only read them."""
    if not hasattr(os, "geteuid"):
        pytest.skip("rights are set otherwise here")
    me = os.geteuid()

    @contextlib.contextmanager
    def student():
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o555)
        if me == 0:  # who may write everywhere
            os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(me)
            for path in [folder, *folder.rglob("*")]:
                path.chmod(0o755)

    for above in list(folder.parents)[: len(folder.parents) - 1]:
        above.chmod(above.stat().st_mode | 0o055)
    return student


def test_models_that_may_only_be_read_are_loaded(
    reader_without_rights, trainings, folder, recwarn, capfd
):
    train_or_load(untrained(), IMAGES, None, **SETTINGS)
    capfd.readouterr()
    with reader_without_rights():
        train_or_load(untrained(), IMAGES, None, **SETTINGS)
        assert len(trainings) == 1
        train_or_load(untrained(units=6), IMAGES, None, progress=False, **SETTINGS)
    assert len(trainings) == 2 and len(files(folder)) == 1
    assert not [w for w in recwarn if "cache" in str(w.message)] and not capfd.readouterr().err


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


def test_an_unknown_setting_is_refused_in_one_sentence(folder):
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
        train_or_load(untrained(), IMAGES, None, epoch=3)


def test_of_too_many_the_oldest_go(trainings, folder, monkeypatch):
    for units in (5, 6):
        train_or_load(untrained(units=units), IMAGES, None, **SETTINGS)
    size = sum(path.stat().st_size for path in folder.rglob("*.*"))
    monkeypatch.setattr(model_cache, "LIMIT", int(1.2 * size))
    train_or_load(untrained(units=7), IMAGES, None, **SETTINGS)
    for units, trained_in_all in ((7, 3), (6, 3), (5, 4)):
        train_or_load(untrained(units=units), IMAGES, None, **SETTINGS)
        assert len(trainings) == trained_in_all


def test_git_ignores_them():
    path = Path(model_cache.RESULTS).with_name("models") / "a" / "output.pkl"
    assert subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT).returncode == 0
