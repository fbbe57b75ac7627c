"""The exercises and their checks: what a check says to answers, stubs, mistakes and nonsense."""

import contextlib
import functools
import io
import re

import numpy as np
import pytest
from keras import ops

import helpers
from sparse_autoencoder import KLSparsity, batches, build_autoencoder, checks, keras, measures
from sparse_autoencoder.modern import TiedDecoder
from tools.lessons import code_cells, lesson, read, sources, tags

LESSONS = [path for path in sources() if path.name[0] == "0"]
CHECKS = [
    name
    for name, found in vars(checks).items()
    if getattr(found, "__module__", "") == checks.__name__ and name[0] != "_"
]
MESSAGE = re.compile(r"^> (.+)$", re.M)
CODE = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)


@pytest.fixture(autouse=True)
def quick_probes(monkeypatch):
    """Probes try one C."""
    monkeypatch.setattr(measures, "PROBE_C", (1.0,))


def printed(function, *arguments):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        function(*arguments)
    return out.getvalue()


def run(source, names):
    return printed(exec, compile(source, "cell", "exec"), names)


# What stands in the lessons


def exercises():
    for path in LESSONS:
        cells = {cell.id: cell for cell in read(path).cells}
        for name in [id.removesuffix("-answer") for id in cells if id.endswith("-answer")]:
            mistakes = [cells[id] for id in cells if id.startswith(f"{name}-mistake")]
            answer, check = cells[f"{name}-answer"], cells[f"{name}-check"]
            yield pytest.param(path, answer, check, mistakes, id=f"{path.name[:2]}-{name}")


EXERCISES = list(exercises())


@functools.cache
def workplace(path):
    """The names that the set-up of the worked answers defines, quickly and on the digits."""
    names = {}
    for cell in code_cells(read(path)):
        if "solutions" in tags(cell):
            run(cell.source, names)
        if "parameters" in tags(cell):
            names |= {"SOURCE": "digits", "EPOCHS": 1}
    return names


@pytest.mark.parametrize("path, answer, check, mistakes", EXERCISES)
def test_a_check_tells_the_answer_and_the_commonest_mistakes_apart(path, answer, check, mistakes):
    names = dict(workplace(path))
    for mistake in mistakes:
        (message,), (code,) = MESSAGE.findall(mistake.source), CODE.findall(mistake.source)
        run(code, names)
        said = run(check.source, names)
        assert message in said and not said.startswith("Right.")
    run(answer.source, names)
    assert run(check.source, names).startswith("Right.")


def test_every_exercise_has_its_check_and_no_check_is_left_over():
    called = []
    for _, answer, check, _ in (exercise.values for exercise in EXERCISES):
        found = re.fullmatch(r"checks\.(\w+)\((\w+)(, \w+)*\)", check.source)
        assert found, f"{check.id} is to be one call, and no more, so that it tells nothing"
        assert re.search(rf"^(def|class) {found[2]}\b", answer.source, re.M)
        assert found[1].replace("_", "") == found[2].replace("_", "").lower()
        assert check.metadata["points"] > 0
        called.append(found[1])
    assert sorted(called) == sorted(CHECKS)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_exercises_are_handed_out_near_the_end_and_without_answers(path):
    cells = {cell.id: cell.source for cell in lesson(read(path)).cells}
    order = list(cells)
    first = next(name for name in order if name.startswith("ex-"))
    assert order.index("takeaways") < order.index("exercises") < order.index(first)
    assert order[-1] == "next"
    assert f"solutions/{path.stem}_solutions.ipynb" in cells["exercises"]
    assert "SOLUTION" not in "".join(cells.values())


# Mistakes that the lessons do not show


def with_little_noise(images, noise):
    noisy = images + np.random.default_rng(0).normal(0, 0.1, images.shape)
    return batches(np.float32(np.clip(noisy, 0, 1)), targets=images)


def no_term(rho, beta):
    return keras.layers.Identity()


def two_terms(rho, beta):
    return keras.Sequential([KLSparsity(rho, beta), KLSparsity(rho, beta, name="again")])


def start_at_zero(model, rho):
    return build_autoencoder(activation="relu")


def one_model_twice():
    layers = map(keras.layers.Dense, (400, 196, 400, 784))
    model = keras.Sequential([keras.Input((784,)), *layers])
    return model, model


def learn(up_to, **how):
    return lambda trained, data: trained(data.x_train[data.y_train <= up_to], **how)


KL = {"sparsity": KLSparsity(0.05, 3.0)}
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


