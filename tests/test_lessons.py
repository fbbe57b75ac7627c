"""The lessons: their sources, the notebooks made from them, and what runs in both."""

import contextlib
import io
import re
import shutil
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from conftest import ROOT, needs_mnist
from nbformat.v4 import new_output
from scipy.optimize import linear_sum_assignment
from sklearn import model_selection
from sklearn.linear_model import LogisticRegression

import sparse_autoencoder as package
from sparse_autoencoder import features, keras, modern, studies
from sparse_autoencoder.playground import Playground
from tools import lessons
from tools.badges import unpack
from tools.lessons import NOTEBOOKS, code_cells, tags

SOURCES = {path.stem: lessons.read(path) for path in lessons.sources()}
LESSONS = [name for name in SOURCES if name[0] == "0"]
MADE = {
    path: made for source in lessons.sources() for path, made in lessons.notebooks(source).items()
}
SOLUTIONS = [path for path in MADE if path.parent != NOTEBOOKS]
TAGS = {"parameters", "derives", "explorer", "playground", "mistake", "worked"}
TAGS |= {"slide", "notes", "answer", "check", "solutions"}

each_source = pytest.mark.parametrize("name", SOURCES)
each_lesson = pytest.mark.parametrize("name", LESSONS)
each_notebook = pytest.mark.parametrize("path", MADE, ids=lambda path: path.stem)


def committed(path):
    return nbformat.read(path, as_version=4)


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def pictures(cell):
    return [output for output in cell.outputs if "image/png" in output.get("data", {})]


def text_of(*outputs):
    """The words of outputs, tables included."""
    data = [{"text/": output.get("text", "")} | output.get("data", {}) for output in outputs]
    return "\n".join(str(each[kind]) for each in data for kind in each if kind.startswith("text/"))


def verdicts(notebook):
    """What each check of a notebook said."""
    return [text_of(*c.outputs) for c in code_cells(notebook) if c.id.endswith("-check")]


# Sources


