"""The exercises and their checks: what a check says to answers, stubs, mistakes and nonsense."""

import contextlib
import functools
import io
import re

import numpy as np
import pytest
from keras import ops

import helpers
from sparse_autoencoder import (
    KLSparsity,
    batches,
    build_autoencoder,
    checks,
    keras,
    kl_divergence,
    measures,
    tf,
)
from tools.lessons import code_cells, lesson, read, solutions, sources, tags

LESSONS = [path for path in sources() if path.name[0] == "0"]
MESSAGE = re.compile(r"^> (.+)$", re.M)
CODE = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


@pytest.fixture(autouse=True)
def quick_probes(monkeypatch):
    """Probes try one C."""
    monkeypatch.setattr(measures, "PROBE_C", (1.0,))


@functools.cache
def exercises(path):
    """Name → its cells in the source, in order: the prompt first, then answer, check and rest."""
    found = {}
    for cell in (cell for cell in read(path).cells if cell.id.startswith("ex-")):
        if cell.cell_type == "markdown" and not tags(cell):
            found[cell.id] = []
        (name,) = [name for name in found if f"{cell.id}-".startswith(f"{name}-")]
        found[name].append(cell)
    return found


def tagged(cells, tag):
    return [cell for cell in cells if tag in tags(cell)]


WITH_CODE = [
    (path, name) for path in LESSONS for name, cells in exercises(path).items() if cells[1:]
]
each_exercise = pytest.mark.parametrize(
    "path, name", WITH_CODE, ids=[f"{path.name[:2]}-{name}" for path, name in WITH_CODE]
)


def run(source, names):
    """Run a cell; returns what it printed."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(source, "cell", "exec"), names)
    return printed.getvalue()


@functools.cache
def workplace(path):
    """The names that the set-up of the worked answers defines, quickly and on the digits."""
    names = {}
    for cell in tagged(code_cells(read(path)), "solutions"):
        run(cell.source, names)
        if "parameters" in tags(cell):
            names |= {"SOURCE": "digits", "EPOCHS": 1}
    return names


def verdict(check, *arguments):
    """The one sentence that a check prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        check(*arguments)
    (line,) = printed.getvalue().splitlines()
    return line


# What stands in the lessons


@each_exercise
def test_check_tells_answer_stub_and_mistakes_apart(path, name):
    cells, names = exercises(path)[name], dict(workplace(path))
    (answer,), (check,) = tagged(cells, "answer"), tagged(cells, "check")
    stub = {cell.id: cell.source for cell in lesson(read(path)).cells}[answer.id]
    run(stub, names)
    assert " is still to do: replace the dots, and " in run(check.source, names)

    for mistake in tagged(cells, "mistake"):
        (message,), (code,) = MESSAGE.findall(mistake.source), CODE.findall(mistake.source)
        run(code, names)
        printed = run(check.source, names)
        assert message in printed and not printed.startswith("Right.")

    run(answer.source, names)
    assert run(check.source, names).startswith("Right.")


def test_every_exercise_with_code_has_its_check_and_no_check_is_left_over():
    called = []
    for path, name in WITH_CODE:
        (answer,), (check,) = (tagged(exercises(path)[name], t) for t in ("answer", "check"))
        found = re.fullmatch(r"checks\.(\w+)\((\w+)(, \w+)*\)", check.source)
        assert found, f"{check.id} is to be one call, and no more, so that it tells nothing"
        assert re.search(rf"^(def|class) {found[2]}\b", answer.source, re.M)
        assert found[1].replace("_", "") == found[2].replace("_", "").lower()
        called.append(found[1])
    assert sorted(called) == sorted(checks.__all__)
    assert all(getattr(checks, name).__doc__ for name in called)


