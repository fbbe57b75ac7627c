"""What answers the view, with a fake engine and a fake clock: no TensorFlow, no widgets."""

import threading

import pytest

from sparse_autoencoder.playground.session import GONE, HURRY, LOADED_AGAIN, SPEEDS, Session

TIMEOUT = 20  # seconds that a condition is waited for before a test fails
COSTS = 0.002  # seconds of a step
COMPILES = 3  # seconds


class FakeClock:
    """Time passes while steps are taken and where a test says so."""

    now = 0.0

    def __call__(self):
        return self.now


class FakeTraining:
    """Notes what is done to it, and fails where it is told to."""

    def __init__(self, clock):
        self.clock, self.step, self.seed, self.times_compiled = clock, 0, 0, 0
        self.hyperparameters = {"beta": 0.5, "rho": 0.1}
        self.slices, self.error, self.interrupt = [], None, None
        self.gate, self.begun = threading.Event(), threading.Event()
        self.gate.set()

    def set(self, **hyperparameters):
        self.hyperparameters = self.hyperparameters | hyperparameters

    def train(self, steps):
        self.begun.set()
        assert self.gate.wait(TIMEOUT)
        if self.interrupt:
            raise self.interrupt
        self.clock.now += COSTS * steps + (0 if self.times_compiled else COMPILES)
        self.times_compiled = 1
        self.step += steps
        self.slices.append((steps, self.hyperparameters))

    def reset(self, seed=None):
        self.step, self.seed, self.error = 0, seed, None

    def measure(self):
        if self.error:
            raise self.error
        return {"step": self.step, **self.hyperparameters}


class FakeFrames:
    """Frames without pictures."""

    def frame(self, figures):
        return {"figures": figures}, {}

    def setup(self):
        return {}, {}

    old = {}

    def look(self, unit):
        pass


class FakeView:
    """A view by name, and all that it was sent."""

    def __init__(self, session, sent, name):
        self.session, self.sent, self.name, self.n = session, sent, name, 0

    def __call__(self, do, **more):
        """Ask, and give the answer."""
        self.n += 1
        self.session.answer({"v": 1, "view": self.name, "n": self.n, "do": do, **more})
        mine = [m for m in self.sent if m.get("view") == self.name and m.get("n") == self.n]
        assert len(mine) == 1, "every request has exactly one answer"
        return mine[0]

    def trains(self, ticks=20):
        """Press Train, and tick until slices have found their length; gives the last answer."""
        self("train", on=True)
        return [self("tick") for _ in range(ticks)][-1]


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def training(clock):
    return FakeTraining(clock)


@pytest.fixture
def sent():
    return []


@pytest.fixture
def moved():
    return []


@pytest.fixture
def session(training, clock, sent, moved):
    session = Session(
        training,
        FakeFrames(),
        send=lambda content, buffers: sent.append(content),
        move=moved.append,
        presets={"strong": {"beta": 9}},
        clock=clock,
    )
    yield session
    training.gate.set()


@pytest.fixture
def view(session, sent):
    return FakeView(session, sent, "a")


@pytest.fixture
def other(session, sent):
    return FakeView(session, sent, "b")


