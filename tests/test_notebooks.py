"""The lessons as committed, the lessons executed, and the code they share with the modules."""

import ast
import re
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest

from tools.execute_lessons import WIDGET_VIEW, execute, last_states, lessons, strip

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
PATHS = lessons()
LESSONS = [path for path in PATHS if re.match(r"0\d_", path.name) and path.parent == NOTEBOOKS]
HAVE_MNIST = (ROOT / "data" / "mnist.npz").exists()
each_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def text_of(output):
    return output.get("text", "") + "".join(
        str(v) for k, v in output.get("data", {}).items() if k.startswith("text/")
    )


def test_the_lessons_and_the_appendix_are_there():
    names = [path.stem for path in PATHS if path.parent == NOTEBOOKS]
    assert names[:4] == ["01_mse_baseline", "02_l2_penalty", "03_kl_sparsity", "04_relu_l1"]
    assert names[4:6] == ["05_using_the_code", "06_tradeoff"]
    assert names[6:] == ["07_modern_sparse_autoencoders", "appendix_source_recipe"]


@each_notebook
def test_committed_notebook_is_one_clean_run(path):
    notebook = read(path)
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    for output in outputs(notebook):
        assert output.output_type != "error"
        assert output.get("name") != "stderr"
        assert WIDGET_VIEW not in output.get("data", {})
        assert "\r" not in text_of(output)
        assert not re.search(r"(/home/|/root/|/tmp/|/Users/|/work/|[A-Z]:\\\\)", text_of(output))
    assert "widgets" not in notebook.metadata
    assert path.stat().st_size <= 500_000


@each_notebook
def test_committed_pictures_come_from_real_mnist(path):
    shown = "\n".join(text_of(output) for output in outputs(read(path)))
    assert "(50000, 784)" in shown or "MNIST, this run" in shown
    assert "digits" not in re.findall(r"(\w+), this run", shown)
    pictures = [output for output in outputs(read(path)) if "image/png" in output.get("data", {})]
    assert len(pictures) >= (4 if path.parent == NOTEBOOKS else 0)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_picture_is_described_in_words(path):
    described = []
    for cell in code_cells(read(path)):
        pictures = [output for output in cell.outputs if "image/png" in output.get("data", {})]
        assert len(pictures) <= 1, f"{cell.id}: one description, one picture"
        if pictures:
            description = cell.metadata.get("alt", "")
            assert 60 <= len(description) <= 400, f"{cell.id}: metadata 'alt'"
            assert not re.match("(an? )?(image|picture|plot|figure)", description, re.I), cell.id
            described.append(description)
        else:
            assert "alt" not in cell.metadata, f"{cell.id} has no picture"
    assert len(set(described)) == len(described)


@each_notebook
def test_cells_are_short_and_have_readable_names(path):
    notebook = read(path)
    names = [cell.id for cell in notebook.cells]
    assert len(set(names)) == len(names)
    for cell in notebook.cells:
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", cell.id), cell.id
        if cell.cell_type == "code":
            lines = cell.source.splitlines()
            assert len(lines) <= 25, cell.id
            assert max(map(len, lines)) <= 110, cell.id  # no sideways scrolling on a laptop
    titles = [c for c in notebook.cells if c.cell_type == "markdown" and c.source.startswith("# ")]
    assert len(titles) == 1 and titles[0] is notebook.cells[0]


@each_lesson
def test_lesson_has_the_course_anatomy(path):
    notebook = read(path)
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    ids = [cell.id for cell in notebook.cells]
    for name in ("title", "parameters", "playground", "check", "scorecard", "takeaways"):
        assert name in ids
    lesson = notebook.cells[: ids.index("takeaways") + 1]  # without the exercises
    words = sum(len(c.source.split()) for c in lesson if c.cell_type == "markdown")
    lines = sum(len(c.source.splitlines()) for c in lesson if c.cell_type == "code")
    longer = 1.3 if path.stem.startswith("07") else 1  # it derives three models rather than one
    assert 700 <= words <= 1_600 * longer
    assert 60 <= lines <= 190 * longer
    predictions = sum("**Predict" in cell.source for cell in notebook.cells)
    assert predictions >= 3