def unit_added(lens, hidden, unit):
    return hidden + lens.encode(hidden).numpy()[:, [unit]] * lens.decoder.kernel.numpy()[unit]


def nested(factor):
    def nested_error(images, code, W2, b2, firsts):
        drawn = [code[:, :first] @ W2[:first] + b2 for first in firsts]
        return factor * sum(ops.mean(ops.sum((images - part) ** 2, axis=1)) for part in drawn)

    return nested_error


MISTAKES = [
    ("half_sse", lambda x, y: np.sum((x - y) ** 2, -1), "This is the whole sum of squares: UFLDL"),
    ("half_sse", lambda x, y: 0.5 * np.sum(x**2, -1), "Expected ["),
    ("denoising_batches", with_little_noise, "On empty paper the noise has mean 0.04: is its"),
    ("l2_gradient", lambda lam, W: -lam * W, "This is the step of gradient descent; the gradient"),
    ("l2_gradient", lambda lam, W: 3 * lam * W, "Expected [[0.1, -0.2], [0.0, 0.3"),
    ("validation_accuracy", lambda *_: np.ones(5), "Expected one number, not the shape (5,)"),
    ("validation_accuracy", lambda *_: 0.5, "Not the expected accuracy: does linear_probe draw 10"),
    ("tied_decoder", lambda _: keras.layers.Dense(9), "5 images have the shape (5, 784), not (5,"),
    ("tied_decoder", TiedDecoder, "Expected σ(h W1ᵀ + b2), with a bias that starts at 0: is the"),
    (
        "my_kl_sparsity",
        lambda rho, _: KLSparsity(rho, 1),
        "This is the sum of KL without its strength β.",
    ),
    ("my_kl_sparsity", two_terms, "One term is to be added to the loss, not 2"),
    ("my_kl_sparsity", no_term, "One term is to be added to the loss, not 0"),
    ("my_kl_sparsity", lambda rho, _: KLSparsity(rho, 3), "Expected a term of "),
    ("start_near", lambda model, rho: model, "The biases are still 0: assign to model.encoder.b"),
    ("start_near", start_at_zero, "Activations of an empty image should be 0.05, not 0.000."),
    ("diagnose", diagnosed(*["beta = 0"] * 4), "Each letter, A to D, has one fault of FAULTS, and"),
    ("diagnose", diagnosed(*FAULTS[:3]), "Each letter, A to D, has one fault of FAULTS, and each"),
    ("diagnose", diagnosed(*FAULTS), "2 of 4 are right."),
    ("diagnose", diagnosed(*FAULTS[2:], *FAULTS[:2]), "0 of 4 are right."),
    ("in_our_units", lambda beta, lam, _: (beta, lam), "UFLDL: β = 3 becomes 6, not 3: which"),
    ("in_our_units", lambda beta, lam, _: (2 * beta, lam), "UFLDL: λ₂ is off by a factor of 2."),
    ("l0", lambda code: np.sum(code > 0, axis=1), "One number is wanted, not the shape (2,)"),
    ("l0", lambda code: np.sum(code > 0.5) / 2, "A ReLU unit is active above 0; above 0.5 is the"),
    ("l0", lambda code: np.sum(code > 0), "Expected 2 active units per image, got 4."),
    ("unit_features", lambda W1, b1, W2: (b1, W1, W2), "Return W1, b1 and W2, in this order and"),
    ("unit_features", lambda W1, b1, W2: (W1, b1, W2), "Not every row of W2 has norm 1."),
    ("find_lam1", lambda *_: 1.0, "λ₁ = 1.0000 gives 17.3 units, not 30: were all steps taken?"),
    ("images_to_label", lambda codes, count: np.arange(10), "20 images were asked for, not 10."),
    ("images_to_label", lambda *_: np.zeros(20, int), "The first 20 images cover the rest better"),
    ("learn_from_small_digits", lambda *_: build_autoencoder(), "The model was not trained with"),
    ("learn_from_small_digits", learn(4), "Without a penalty most units will be active: where"),
    ("learn_from_small_digits", learn(4, **KL), "The sparser model has an L2 penalty as well: wh"),
    ("learn_from_small_digits", learn(5, **KL, lam2=0.003), "It should learn from the training im"),
    ("deeper_autoencoder", lambda: (build_autoencoder(), 0), "Expected four matrices, 784-400-196"),
    ("deeper_autoencoder", one_model_twice, "The encoder should end with 196 units, but gives (No"),
    ("sparsest_that_beats", lambda accuracy: accuracy, "That is no setting of the table: return"),
    ("on_front", lambda errors, _: errors, "One boolean for each of 48 settings, not the shape"),
    ("on_front", lambda errors, _: errors > 0, "16 settings are on the front, but this finds 48"),
    ("choose_rho", lambda *_: 0.01, "Another ρ has the better probe on validation images: are you"),
    ("choose_rho", lambda *_: 1, "1 is none of (0.01, 0.1, 0.5): return the ρ itself, not its"),
    ("threshold_for", lambda code, k: code[0, :k], "One number for all images is wanted, not"),
    ("threshold_for", lambda code, k: 0.0, "With k = 2, six activations of these three images"),
    ("threshold_for", lambda code, k: 0.4, "With k = 4 of 4 units only 9 of 12 activations"),
    ("shrinkage", lambda x, y: np.ones(784), "One number for all images and pixels is wanted, not"),
    ("shrinkage", lambda x, y: 1 / measures.size_of_reconstructions(x, y), "This is 1/γ: drawings"),
    ("shrinkage", lambda x, y: 0.5, "Drawn at 80 %, γ is 0.8, not 0.500."),
    ("found_in_all", lambda *_: np.ones(3, bool), "One boolean for each of 4 features is wanted,"),
    ("found_in_all", lambda *_: np.zeros(4, bool), "Of these four the first and the third are"),
    ("without_unit", lambda lens, h, unit: lens.encode(h), "Hidden units are wanted, of shape"),
    ("without_unit", unit_added, "The unit's share is added: take it away."),
    ("without_unit", lambda lens, h, unit: h, "Expected the hidden units minus the unit's act"),
    ("nested_error", lambda x, *_: x, "One number for the batch is wanted, not the shape (5, 6)"),
    ("nested_error", nested(0.5), "This is the mean over the parts: add them up."),
    ("nested_error", nested(3), "With first units 2 and 4 the sum should be"),
]