@each_lesson
def test_what_is_handed_out_has_no_answer_and_what_is_graded_has_points(path):
    source = read(path)
    handed_out = {cell.id: cell.source for cell in lesson(source).cells}
    worked = {cell.id: cell for cell in solutions(source).cells}
    order = [cell.id for cell in lesson(source).cells]
    names = list(exercises(path))
    assert order.index("takeaways") < order.index("exercises") < order.index(names[0])
    assert order[-1] == "next"
    assert f"solutions/{path.stem}_solutions.ipynb" in handed_out["exercises"]
    for cells in exercises(path).values():
        for cell in cells:
            if tags(cell) & {"mistake", "worked"}:
                assert cell.id not in handed_out and cell.id in worked
        for cell in tagged(cells, "answer"):
            stub = handed_out[cell.id]
            assert "..." in stub and "SOLUTION" not in stub
            assert worked[cell.id].source == cell.source
            facts = worked[cell.id].metadata.nbgrader
            assert facts.solution and not facts.grade and facts.grade_id == cell.id
        for cell in tagged(cells, "check"):
            assert handed_out[cell.id] == cell.source == worked[cell.id].source
            facts = worked[cell.id].metadata.nbgrader
            assert facts.grade and facts.locked and not facts.solution and facts.points > 0
            assert facts.grade_id == cell.id


# Mistakes that the lessons do not show


def pulled(scale):
    return lambda lam, W: scale * lam * W


def noise_of(deviation):
    def add(clean, _):
        noisy = clean + deviation * tf.random.normal(tf.shape(clean))
        return tf.clip_by_value(noisy, 0, 1), clean

    return lambda images, noise: batches(images).map(add)


def probe_with(labels_per_class, mean=np.mean):
    def accuracy(model, data):
        code, other = (model.encode(x).numpy() for x in (data.x_train, data.x_validation))
        return mean(
            measures.linear_probe(code, data.y_train, other, data.y_validation, labels_per_class)
        )

    return accuracy


def tied_without(*parts):
    class TiedDecoder(keras.layers.Layer):
        def __init__(self, encoder):
            super().__init__()
            self.encoder = encoder

        def build(self, code_shape):
            self.bias = self.add_weight(shape=(784,), initializer="zeros")

        def call(self, code):
            W1 = self.encoder.kernel
            if "transpose" in parts:
                return ops.matmul(code, W1[:196]) + self.bias[:196]
            drawn = ops.matmul(code, ops.transpose(W1)) + self.bias
            return drawn if "sigmoid" in parts else ops.sigmoid(drawn)

    return TiedDecoder


def kl_layer(term, times=1):
    class MyKLSparsity(keras.layers.Layer):
        def __init__(self, rho, beta):
            super().__init__()
            self.rho, self.beta = rho, beta

        def call(self, code):
            for _ in range(times):
                self.add_loss(term(self, code))
            return code

    return MyKLSparsity


def kl_of_units(layer, code):
    return ops.sum(kl_divergence(layer.rho, ops.mean(code, axis=0)))


def biases(value):
    def start_near(model, rho):
        model.encoder.bias.assign(np.full(196, value))
        return model

    return start_near


def front(better):
    """on_front for which `better` says which of two settings beats the other."""
    return lambda errors, accuracies: (
        ~better(errors[:, None] - errors, accuracies - accuracies[:, None]).any(axis=1)
    )


def shared(units=196, middle=400):
    def deeper():
        images = keras.Input((784,))
        code = KLSparsity(0.05, 3.0)(
            keras.layers.Dense(units, "sigmoid")(keras.layers.Dense(middle, "sigmoid")(images))
        )
        drawn = keras.layers.Dense(784)(keras.layers.Dense(400)(code))
        return keras.Model(images, drawn), keras.Model(images, drawn)

    return deeper


def learn(pick, **how):
    return lambda trained, data: trained(data.x_train[pick(data.y_train)], **how)


ALL_PENALTIES = {"sparsity": KLSparsity(0.05, 3.0), "lam2": 0.003}
FAULTS = ("beta = 0", "learning rate 0.3", "mean over the wrong axis", "KL of every activation")


def diagnosed(*faults):
    return lambda: dict(zip("ABCD", faults, strict=False))


def of_the_page(name):
    """What a check needs of its lesson."""
    if name == "trained_autoencoder":
        return [helpers.load_images("digits")]
    if name in ("sparsest_that_beats", "on_front"):
        sweep = helpers.sweep()
        return [sweep[(sweep.hidden_units == 196) & (sweep.batch_size == 128)]]
    return []