@pytest.mark.parametrize("path", [*LESSONS[:5], *LESSONS[6:]], ids=lambda path: path.stem)
def test_the_playground_has_a_still_picture_and_three_experiments(path):
    cells = {cell.id: cell for cell in read(path).cells}
    (still,) = cells["playground-still"].outputs
    assert "image/png" in still.data
    assert cells["playground-run"].outputs == []
    experiments = cells["playground-experiments"].source
    assert re.findall(r"^\d\.", experiments, re.M) == ["1.", "2.", "3."]
    assert experiments.count("What you should see") == 3


def links(text):
    return re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)


@pytest.mark.parametrize(
    "path", [*PATHS, *ROOT.glob("*.md"), *ROOT.glob("*/README.md")], ids=lambda path: path.name
)
def test_links_to_files_resolve(path):
    if path.suffix == ".md":
        text = path.read_text(encoding="utf-8")
    else:
        text = "\n".join(c.source for c in read(path).cells if c.cell_type == "markdown")
    for link in links(text):
        if not re.match(r"(https?|mailto):", link):
            assert (path.parent / link).exists(), link


def derived(lesson):
    """The functions and classes that a lesson derives, defined on their own."""
    cells = code_cells(read(NOTEBOOKS / f"{lesson}.ipynb"))
    from sparse_autoencoder import Autoencoder, as_tensor, keras, sse, tf

    names = {"keras": keras, "tf": tf, "ops": keras.ops, "np": np}
    names |= {"Autoencoder": Autoencoder, "as_tensor": as_tensor, "sse": sse}
    for cell in cells:
        if "derives" in cell.metadata.get("tags", []):
            tree = ast.parse(cell.source)
            assert all(isinstance(node, (ast.FunctionDef, ast.ClassDef)) for node in tree.body)
            exec(cell.source, names)
    return names


RNG = np.random.default_rng(0)


def test_lesson_05_and_studies_agree():
    import studies
    from sparse_autoencoder import build_autoencoder

    encoder = build_autoencoder().encoder
    lessons = derived("05_using_the_code")["classifier"]
    for frozen in (False, True):
        mine, theirs = lessons(encoder, frozen), studies.classifier(encoder, frozen)
        for model in (mine, theirs):
            np.testing.assert_array_equal(model.get_weights()[0], encoder.get_weights()[0])
            assert len(model.trainable_weights) == (2 if frozen else 4)
        assert mine.count_params() == theirs.count_params()
    assert not np.array_equal(lessons().get_weights()[0], encoder.get_weights()[0])


def test_lesson_07_and_module_agree():
    import modern_sparsity as module
    from sparse_autoencoder import L1Sparsity, build_autoencoder, tf

    lesson = derived("07_modern_sparse_autoencoders")
    code = RNG.normal(size=(64, 30)).astype("float32")
    np.testing.assert_array_equal(lesson["TopK"](7)(code), module.TopK(7)(code))
    found = []
    for jump in (lesson["jump"], module.jump):
        theta = tf.Variable(np.full(30, 0.3, "float32"))
        with tf.GradientTape() as tape:
            both = jump(tf.constant(code), theta, 0.2)
            total = sum(tf.reduce_sum(part) for part in both)
        found.append([*both, tape.gradient(total, theta)])
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    images, made = RNG.normal(size=(40, 784)).astype("float32"), []
    for kind in (lesson["GatedAutoencoder"], module.GatedAutoencoder):
        model = build_autoencoder(
            20, "linear", "linear", sparsity=L1Sparsity(0.3), kind=kind, unit_norm=True
        )
        made.append(model)
    made[1].set_weights(made[0].get_weights())
    for model in made:
        model.shift.assign(np.linspace(-1, 1, 20))
    drawn = [model(images).numpy() for model in made]
    np.testing.assert_allclose(*drawn, rtol=1e-5, atol=1e-5)
    mine, theirs = (sum(float(loss) for loss in model.losses) for model in made)
    assert mine == pytest.approx(theirs, rel=1e-5)


