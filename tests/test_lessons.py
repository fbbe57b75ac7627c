"""The lessons: their sources, the notebooks made from them, and what runs in both."""

import contextlib
import io
import re

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from conftest import ROOT, needs_mnist
from sklearn.linear_model import LogisticRegression

import sparse_autoencoder as package
from sparse_autoencoder import keras, measures, modern, studies
from sparse_autoencoder.playground import Playground
from tools import lessons

SOURCES = lessons.sources()
MADE = {
    path: (source, notebook)
    for source in SOURCES
    for path, notebook in lessons.notebooks(source).items()
}
LESSONS = [source for source in SOURCES if source.stem[0] == "0"]
SOLUTIONS = [path for path in MADE if path.parent.name == "solutions"]
TAGS = {"parameters", "derives", "explorer", "playground", "mistake", "worked"}
TAGS_OF_SOURCES = TAGS | {"slide", "notes", "answer", "check", "solutions"}


def stem(path):
    return path.stem


each_source = pytest.mark.parametrize("source", SOURCES, ids=stem)
each_lesson = pytest.mark.parametrize("source", LESSONS, ids=stem)
each_notebook = pytest.mark.parametrize("path", MADE, ids=stem)
each_solution = pytest.mark.parametrize("path", SOLUTIONS, ids=stem)


def committed(path):
    return nbformat.read(path, as_version=4)


def outputs(notebook):
    return [output for cell in lessons.code_cells(notebook) for output in cell.outputs]


def pictures(cell):
    return [output for output in cell.outputs if "image/png" in output.get("data", {})]


def text_of(output):
    data = output.get("data", {})
    return output.get("text", "") + "".join(str(data[k]) for k in data if k.startswith("text/"))


def shown(notebook):
    return "\n".join(text_of(output) for output in outputs(notebook))


# Sources


def test_the_lessons_and_the_appendix_are_there():
    assert [path.stem for path in SOURCES] == [
        *("01_mse_baseline", "02_l2_penalty", "03_kl_sparsity", "04_relu_l1", "05_using_the_code"),
        *("06_tradeoff", "07_modern_sparse_autoencoders", "appendix_source_recipe"),
    ]
    there = {path for path in lessons.NOTEBOOKS.rglob("*.ipynb") if "." not in path.parent.name}
    assert there == set(MADE), "lessons/ is the only source of notebooks"


@each_source
def test_every_cell_of_a_source_says_where_it_goes(source):
    for cell in lessons.read(source).cells:
        assert set(cell.metadata) <= {"id", "slide", "code", "alt", "tags", "points"}, cell.id
        assert lessons.tags(cell) <= TAGS_OF_SOURCES, cell.id
        of_a_deck = source in LESSONS and not cell.id.startswith("ex-")
        if lessons.tags(cell) & {"slide", "notes", "solutions"}:
            assert "slide" not in cell.metadata
        elif of_a_deck:
            assert cell.metadata.slide in ("slide", "fragment", "-", "skip"), cell.id


@each_lesson
def test_exercises_go_from_a_prediction_to_a_piece_of_code(source):
    cells = [cell for cell in lessons.read(source).cells if cell.id.startswith("ex-")]
    prompts = [cell for cell in cells if cell.cell_type == "markdown" and not lessons.tags(cell)]
    assert 3 <= len(prompts) <= 5
    minutes = []
    for number, prompt in enumerate(prompts, 1):
        own = [cell for cell in cells if cell.id.startswith(f"{prompt.id}-")]
        title, facts = prompt.source.split("\n")[0:3:2]
        assert title.startswith(f"### {number}. ")
        stated = re.fullmatch(r"\*(\d+) minutes · (easy|medium|hard)( · on paper)?\*", facts)
        minutes.append(int(stated[1]))
        if stated[3]:
            assert "<details><summary>Answer</summary>" in prompt.source
            assert own == []
        else:
            assert "<details><summary>Hint" in prompt.source
            kinds = [kind for cell in own for kind in lessons.tags(cell)]
            assert kinds.count("answer") == kinds.count("check") == 1
            assert kinds.count("mistake") >= 2
        assert prompt.source.count("<details>") == prompt.source.count("</details>")
    assert min(minutes) == 2 and max(minutes) in (15, 20)


# Notebooks as committed


@each_notebook
def test_source_and_notebook_are_in_step(path):
    source, notebook = MADE[path]
    behind = lessons.differences(notebook, committed(path))
    assert not behind, f"`make lessons LESSON={source.stem}`"