MISTAKES = [
    ("half_sse", lambda x, y: np.sum((x - y) ** 2, -1), "This is the whole sum of squares: UFLDL"),
    ("half_sse", lambda x, y: np.mean((x - y) ** 2, -1), "This averages over the pixels, as"),
    ("half_sse", lambda x, y: 0.5 * np.sum(x**2, -1), "Expected ["),
    ("denoising_batches", noise_of(0.1), "On empty paper the noise has mean 0.04: is its"),
    ("l2_gradient", pulled(-1), "This is the step of gradient descent; the gradient itself points"),
    ("l2_gradient", pulled(3), "Expected [[0.1, -0.2], [0.0, 0.3"),
    ("validation_accuracy", probe_with(10, np.asarray), "Expected one number, not the shape (5,)"),
    ("validation_accuracy", probe_with(20), "Not the expected accuracy: does linear_probe draw 10"),
    ("tied_decoder", tied_without("transpose"), "5 images have the shape (5, 784), not (5, 196)"),
    ("tied_decoder", tied_without("sigmoid"), "Expected σ(h W1ᵀ + b2), with a bias that starts"),
    ("my_kl_sparsity", kl_layer(kl_of_units), "This is the sum of KL without its strength β."),
    ("my_kl_sparsity", kl_layer(kl_of_units, 2), "One term is to be added to the loss, not 2"),
    ("my_kl_sparsity", kl_layer(kl_of_units, 0), "One term is to be added to the loss, not 0"),
    ("my_kl_sparsity", kl_layer(lambda *_: ops.sum(1.0)), "Expected a term of "),
    ("start_near", lambda model, rho: model, "The biases are still 0: assign to model.encoder.b"),
    ("start_near", biases(-1), "Activations of an empty image should be 0.05, not 0.269."),
    ("diagnose", diagnosed(*["beta = 0"] * 4), "Each letter, A to D, has one fault of FAULTS, and"),
    ("diagnose", diagnosed(*FAULTS[:3]), "Each letter, A to D, has one fault of FAULTS, and each"),
    ("diagnose", diagnosed(*FAULTS), "2 of 4 are right."),
    ("diagnose", diagnosed(*FAULTS[2:], *FAULTS[:2]), "0 of 4 are right."),
    ("l0", lambda code: np.sum(code > 0, axis=1), "One number is wanted, not the shape (2,)"),
    (
        "l0",
        lambda code: np.mean(np.sum(code > 0.5, axis=1)),
        "A ReLU unit is active above 0; above",
    ),
    ("l0", lambda code: np.sum(code > 0), "Expected 2 active units per image, got 4."),
    ("unit_features", lambda W1, b1, W2: (b1, W1, W2), "Return W1, b1 and W2, in this order and"),
    ("unit_features", lambda W1, b1, W2: (W1, b1, W2), "Not every row of W2 has norm 1."),
    ("find_lam1", lambda at, target, low, high, steps: 1.0, "λ₁ = 1.0000 gives 17.3 units, not 30"),
    ("images_to_label", lambda codes, count: np.arange(10), "20 images were asked for, not 10."),
    ("images_to_label", lambda codes, count: np.zeros(20, int), "The first 20 images cover the re"),
    ("learn_from_small_digits", lambda t, d: build_autoencoder(), "The model was not trained with"),
    ("learn_from_small_digits", learn(lambda y: y < 5), "Without a penalty most units will be act"),
    (
        "learn_from_small_digits",
        learn(lambda y: y < 5, sparsity=KLSparsity(0.05, 3.0)),
        "The sparser model has an L2 penalty as well: where is lam2?",
    ),
    ("learn_from_small_digits", learn(lambda y: y <= 5, **ALL_PENALTIES), "It should learn from t"),
    ("deeper_autoencoder", shared(middle=300), "Expected four matrices, 784-400-196-400-784, but"),
    (
        "deeper_autoencoder",
        shared(),
        "The encoder should end with 196 units, but gives (None, 784)",
    ),
    ("sparsest_that_beats", lambda accuracy: accuracy, "That is no setting of the table: return"),
    ("on_front", lambda errors, _: errors, "One boolean for each of 48 settings, not the shape"),
    ("on_front", front(lambda m, g: (m > 0) & (g > 1)), "16 settings are on the front, but this f"),
    (
        "choose_rho",
        lambda rhos, trained, data: 0.01,
        "Another ρ has the better probe on validation",
    ),
    ("choose_rho", lambda rhos, trained, data: 1, "1 is none of (0.01, 0.1, 0.5): return the ρ"),
    ("batch_topk", lambda code, k: code[:, :k], "The code keeps its shape (3, 4): not (3, 2), but"),
    ("batch_topk", lambda code, k: np.maximum(code, 0), "With k = 2, the three images should have"),
    ("batch_topk", lambda code, k: 1.0 * (code >= 0.4), "The right units are active, but what is"),
    (
        "batch_topk",
        lambda code, k: code * (code >= 0.4),
        "With k = 4 of 4 units, every positive activation should be kept.",
    ),
    ("shrinkage", lambda x, y: np.ones(784), "One number for all images and pixels is wanted, not"),
    ("shrinkage", lambda x, y: 1 / measures.size_of_reconstructions(x, y), "This is 1/γ: drawings"),
    ("shrinkage", lambda x, y: 0.5, "Drawn at 80 %, γ is 0.8, not 0.500."),
]