@pytest.mark.parametrize(
    "name, answer, verdict", MISTAKES, ids=[m[0] + m[2][:20] for m in MISTAKES]
)
def test_what_a_check_says_to_a_mistake(name, answer, verdict):
    said = printed(getattr(checks, name), answer, *of_the_page(name))
    assert said.startswith(verdict) and said.count("\n") == 1


# Answers that are none


def stops(*arguments):
    return {}["beta"]


ODD = {
    "text": lambda *_: "text",
    "nan": lambda *_: np.full((2, 3), np.nan),
    "list": lambda *_: [1, "two"],
    "no arguments": lambda: 1,
    "raises": stops,
}


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
def test_an_odd_answer_gets_a_sentence(name, answer):
    said = printed(getattr(checks, name), answer, *of_the_page(name))
    assert not said.startswith("Right.") and "still to do" not in said
    assert len(said) > 20
    if answer is stops:
        assert said == "stops stops at `return {}[\"beta\"]` with KeyError: 'beta'\n"


@pytest.mark.parametrize("answer", [None, 5, "half_sse", np.zeros(3)])
def test_what_an_answer_gives_is_not_the_answer(answer):
    said = printed(checks.half_sse, answer)
    assert said.startswith("Hand over what you wrote, not what it gives: checks.half_sse(…) takes")


def test_an_error_within_a_layer_is_told_without_what_keras_adds():
    class MyKLSparsity(keras.layers.Layer):
        def __init__(self, rho, beta):
            super().__init__()

        def call(self, code):
            return code + ops.zeros(3)

    said = printed(checks.my_kl_sparsity, MyKLSparsity)
    assert said.startswith("MyKLSparsity stops at `return code + ops.zeros(3)` with ")
    assert "Arguments received" not in said and "\x1b" not in said


def test_an_interrupt_is_no_answer():
    def l0(code):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checks.l0(l0)


@pytest.mark.parametrize("grading", ["autograde", "validate"])
def test_where_nbgrader_grades_a_cell_fails_with_the_verdict(grading, monkeypatch, capsys):
    monkeypatch.setenv("NBGRADER_EXECUTION", grading)
    with pytest.raises(AssertionError, match="^Twice too large: the ½"):
        checks.l2_gradient(lambda lam, W: 2 * lam * W)
    with pytest.raises(AssertionError, match="is still to do"):
        checks.l2_gradient(lambda lam, W: None)
    assert "Twice too large" in capsys.readouterr().out
    checks.l2_gradient(lambda lam, W: lam * W)
    assert capsys.readouterr().out == "Right.\n"