@each_notebook
def test_committed_notebook_is_one_clean_run(path):
    notebook = committed(path)
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in lessons.code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    for output in outputs(notebook):
        assert output.output_type != "error"
        assert output.get("name") != "stderr"
        assert lessons.WIDGET_VIEW not in output.get("data", {})
        assert not re.search(r"(/home/|/root/|/tmp/|/Users/|/work/|[A-Z]:\\\\|\r)", text_of(output))
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert path.stat().st_size <= 500_000


@each_notebook
def test_committed_notebook_shows_mnist_and_that_all_statements_hold(path):
    text = shown(committed(path))
    assert "(50000, 784)" in text or "MNIST, this run" in text
    assert "digits" not in re.findall(r"(\w+), this run", text)
    if path in SOLUTIONS:
        cells = lessons.code_cells(committed(path))
        verdicts = [text_of(cell.outputs[0]) for cell in cells if cell.id.endswith("-check")]
        assert all(verdict.startswith("Right") for verdict in verdicts)
    else:
        assert "All statements hold." in text
        assert sum(len(pictures(cell)) for cell in lessons.code_cells(committed(path))) >= 4


@each_notebook
def test_every_picture_is_described_in_words(path):
    if path in SOLUTIONS:
        pytest.skip("only what stands in lessons is published as pages and slides")
    described = []
    for cell in lessons.code_cells(committed(path)):
        assert len(pictures(cell)) == ("alt" in cell.metadata), cell.id
        if pictures(cell):
            description = cell.metadata.alt
            assert 60 <= len(description) <= 400, cell.id
            assert not re.match("(an? )?(image|picture|plot|figure)", description, re.I), cell.id
            described.append(description)
    assert len(set(described)) == len(described)


@each_notebook
def test_cells_are_short_and_have_readable_names(path):
    notebook = MADE[path][1]
    names = [cell.id for cell in notebook.cells]
    assert len(set(names)) == len(names)
    for cell in notebook.cells:
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", cell.id), cell.id
        assert lessons.tags(cell) <= TAGS, cell.id
        if cell.cell_type == "code":
            lines = cell.source.splitlines()
            assert len(lines) <= 25, cell.id
            assert max(map(len, lines)) <= 110, cell.id  # no sideways scrolling on a laptop
    titles = [c for c in notebook.cells if c.cell_type == "markdown" and c.source.startswith("# ")]
    assert len(titles) == 1 and titles[0] is notebook.cells[0]


@each_lesson
def test_lesson_has_the_course_anatomy(source):
    notebook = lessons.lesson(lessons.read(source))
    assert sum("parameters" in lessons.tags(cell) for cell in notebook.cells) == 1
    names = {cell.id for cell in notebook.cells}
    assert names >= {"title", "parameters", "playground", "check", "scorecard", "takeaways", "next"}
    assert sum("**Predict" in cell.source for cell in notebook.cells) >= 3


@each_lesson
def test_the_playground_has_a_still_picture_and_three_experiments(source):
    notebook = committed(lessons.NOTEBOOKS / f"{source.stem}.ipynb")
    cells = {cell.id: cell for cell in notebook.cells}
    still = "explorer-still" if source.stem == "06_tradeoff" else "playground-still"
    assert len(pictures(cells[still])) == 1
    assert cells[still.replace("still", "run")].outputs == []
    experiments = cells["playground-experiments"].source
    assert re.findall(r"^\d\.", experiments, re.M) == ["1.", "2.", "3."]
    assert experiments.count("What you should see") == 3


PAGES = [*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("notebooks/*/*.md")]