@pytest.mark.parametrize(
    "name, answer, said", MISTAKES, ids=[f"{m[0]}-{m[2][:30]}" for m in MISTAKES]
)
def test_what_a_check_says_to_a_mistake(name, answer, said):
    assert verdict(getattr(checks, name), answer, *of_the_page(name)).startswith(said)


# Answers that are none


def stops(*arguments):
    return {}["beta"]


ODD = [
    lambda *_: "text",
    lambda *_: np.full((2, 3), np.nan),
    lambda *_: [1, "two"],
    lambda: 1,
    stops,
]


@pytest.mark.parametrize("name", checks.__all__)
@pytest.mark.parametrize("answer", ODD, ids=["text", "nan", "list", "no arguments", "raises"])
def test_an_odd_answer_gets_a_sentence(name, answer):
    said = verdict(getattr(checks, name), answer, *of_the_page(name))
    assert not said.startswith("Right.") and "still to do" not in said
    assert len(said) > 20
    if answer is stops:
        assert said == "stops stops at `return {}[\"beta\"]` with KeyError: 'beta'"


@pytest.mark.parametrize("answer", [None, 5, "half_sse", np.zeros(3)])
def test_what_an_answer_gives_is_not_the_answer(answer):
    said = verdict(checks.half_sse, answer)
    assert said.startswith("Hand over what you wrote, not what it gives: checks.half_sse(…) takes")


def test_an_error_within_a_layer_is_told_without_what_keras_adds():
    class MyKLSparsity(keras.layers.Layer):
        def __init__(self, rho, beta):
            super().__init__()

        def call(self, code):
            return code + ops.zeros(3)

    said = verdict(checks.my_kl_sparsity, MyKLSparsity)
    assert said.startswith("MyKLSparsity stops at `return code + ops.zeros(3)` with ")
    assert "Arguments received" not in said and "\x1b" not in said


def test_an_interrupt_is_no_answer():
    def l0(code):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checks.l0(l0)


# Where nbgrader grades


@pytest.mark.parametrize("grading", ["autograde", "validate"])
def test_a_graded_cell_fails_with_the_verdict(grading, monkeypatch, capsys):
    monkeypatch.setenv("NBGRADER_EXECUTION", grading)
    with pytest.raises(AssertionError, match="^Twice too large: the ½"):
        checks.l2_gradient(pulled(2))
    with pytest.raises(AssertionError, match="is still to do"):
        checks.l2_gradient(lambda lam, W: None)
    assert "Twice too large" in capsys.readouterr().out
    checks.l2_gradient(pulled(1))
    assert capsys.readouterr().out == "Right.\n"