def test_readme_and_lessons_name_the_same_minutes():
    said = r"\]\(notebooks/(0\d\w+)\.ipynb\) .*\| (\d+) min \| (\d+) min \|$"
    readme = re.findall(said, (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    assert [name for name, *_ in readme] == [name for name in SOURCES if name[0] == "0"]
    for name, read, run in readme:
        text = (ROOT / "lessons" / f"{name}.md").read_text(encoding="utf-8")
        found = re.search(r"about (\d+) minutes to read, about (a|\d+) minutes? to run", text)
        assert found.groups() == (read, "a" if run == "1" else run), name


def test_the_lessons_and_the_appendices_are_there():
    assert list(SOURCES) == [
        *("01_mse_baseline", "02_l2_penalty", "03_kl_sparsity", "04_relu_l1", "05_using_the_code"),
        *("06_tradeoff", "07_modern_sparse_autoencoders", "08_do_the_features_mean_anything"),
        *("appendix_scorecard", "appendix_source_recipe", "appendix_superposition"),
    ]
    there = {path for path in NOTEBOOKS.rglob("*.ipynb") if "." not in path.parent.name}
    assert there == set(MADE), "lessons/ is the only source of notebooks"


@each_source
def test_every_cell_of_a_source_says_where_it_goes(name):
    for cell in SOURCES[name].cells:
        assert set(cell.metadata) <= {"id", "slide", "code", "alt", "tags", "points"}, cell.id
        assert tags(cell) <= TAGS, cell.id
        if tags(cell) & {"slide", "notes", "solutions"}:
            assert "slide" not in cell.metadata
        elif name in LESSONS and not cell.id.startswith("ex-"):
            assert cell.metadata.slide in ("slide", "fragment", "-", "skip"), cell.id


@each_lesson
def test_exercises_go_from_a_prediction_to_a_piece_of_code(name):
    cells = [cell for cell in SOURCES[name].cells if cell.id.startswith("ex-")]
    prompts = [cell for cell in cells if cell.cell_type == "markdown" and not tags(cell)]
    assert 3 <= len(prompts) <= 5
    minutes = []
    for number, prompt in enumerate(prompts, 1):
        own = [cell for cell in cells if cell.id.startswith(f"{prompt.id}-")]
        kinds = [kind for cell in own for kind in tags(cell)]
        title, facts = prompt.source.split("\n")[0:3:2]
        assert title.startswith(f"### {number}. ")
        stated = re.fullmatch(r"\*(\d+) minutes · (easy|medium|hard)( · on paper)?\*", facts)
        minutes.append(int(stated[1]))
        if stated[3]:
            assert "<details><summary>Answer</summary>" in prompt.source and own == []
        else:
            assert "<details><summary>Hint" in prompt.source and kinds.count("mistake") >= 2
            assert kinds.count("answer") == kinds.count("check") == 1
        assert prompt.source.count("<details>") == prompt.source.count("</details>")
    assert min(minutes) == 2 and max(minutes) in (15, 20)


# Notebooks as committed


@each_notebook
def test_source_and_notebook_are_in_step(path):
    assert lessons.differences(MADE[path], committed(path)) == [], "run `make lessons`"


@each_notebook
def test_committed_notebook_is_one_clean_run_on_mnist_where_all_holds(path):
    notebook = committed(path)
    nbformat.validate(notebook)
    cells, text = code_cells(notebook), text_of(*outputs(notebook))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for output in outputs(notebook):
        assert output.output_type != "error" and output.get("name") != "stderr"
        assert lessons.WIDGET_VIEW not in output.get("data", {})
    assert not re.search(r"(/home/|/root/|/tmp/|/Users/|/work/|[A-Z]:\\\\|\r)", text)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert path.stat().st_size <= 500_000
    assert "digits" not in re.findall(r"(\w+), this run", text)
    if path in SOLUTIONS:
        assert "(50000, 784)" in text
        assert all(said.startswith("Right") for said in verdicts(notebook))
    elif path.stem not in ("appendix_scorecard", "appendix_superposition"):  # they load no images
        assert "MNIST, this run" in text or "(50000, 784)" in text
        assert "All statements hold." in text
        assert sum(len(pictures(cell)) for cell in cells) >= 3


@pytest.mark.parametrize("name", SOURCES)
def test_every_picture_of_a_page_is_described_in_words(name):
    described = []
    for cell in code_cells(committed(NOTEBOOKS / f"{name}.ipynb")):
        assert len(pictures(cell)) == ("alt" in cell.metadata), cell.id
        described += [cell.metadata.alt] if pictures(cell) else []
    for alt in described:
        assert 60 <= len(alt) <= 400 and described.count(alt) == 1, alt
        assert not re.match("(an? )?(image|picture|plot|figure)", alt, re.I), alt


@each_notebook
def test_cells_are_short_and_have_readable_names(path):
    cells = MADE[path].cells
    assert len({cell.id for cell in cells}) == len(cells)
    for cell in cells:
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", cell.id), cell.id
    for cell in code_cells(MADE[path]):
        lines = cell.source.splitlines()
        assert len(lines) <= 25, cell.id
        assert max(map(len, lines)) <= 110, cell.id  # no sideways scrolling on a laptop
    titles = [c for c in cells if c.cell_type == "markdown" and c.source.startswith("# ")]
    assert titles == cells[:1]


@each_lesson
def test_lesson_has_the_course_anatomy(name):
    notebook = committed(NOTEBOOKS / f"{name}.ipynb")
    cells = {cell.id: cell for cell in notebook.cells}
    assert {"title", "check", "takeaways", "quiz", "next", "playground"} <= set(cells)
    # Its models are not those of the scorecard.
    assert "scorecard" in cells or name == "08_do_the_features_mean_anything"
    assert [cell.id for cell in notebook.cells if "parameters" in tags(cell)] == ["parameters"]
    assert sum("**Predict" in cell.source for cell in notebook.cells) >= 3
    widget = "explorer" if name == "06_tradeoff" else "playground"
    assert len(pictures(cells[f"{widget}-still"])) == 1
    assert cells[f"{widget}-run"].outputs == []
    experiments = cells["playground-experiments"].source
    assert re.findall(r"^\d\.", experiments, re.M) == ["1.", "2.", "3."]
    assert experiments.count("What you should see") == 3


@each_notebook
def test_links_to_files_resolve(path):
    text = "\n".join(cell.source for cell in MADE[path].cells if cell.cell_type == "markdown")
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)#\s]+)[^)]*\)", text):
        assert (path.parent / link).exists(), link


# The tool


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The path of a source of one lesson, whose notebooks are to be made beside it."""
    monkeypatch.setattr(sys, "argv", ["lessons.py"])
    monkeypatch.setattr(lessons, "SOURCES", tmp_path)
    monkeypatch.setattr(lessons, "NOTEBOOKS", tmp_path)
    (tmp_path / "solutions").mkdir()
    return Path(shutil.copy(ROOT / "tests" / "data" / "small_lesson.md", tmp_path / "small.md"))


def make(*arguments):
    """Run the tool with arguments of the command line."""
    sys.argv[1:] = arguments
    lessons.main()


def test_a_source_makes_a_lesson_with_stubs_and_solutions_for_nbgrader(small):
    lesson, solutions = (
        [(cell.id, cell.source, cell.metadata) for cell in unpack(notebook).cells]
        for notebook in lessons.notebooks(small).values()
    )
    assert lesson == [
        ("title", "# Numbers", {"slideshow": {"slide_type": "slide"}}),
        ("parameters", "N = 2", {"slideshow": {"slide_type": "skip"}, "tags": ["parameters"]}),
        ("show", 'print("seen:", N)', {"slideshow": {"slide_type": "-"}, "alt": 'A number: "N".'}),
        ("ex-one-answer", "def one():\n    ...", {}),
        ("ex-one-check", "print(one())", {}),
    ]
    answer = {"grade_id": "ex-one-answer", "grade": False, "locked": False, "solution": True}
    check = {"grade_id": "ex-one-check", "grade": True, "locked": True, "solution": False}
    both = {"schema_version": 3, "task": False}
    marked = "def one():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"
    assert solutions == [
        ("set-up", 'print("set up")', {}),
        ("ex-one-answer", marked, {"nbgrader": answer | both}),
        ("ex-one-check", "print(one())", {"nbgrader": check | both | {"points": 3}}),
        ("ex-one-mistake", "Two.", {"tags": ["mistake"]}),
    ]


def test_only_new_code_is_executed_unless_all_is_to_run_again(small, monkeypatch):
    runs = []

    def execute(notebook):
        runs.append(notebook)
        for cell in code_cells(notebook):
            cell.outputs = [new_output("stream", text=str(len(runs)))]

    monkeypatch.setattr(lessons, "execute", execute)
    for old, new, arguments, runs_of_both in [
        ("", "", [], (1, 2)),
        ("# Numbers", "# Words alone", [], (1, 2)),
        ("N = 2", "N = 3", ["small"], (3, 2)),  # the lesson has this cell, its solutions have not
        ("return 1", "return 2", ["small.md"], (3, 4)),  # here it is the other way round
        ("A note.", "Another note.", ["--again"], (5, 6)),
    ]:
        small.write_text(small.read_text().replace(old, new, 1))
        if arguments != ["--again"]:
            with pytest.raises(SystemExit, match=r"small\w*.ipynb is behind small.md in \['"):
                make("--check")
        make(*arguments)
        make("--check")
        for path, run in zip(lessons.notebooks(small), runs_of_both, strict=True):
            assert {output.text for output in outputs(committed(path))} == {str(run)}
    with pytest.raises(SystemExit, match="There is no other.md in lessons/"):
        make("other")


def test_a_failure_names_the_cell_and_leaves_the_old_notebook(small):
    path = small.with_suffix(".ipynb")
    nbformat.write(nbformat.v4.new_notebook(), path)
    before = path.read_text()
    small.write_text(small.read_text().replace('print("seen:", N)', "1 / 0"))
    with pytest.raises(SystemExit, match="(?s)small.ipynb was left.*'show'.*ZeroDivisionError"):
        make()
    assert path.read_text() == before


def test_a_run_leaves_clean_outputs_a_report_and_the_parameters_as_they_were(small):
    (path, notebook), _ = lessons.notebooks(small).items()
    notebook.metadata["widgets"] = {"state": {}}
    report = lessons.make(path, notebook, nbformat.v4.new_notebook())
    assert re.match(r"small.ipynb: \d+ s, up to [\d,]+ MB; the file has \d+ KB", report)
    made = committed(path)
    assert text_of(*outputs(made)).split() == ["seen:", "2", "None"]
    assert [cell.execution_count for cell in code_cells(made)] == [1, 2, 3, 4, 5]
    assert set(made.metadata) == {"kernelspec", "language_info"}
    assert text_of(*outputs(lessons.execute(notebook, {"N": 7}))).startswith("seen: 7")
    assert lessons.differences(lessons.notebooks(small)[path], notebook) == []


def test_progress_bars_leave_their_last_state_without_its_times():
    text = "start\n  0%|   | 0/2\r100%|## | 2/2 [01:02<00:00, 31.26s/epoch, loss=1.68]\r\nend\n"
    cleaned = lessons.clean(new_output("stream", text=text)).text
    assert cleaned == "start\n100%|## | 2/2 [loss=1.68]\nend\n"


# What a lesson derives is what the package does

RNG = np.random.default_rng(0)


def derived(name):
    """The functions and classes that a lesson derives, defined on their own."""
    known = vars(package) | vars(features) | {"np": np, "ops": keras.ops, "STEPS": 390}
    known["linear_sum_assignment"] = linear_sum_assignment
    names = dict(known)
    for cell in SOURCES[name].cells:
        if "derives" in tags(cell):
            exec(cell.source, names)
    return {key: made for key, made in names.items() if made is not known.get(key)}


def test_lesson_01_and_package_agree():
    lesson = derived("01_mse_baseline")
    images, drawn = RNG.uniform(size=(2, 300, 784)).astype("float32")
    np.testing.assert_array_equal(lesson["sse"](images, drawn), package.sse(images, drawn))


def test_terms_of_lessons_02_to_04_and_package_agree():
    code, W1, W2 = (RNG.uniform(0.01, 0.99, size) for size in [(128, 196), (784, 196), (196, 784)])
    half_squares = derived("02_l2_penalty")["HalfSquares"](0.01)
    lesson_kl = derived("03_kl_sparsity")["KLSparsity"](0.05, 3.0)
    lesson_l1 = derived("04_relu_l1")["L1Penalty"](0.1)
    np.testing.assert_array_equal(lesson_kl(code), np.float32(code))
    np.testing.assert_array_equal(lesson_l1(code - 0.5), np.float32(code - 0.5))
    for layer, inputs, expected in (
        (package.L2Penalty(0.01), [W1, W2], half_squares(W1) + half_squares(W2)),
        (package.KLSparsity(0.05, 3.0), code, lesson_kl.losses[0]),
        (package.L1Sparsity(0.1), code - 0.5, lesson_l1.losses[0]),
    ):
        layer(inputs)
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
    lesson, theirs = derived("07_modern_sparse_autoencoders"), vars(modern)
    code = package.tf.constant(RNG.normal(size=(64, 30)), "float32")
    found = []
    for names in (lesson, theirs):
        theta, penalty, batch_topk = (
            package.tf.Variable(np.full(30, 0.3, "float32")),
            *(names[name](7) for name in ("JumpReLU", "BatchTopK")),
        )
        with package.tf.GradientTape() as tape:
            both = names["jump"](code, theta, 0.2)
            total = sum(package.tf.reduce_sum(part) for part in both)
        found.append([names["TopK"](7)(code), *both, tape.gradient(total, theta)])
        found[-1] += [penalty(code), penalty.losses[0]]
        found[-1] += [batch_topk(code, training=True), batch_topk(code), batch_topk.threshold]
        annealed = modern.TopK(5)
        anneal = names["Anneal"](annealed, start=11, epochs=3)
        for epoch in range(4):
            anneal.on_epoch_begin(epoch)
            found[-1].append(float(annealed.k))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize(
    "kind, layer, state",
    [
        ("GatedAutoencoder", lambda: package.L1Sparsity(0.3), ("shift", np.linspace(-1, 1, 100))),
        ("RevivingAutoencoder", lambda: modern.TopK(3), ("silent", np.repeat([0, 999], 50))),
    ],
)
def test_models_of_lesson_07_and_package_agree(kind, layer, state):
    lesson, theirs = derived("07_modern_sparse_autoencoders"), vars(modern)
    images, models = RNG.uniform(size=(40, 784)).astype("float32"), []
    for names in (lesson, theirs):
        keras.utils.set_random_seed(1)
        how = {"sparsity": layer(), "kind": names[kind], "unit_norm": True}
        models.append(package.build_autoencoder(100, "linear", "linear", **how))
        names["start_tied"](models[-1], images)
        getattr(models[-1], state[0]).assign(state[1])
    for training in (False, True):
        drawn = [model(images, training=training) for model in models]
        np.testing.assert_allclose(*drawn, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(*[sum(model.losses) for model in models], rtol=1e-5)


def test_lesson_08_and_package_agree():
    lesson, theirs = derived("08_do_the_features_mean_anything"), vars(features)
    made = [names["known_examples"](500, seed=3) for names in (lesson, theirs)]
    for one, other in zip(*made, strict=True):
        np.testing.assert_array_equal(one, other)


# Lessons executed

JUDGE_A_TRAINING = {"ex-units-check", "ex-reverse-check", "ex-rho-check"}


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Two epochs of one step each, not compiled; small probes; files are written aside."""
    compile_, fit, train = keras.Model.compile, keras.Model.fit, package.train
    still, learn, kth_largest_of = Playground.still, LogisticRegression.fit, modern.kth_largest_of
    plain = {"jit_compile": False, "run_eagerly": True, "steps_per_execution": 1}
    trainers = package, studies.models  # who knows it by its name

    def short(epochs=10, **others):
        return others | {"epochs": min(epochs, 2), "steps_per_epoch": 1}

    for owner, name, quicker in (
        (keras.Model, "compile", lambda *args, **k: compile_(*args, **k | plain)),
        (keras.Model, "fit", lambda *args, **k: fit(*args, **short(**k))),
        *((owner, "train", lambda *args, **k: train(*args, **short(**k))) for owner in trainers),
        (Playground, "still", lambda panel, steps: still(panel, min(steps, 2))),
        (LogisticRegression, "fit", lambda self, *args: learn(self.set_params(max_iter=5), *args)),
        (model_selection, "GridSearchCV", lambda probe, choices, cv: probe),
        (modern, "kth_largest_of", lambda *args: kth_largest_of(*args, halvings=5)),
    ):
        monkeypatch.setattr(owner, name, quicker)
    (tmp_path / "data").mkdir()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    package.tf.config.run_functions_eagerly(True)
    yield
    package.tf.config.run_functions_eagerly(False)


def run(cells, names):
    """Execute cells as a kernel would, on the digits; returns what each exercise's check said."""
    said = {}
    for cell in cells:
        source = cell.source + '\nSOURCE = "digits"' * ("parameters" in tags(cell))
        # What a lesson asserts holds after a full training.
        code = compile(source, cell.id, "exec", optimize=1 if cell.id == "check" else -1)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(code, names)
        plt.close("all")
        if re.fullmatch("ex-.*-check", cell.id):
            said[cell.id] = out.getvalue()
    return said


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@each_source
def test_lesson_runs_quickly_and_its_answers_where_it_leaves_off(name, quick):
    names, cells = {}, code_cells(SOURCES[name])
    said = run(code_cells(lessons.lesson(SOURCES[name])), names)
    assert all("is still to do: replace the dots" in verdict for verdict in said.values())
    said = run([c for c in cells if c.id.startswith("ex-") and "worked" not in tags(c)], names)
    for check in said.keys() - JUDGE_A_TRAINING:
        assert said[check].startswith("Right"), said[check]


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@each_lesson
def test_worked_answers_run_quickly_by_themselves(name, quick):
    run(code_cells(lessons.solutions(SOURCES[name])), {})


@pytest.fixture
def run_in_full(monkeypatch):
    """Runs a notebook in a fresh kernel, on images of a source; gives what it shows."""
    monkeypatch.delenv("MPLBACKEND")  # of the tests; a kernel shows its figures

    def run_on(notebook, images):
        lessons.execute(notebook, {"SOURCE": images})
        assert "stderr" not in [output.get("name") for output in outputs(notebook)]
        for cell in code_cells(notebook):
            assert len(pictures(cell)) >= ("alt" in cell.metadata), cell.id
        return text_of(*outputs(notebook))

    return run_on


ON_MNIST = [pytest.param(n, marks=[pytest.mark.ci] * (n in LESSONS[:3])) for n in LESSONS]


@pytest.mark.slow
@pytest.mark.mnist
@needs_mnist
@pytest.mark.parametrize("name", ON_MNIST)
def test_all_statements_hold_on_mnist(name, run_in_full):
    text = run_in_full(lessons.lesson(SOURCES[name]), "mnist")
    assert "All statements hold." in text and "MNIST, this run" in text


@pytest.mark.slow
@pytest.mark.mnist
@each_lesson
def test_all_statements_hold_and_worked_answers_are_right_on_the_digits(name, run_in_full):
    text = run_in_full(lessons.lesson(SOURCES[name]), "digits")
    assert "All statements hold." in text and "digits, this run" in text
    notebook = lessons.solutions(SOURCES[name])
    run_in_full(notebook, "digits")
    assert all(said.startswith("Right") for said in verdicts(notebook))