@pytest.mark.parametrize(
    "path", [*MADE, *PAGES], ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_links_to_files_resolve(path):
    text = path.read_text(encoding="utf-8")
    if path in MADE:
        text = "\n".join(c.source for c in MADE[path][1].cells if c.cell_type == "markdown")
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not re.match(r"(https?|mailto):", link):
            assert (path.parent / link).exists(), link


# The tool


@pytest.fixture
def small(tmp_path):
    """A source of one lesson with an exercise, and where its notebook is to be written."""
    text = """
+++ {"id": "title", "slide": "slide"}

# Numbers

+++ {"tags": ["slide"]}

# A slide

+++ {"tags": ["notes"]}

A note.

```{code-cell}
:id: parameters
:slide: skip
:tags: [parameters]

N = 2
```

```{code-cell}
:id: show
:slide: '-'
:alt: 'A number: "N".'

print("seen:", N)
```

```{code-cell}
:id: title
:tags: [solutions]

print("set up")
```

```{code-cell}
:id: ex-one-answer
:tags: [answer]

def one():
    ### BEGIN SOLUTION
    return 1
    ### END SOLUTION
```

```{code-cell}
:id: ex-one-check
:tags: [check]
:points: 3

print(one())
```

+++ {"id": "ex-one-mistake", "tags": ["mistake"]}

Two.
"""
    (tmp_path / "small.md").write_text(text, encoding="utf-8")
    return lessons.read(tmp_path / "small.md"), tmp_path / "small.ipynb"


def test_a_lesson_has_stubs_and_no_word_of_slides(small):
    notebook = lessons.lesson(small[0])
    ids = [cell.id for cell in notebook.cells]
    assert ids == ["title", "parameters", "show", "ex-one-answer", "ex-one-check"]
    cells = dict(zip(ids, notebook.cells, strict=True))
    assert cells["ex-one-answer"].source == "def one():\n    ..."
    assert cells["show"].metadata == {"slideshow": {"slide_type": "-"}, "alt": 'A number: "N".'}
    assert cells["parameters"].metadata.tags == ["parameters"]
    assert cells["ex-one-check"].metadata == {}


def test_solutions_have_answers_mistakes_and_what_nbgrader_needs(small):
    notebook = lessons.solutions(small[0])
    ids = [cell.id for cell in notebook.cells]
    assert ids == ["title", "ex-one-answer", "ex-one-check", "ex-one-mistake"]
    setup, answer, check, mistake = notebook.cells
    assert setup.metadata == {}
    assert "return 1" in answer.source
    assert mistake.metadata == {"tags": ["mistake"]}
    facts = {"schema_version": 3, "task": False}
    assert answer.metadata.nbgrader == facts | {
        "grade_id": "ex-one-answer",
        "grade": False,
        "locked": False,
        "solution": True,
    }
    assert check.metadata.nbgrader == facts | {
        "grade_id": "ex-one-check",
        "grade": True,
        "locked": True,
        "solution": False,
        "points": 3,
    }


def test_a_change_of_prose_alone_executes_nothing(small, monkeypatch):
    source, path = small
    report = lessons.make(path, lessons.lesson(source), nbformat.v4.new_notebook())
    assert re.match(r"small.ipynb: \d+ s, up to [\d,]+ MB; the file has \d+ KB", report)
    first = committed(path)
    assert shown(first).split() == ["seen:", "2", "None"]
    assert [cell.execution_count for cell in lessons.code_cells(first)] == [1, 2, 3, 4]

    executed = []
    monkeypatch.setattr(lessons, "execute", executed.append)
    source.cells[0].source = "# Other words"
    assert lessons.differences(lessons.lesson(source), first) == ["title"]
    lessons.make(path, lessons.lesson(source), first)
    assert not executed
    assert committed(path).cells[0].source == "# Other words"
    assert outputs(committed(path)) == outputs(first)
    assert lessons.differences(lessons.lesson(source), committed(path)) == []

    named = {cell.id: cell for cell in source.cells}
    named["show"].source += "  # changed"
    assert not lessons.keep_outputs(lessons.lesson(source), committed(path))
    named["show"].source = 'print("seen:", N)'
    named["parameters"].source = "N = 3"
    assert not lessons.keep_outputs(lessons.lesson(source), committed(path))


def test_a_failure_names_the_cell_and_leaves_the_old_notebook(small):
    source, path = small
    path.write_text("as it was")
    named = {cell.id: cell for cell in source.cells}
    named["show"].source = "1 / 0"
    with pytest.raises(RuntimeError, match="(?s)'show'.*ZeroDivisionError"):
        lessons.make(path, lessons.lesson(source), nbformat.v4.new_notebook())
    assert path.read_text() == "as it was"


def test_parameters_are_set_for_one_run_and_foreign_metadata_goes(small):
    notebook = lessons.lesson(small[0])
    sources = [cell.source for cell in notebook.cells]
    notebook.metadata["widgets"] = {"state": {}}
    lessons.execute(notebook, {"N": 7})
    assert shown(notebook).startswith("seen: 7")
    assert [cell.source for cell in notebook.cells] == sources
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert all("execution" not in cell.metadata for cell in notebook.cells)


def test_progress_bars_leave_their_last_state():
    text = "start\n  0%|   | 0/2\r 50%|#  | 1/2\r100%|## | 2/2\r\nend\n"
    output = nbformat.v4.new_output("stream", text=text)
    assert lessons.clean(output).text == "start\n100%|## | 2/2\nend\n"


# What a lesson derives is what the package does

RNG = np.random.default_rng(0)


def derived(name):
    """The functions and classes that a lesson derives, defined on their own."""
    names = {"keras": keras, "tf": package.tf, "ops": keras.ops, "np": np}
    names |= {"Autoencoder": package.Autoencoder, "as_tensor": package.as_tensor}
    names |= {"sse": package.sse}
    for cell in lessons.read(lessons.SOURCES / f"{name}.md").cells:
        if "derives" in lessons.tags(cell):
            exec(cell.source, names)
    return names


def test_lesson_01_and_package_agree():
    lesson = derived("01_mse_baseline")
    images, drawn = RNG.uniform(size=(2, 300, 784)).astype("float32")
    np.testing.assert_array_equal(lesson["sse"](images, drawn), package.sse(images, drawn))
    ours, theirs = lesson["batches"](images, 32, 7), package.batches(images, 32, 7)
    for mine, its in zip(ours.take(20), theirs.take(20), strict=True):
        np.testing.assert_array_equal(mine, its)


def test_lesson_02_and_package_agree():
    W1, W2 = RNG.normal(size=(784, 196)), RNG.normal(size=(196, 784))
    penalty = package.L2Penalty(0.01, dtype="float64")
    penalty([W1, W2])
    expected = derived("02_l2_penalty")["l2_term"](0.01, W1, W2)
    np.testing.assert_allclose(penalty.losses[0], expected, rtol=1e-7)


def test_lesson_03_and_package_agree():
    lesson = derived("03_kl_sparsity")
    code = RNG.uniform(0.01, 0.99, size=(128, 196)).astype("float32")
    ours, theirs = lesson["KLSparsity"](0.05, 3.0), package.KLSparsity(0.05, 3.0)
    np.testing.assert_array_equal(ours(code), theirs(code))
    np.testing.assert_allclose(ours.losses[0], theirs.losses[0], rtol=1e-5)


def test_lesson_04_and_package_agree():
    code = np.maximum(RNG.normal(size=(128, 196)), 0).astype("float32")
    layer = package.L1Sparsity(0.1)
    layer(code)
    expected = derived("04_relu_l1")["l1_term"](0.1, code)
    np.testing.assert_allclose(layer.losses[0], expected, rtol=1e-5)


def test_lesson_05_and_studies_agree():
    encoder = package.build_autoencoder().encoder
    lesson = derived("05_using_the_code")["classifier"]
    for frozen in (False, True):
        mine, theirs = lesson(encoder, frozen), studies.build_classifier(encoder, frozen)
        for model in (mine, theirs):
            np.testing.assert_array_equal(model.get_weights()[0], encoder.get_weights()[0])
            assert len(model.trainable_weights) == (2 if frozen else 4)
        assert mine.count_params() == theirs.count_params()
    assert not np.array_equal(lesson().get_weights()[0], encoder.get_weights()[0])


def test_lesson_07_and_package_agree():
    lesson = derived("07_modern_sparse_autoencoders")
    code = RNG.normal(size=(64, 30)).astype("float32")
    np.testing.assert_array_equal(lesson["TopK"](7)(code), modern.TopK(7)(code))
    found = []
    for jump in (lesson["jump"], modern.jump):
        theta = package.tf.Variable(np.full(30, 0.3, "float32"))
        with package.tf.GradientTape() as tape:
            both = jump(package.tf.constant(code), theta, 0.2)
            total = sum(package.tf.reduce_sum(part) for part in both)
        found.append([*both, tape.gradient(total, theta)])
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    images, models = RNG.normal(size=(40, 784)).astype("float32"), []
    for kind in (lesson["GatedAutoencoder"], modern.GatedAutoencoder):
        sparsity = package.L1Sparsity(0.3)
        model = package.build_autoencoder(
            20, "linear", "linear", sparsity=sparsity, kind=kind, unit_norm=True
        )
        models.append(model)
    models[1].set_weights(models[0].get_weights())
    for model in models:
        model.shift.assign(np.linspace(-1, 1, 20))
    drawn = [model(images).numpy() for model in models]
    np.testing.assert_allclose(*drawn, rtol=1e-5, atol=1e-5)
    mine, theirs = (sum(float(loss) for loss in model.losses) for model in models)
    assert mine == pytest.approx(theirs, rel=1e-5)


# Lessons executed


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Two epochs of one step each, not compiled; small probes; files are written aside."""
    compile_, fit, train = keras.Model.compile, keras.Model.fit, package.train
    still, learn = Playground.still, LogisticRegression.fit

    def short(epochs=10, **others):
        return others | {"epochs": min(epochs, 2), "steps_per_epoch": 1}

    plain = {"jit_compile": False, "run_eagerly": True, "steps_per_execution": 1}
    for owner, name, quicker in (
        (keras.Model, "compile", lambda *args, **k: compile_(*args, **k | plain)),
        (keras.Model, "fit", lambda *args, **k: fit(*args, **short(**k))),
        (package, "train", lambda *args, **k: train(*args, **short(**k))),
        (Playground, "still", lambda panel, steps: still(panel, min(steps, 10))),
        (LogisticRegression, "fit", lambda self, *args: learn(self.set_params(max_iter=5), *args)),
        (measures, "PROBE_C", (1.0,)),
    ):
        monkeypatch.setattr(owner, name, quicker)
    (tmp_path / "data").mkdir()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    package.tf.config.run_functions_eagerly(True)
    yield
    package.tf.config.run_functions_eagerly(False)


def run(cells, names):
    """Execute cells as a kernel would, on the digits; returns what each printed, by its id."""
    printed = {}
    for cell in cells:
        code = cell.source
        if "parameters" in lessons.tags(cell):
            code += '\nSOURCE = "digits"'
        # What a lesson asserts holds after a full training.
        code = compile(code, cell.id, "exec", optimize=1 if cell.id == "check" else -1)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(code, names)
        plt.close("all")
        printed[cell.id] = out.getvalue()
    return printed


JUDGE_A_TRAINING = {"ex-units-check", "ex-reverse-check", "ex-rho-check"}


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@each_source
def test_lesson_runs_quickly_and_its_answers_where_it_leaves_off(source, quick):
    names, notebook = {}, lessons.read(source)
    printed = run(lessons.code_cells(lessons.lesson(notebook)), names)
    stubs = [text for name, text in printed.items() if re.fullmatch("ex-.*-check", name)]
    assert all("is still to do: replace the dots" in text for text in stubs)

    own = [cell for cell in lessons.code_cells(notebook) if cell.id.startswith("ex-")]
    printed = run([cell for cell in own if "worked" not in lessons.tags(cell)], names)
    for cell in own:
        if "check" in lessons.tags(cell):
            right = cell.id in JUDGE_A_TRAINING or printed[cell.id].startswith("Right")
            assert right, printed[cell.id]


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@each_lesson
def test_worked_answers_run_quickly_by_themselves(source, quick):
    run(lessons.code_cells(lessons.solutions(lessons.read(source))), {})


@pytest.fixture
def run_in_full(monkeypatch):
    """Runs a notebook in a fresh kernel, on images of a source; gives what it shows."""
    monkeypatch.delenv("MPLBACKEND")  # of the tests; a kernel shows its figures

    def run_on(notebook, images):
        lessons.execute(notebook, {"SOURCE": images})
        assert not [output for output in outputs(notebook) if output.get("name") == "stderr"]
        for cell in lessons.code_cells(notebook):
            assert len(pictures(cell)) >= ("alt" in cell.metadata), cell.id
        return shown(notebook)

    return run_on


@pytest.mark.slow
@pytest.mark.mnist
@pytest.mark.parametrize(
    "source",
    [pytest.param(source, marks=[pytest.mark.ci] * (source in LESSONS[:3])) for source in LESSONS],
    ids=stem,
)
@needs_mnist
def test_all_statements_hold_on_mnist(source, run_in_full):
    text = run_in_full(lessons.lesson(lessons.read(source)), "mnist")
    assert "All statements hold." in text
    assert "MNIST, this run" in text


@pytest.mark.slow
@pytest.mark.mnist
@each_lesson
def test_all_statements_hold_on_the_digits(source, run_in_full):
    text = run_in_full(lessons.lesson(lessons.read(source)), "digits")
    assert "All statements hold." in text
    assert "digits, this run" in text


@pytest.mark.slow
@pytest.mark.mnist
@each_lesson
def test_worked_answers_are_right_on_the_digits(source, run_in_full):
    notebook = lessons.solutions(lessons.read(source))
    run_in_full(notebook, "digits")
    for cell in notebook.cells:
        if cell.id.endswith("-check"):
            assert text_of(cell.outputs[0]).startswith("Right"), cell.id