def in_threads(count, function):
    """Call it with 0, 1, … at once; gives a function that waits for all calls to end."""
    threads = [threading.Thread(target=function, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    return lambda: [thread.join(TIMEOUT) for thread in threads]


def test_it_trains_when_asked_until_pause_and_says_so(view, training):
    assert view("hello").items() >= {"state": "paused", "note": "Ready: press Train."}.items()
    assert view("tick")["figures"]["step"] == 0, "nobody pressed Train"
    assert view("train", on=True).items() >= {"state": "training", "clock": "a"}.items()
    step = view("tick")["figures"]["step"]
    assert view("tick")["figures"]["step"] > step > 0
    now = view("train", on=False)
    assert now.items() >= {"state": "paused", "playing": False, "note": "Paused."}.items()
    assert view("tick")["figures"] == now["figures"]


def test_only_hello_brings_what_does_not_change(view):
    assert view("hello")["setup"].items() >= {"presets": ["strong"], "seed": 0}.items()
    assert view("hello")["setup"]["speeds"] == list(SPEEDS)
    assert "setup" not in view("tick")


def test_compiling_is_said_ahead_and_not_counted_as_what_a_step_costs(view, sent, training):
    view("train", on=True)
    sent.clear()
    view("tick")
    ahead, frame = sent
    assert (ahead["kind"], ahead["state"], frame["kind"]) == ("state", "compiling", "frame")
    assert "once" in ahead["note"] and frame["ms"]["train"] > 1000 * COMPILES
    view.trains()
    assert training.slices[-1][0] * COSTS == pytest.approx(SPEEDS["normal"], abs=COSTS)
    assert [message["kind"] for message in sent].count("state") == 1


def test_slices_take_as_long_as_the_speed_says_and_are_short_while_a_hand_moves(view, training):
    view.trains()
    for speed, seconds in SPEEDS.items():
        assert view("speed", speed=speed)["speed"] == speed
        wait = view("tick")["wait"]
        assert training.slices[-1][0] * COSTS == pytest.approx(seconds or COSTS, abs=COSTS)
        assert (wait > 0) == (speed == "one step")
    view("tick", hurry=True)
    assert training.slices[-1][0] * COSTS == pytest.approx(HURRY, abs=COSTS)


def test_slices_follow_what_steps_cost_by_now(view, training, clock, monkeypatch):
    view.trains()
    monkeypatch.setitem(globals(), "COSTS", 0.02)
    for _ in range(20):
        view("tick")
    assert training.slices[-1][0] in (4, 5)


def test_of_two_views_one_clocks_and_both_are_answered(view, other, training):
    view.trains(3)
    steps = training.step
    assert other("hello").items() >= {"playing": True, "clock": "a"}.items()
    assert other("tick")["figures"]["step"] == steps
    assert view("tick")["figures"]["step"] > steps
    assert other("train", on=True)["clock"] == "b"
    steps = training.step
    assert view("tick")["figures"]["step"] == steps
    assert other("tick")["figures"]["step"] > steps


def test_a_page_loaded_again_pauses_what_its_view_had_begun(view, other, training, clock):
    view.trains(3)
    clock.now += GONE + 1
    assert view("tick")["playing"], "the same view may have stood still for a while"
    clock.now += GONE + 1
    now = other("hello")
    assert now.items() >= {"state": "paused", "note": LOADED_AGAIN}.items()
    assert other.trains(1)["figures"]["step"] > now["figures"]["step"]


def test_an_answer_that_was_lost_is_asked_for_again(view, sent):
    view.trains(3)
    lost = view("tick")
    again = view("tick")
    assert again["n"] == lost["n"] + 1 and again["figures"]["step"] > lost["figures"]["step"]


def test_a_change_while_playing_comes_before_the_next_step(session, view, training):
    view.trains(3)
    session.change("beta", 3)
    assert training.hyperparameters["beta"] == 0.5, "no slider waits for a slice"
    assert view("tick")["figures"]["beta"] == training.slices[-1][1]["beta"] == 3


@pytest.mark.parametrize("end", ["train", "step", "reset"])
def test_a_change_while_a_slice_runs_is_in_the_model_at_pause(end, session, view, training):
    view("train", on=True)
    training.gate.clear()
    join = in_threads(1, lambda _: view("tick"))
    assert training.begun.wait(TIMEOUT)  # it stands within the first slice, as while compiling
    session.change("beta", 10)
    training.gate.set()
    join()
    view(end, on=False)
    assert training.hyperparameters["beta"] == 10
    assert all(now["beta"] == 10 for _, now in training.slices[1:])


def test_no_change_of_many_threads_is_lost(session, view, training):
    view.trains(1)
    join = in_threads(8, lambda thread: [session.change(f"{thread}.{i}", i) for i in range(50)])
    view("train", on=False)
    join()
    assert {f"{thread}.{i}" for thread in range(8) for i in range(50)} <= {
        *training.hyperparameters
    }


def test_a_change_while_paused_is_drawn_once_and_only_if_it_is_one(session, sent, training):
    session.change("beta", 3)
    assert training.hyperparameters["beta"] == 3
    assert [(m["view"], m["n"], m["figures"]["beta"]) for m in sent] == [(None, None, 3)]
    session.change("beta", 3)
    assert len(sent) == 1
    session.set(rho=0.3)
    assert sent[-1]["figures"]["rho"] == 0.3


def test_what_the_view_sets_moves_the_sliders_in_one_frame(view, sent, moved, training):
    assert view("preset", preset="strong")["hyperparameters"]["beta"] == 9
    assert view("set", values={"rho": 0.2})["hyperparameters"]["rho"] == 0.2
    assert moved == [{"beta": 9}, {"rho": 0.2}] and len(sent) == 2


def test_step_and_reset_pause_or_go_on(session, view, sent, training):
    now = view("step")
    assert now.items() >= {"state": "paused", "note": "Took one step."}.items()
    assert now["figures"]["step"] == 1
    now = view("reset", seed=3)
    assert now["note"] == "Back at the start." and (training.step, training.seed) == (0, 3)
    view.trains(3)
    assert view("reset")["playing"]
    session.take(2)
    assert not session.playing and sent[-1]["figures"]["step"] == training.step == 2


def test_left_alone_it_pauses_and_a_touch_keeps_it_awake(session, view, clock):
    view.trains(3)
    for _ in range(30):
        clock.now += 60
        assert view("tick", touched=True)["playing"]
    for touch in (lambda: session.change("beta", 1), lambda: view("look", unit=None)):
        touch()
        clock.now += 590
        assert view("tick")["playing"]
    clock.now += 20
    now = view("tick")
    assert not now["playing"] and now["note"] == "Paused: nothing was touched for 10 minutes."


def test_requests_of_many_threads_end_in_what_is_shown(session, sent):
    before = threading.active_count()
    views = [FakeView(session, sent, str(number)) for number in range(30)]
    in_threads(30, lambda number: views[number]("train", on=number % 2 == 0))()
    assert len(sent) == 30 and sent[-1]["playing"] == session.playing
    assert threading.active_count() == before


def test_after_a_loss_that_is_not_finite_only_a_reset_helps(session, view, training):
    view.trains(3)
    good = view("tick")
    training.error = FloatingPointError("not finite: press Reset.")
    now = view("tick")
    assert now.items() >= {"state": "broken", "playing": False, "buffers": []}.items()
    assert now["note"] == "Paused: not finite: press Reset." and now["figures"] == good["figures"]
    assert view("train", on=True)["state"] == view("train", on=False)["state"] == "broken"
    session.change("beta", 0)
    assert session.state == "broken" and training.hyperparameters["beta"] == 0
    session.set(beta=1)  # does not raise: it was set
    with pytest.raises(FloatingPointError):
        session.take(1)
    assert view("reset")["state"] == "paused"
    assert view("train", on=True)["state"] == "training"


def test_a_term_that_was_too_large_can_be_taken_back(session, training):
    training.error = FloatingPointError("not finite")
    session.change("beta", 1e38)
    assert session.state == "broken"
    training.error = None
    session.change("beta", 1)
    assert session.state == "paused"


@pytest.mark.parametrize(
    "error, note",
    [
        (RuntimeError("out of memory"), "Paused: out of memory"),
        (KeyboardInterrupt(), "Paused, since the kernel was interrupted."),
    ],
)
def test_what_goes_wrong_in_a_slice_is_said_and_train_goes_on(error, note, view, training):
    view.trains(3)
    training.interrupt = error
    assert view("tick").items() >= {"state": "paused", "playing": False, "note": note}.items()
    training.interrupt = None
    assert view.trains(1)["state"] == "training"


@pytest.mark.parametrize(
    "request_", [{"do": "dance"}, {"do": "speed", "speed": "warp"}, {"do": "preset"}]
)
def test_what_cannot_be_done_is_said_in_the_answer(request_, view):
    assert "does not know" in view(**request_)["note"]


def test_a_view_of_another_version_is_told_so_and_nothing_else_is_done(session, sent):
    session.answer({"v": 2, "view": "a", "n": 1, "do": "train", "on": True})
    (message,) = sent
    assert message["kind"] == "state" and "Restart the kernel" in message["note"]
    assert not session.playing


def test_closed_it_answers_no_more(session, view, sent):
    view.trains(1)
    session.close()
    count = len(sent)
    session.answer({"v": 1, "view": "a", "n": 99, "do": "tick"})
    assert len(sent) == count and not session.playing