def test_lesson_01_and_module_agree():
    import sparse_autoencoder as module

    lesson = derived("01_mse_baseline")
    images, drawn = RNG.uniform(size=(2, 300, 784)).astype("float32")
    np.testing.assert_array_equal(lesson["sse"](images, drawn), module.sse(images, drawn))
    ours, theirs = lesson["batches"](images, 32, 7), module.batches(images, 32, 7)
    for mine, its in zip(ours.take(20), theirs.take(20), strict=True):
        np.testing.assert_array_equal(mine, its)


def test_lesson_02_and_module_agree():
    import sparse_autoencoder as module

    W1, W2 = RNG.normal(size=(784, 196)), RNG.normal(size=(196, 784))
    penalty = module.L2Penalty(0.01, dtype="float64")
    penalty([W1, W2])
    expected = derived("02_l2_penalty")["l2_term"](0.01, W1, W2)
    np.testing.assert_allclose(penalty.losses[0], expected, rtol=1e-7)


def test_lesson_03_and_module_agree():
    import sparse_autoencoder as module

    lesson = derived("03_kl_sparsity")
    code = RNG.uniform(0.01, 0.99, size=(128, 196)).astype("float32")
    ours, theirs = lesson["KLSparsity"](0.05, 3.0), module.KLSparsity(0.05, 3.0)
    np.testing.assert_array_equal(ours(code), theirs(code))
    np.testing.assert_allclose(ours.losses[0], theirs.losses[0], rtol=1e-5)


def test_lesson_04_and_module_agree():
    import sparse_autoencoder as module

    code = np.maximum(RNG.normal(size=(128, 196)), 0).astype("float32")
    layer = module.L1Sparsity(0.1)
    layer(code)
    expected = derived("04_relu_l1")["l1_term"](0.1, code)
    np.testing.assert_allclose(layer.losses[0], expected, rtol=1e-5)


def run_lesson(path, **parameters):
    start = time.perf_counter()
    notebook = execute(read(path), {"REUSE": False, **parameters})
    assert not [o for o in outputs(notebook) if o.get("name") == "stderr"]
    return notebook, time.perf_counter() - start


@each_lesson
def test_lesson_runs_in_full_on_the_digits(path):
    notebook, _ = run_lesson(path, SOURCE="digits")
    shown = "\n".join(text_of(output) for output in outputs(notebook))
    assert "All statements hold." in shown
    assert "digits, this run" in shown


@pytest.mark.slow
@pytest.mark.skipif(not HAVE_MNIST, reason="data/mnist.npz is not there: run a lesson once online")
@each_lesson
def test_lesson_runs_in_full_on_mnist(path):
    notebook, _ = run_lesson(path, SOURCE="mnist")
    shown = "\n".join(text_of(output) for output in outputs(notebook))
    assert "All statements hold." in shown


def test_the_appendix_runs_with_two_epochs_on_the_digits():
    run_lesson(NOTEBOOKS / "appendix_source_recipe.ipynb", SOURCE="digits", EPOCHS=2)


def test_what_is_written_by_hand_outlives_an_execution():
    notebook = read(LESSONS[0])
    kept = [dict(cell.metadata) for cell in notebook.cells]
    notebook.cells[0].metadata["scrolled"] = True
    assert [dict(cell.metadata) for cell in strip(notebook).cells] == kept


def test_progress_bars_leave_their_last_state():
    text = "start\n  0%|   | 0/2\r 50%|#  | 1/2\r100%|## | 2/2\r\nend\n"
    assert last_states(text) == "start\n100%|## | 2/2\nend\n"
