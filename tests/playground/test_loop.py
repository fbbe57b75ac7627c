"""The thread that trains, with a fake page, a fake clock and a fake engine: no TensorFlow."""

import threading

import pytest

from sparse_autoencoder.playground.loop import GIVE_UP, PATIENCE, Loop

TIMEOUT = 20  # seconds that a condition is waited for before a test fails


class FakeTraining:
    """Notes what is done to it, and fails where it is told to."""

    def __init__(self):
        self.step, self.times_compiled, self.steps = 0, 0, []
        self.hyperparameters = {"beta": 0.5, "rho": 0.1}
        self.error, self.gate, self.begun = None, threading.Event(), threading.Event()
        self.gate.set()

    def set(self, **hyperparameters):
        self.hyperparameters = self.hyperparameters | hyperparameters

    def train(self, steps):
        self.begun.set()
        assert self.gate.wait(TIMEOUT)
        self.times_compiled = 1
        self.step += steps
        self.steps += [(self.step, self.hyperparameters)]

    def reset(self, seed=None):
        self.step, self.seed, self.error = 0, seed, None

    def measure(self):
        if self.error:
            raise self.error
        return {"step": self.step, **self.hyperparameters}


class FakePage:
    """Answers at once, unless a test says otherwise."""

    def __init__(self):
        self.drawn, self.shown, self.asked = [], [], []
        self.answers = lambda number: True
        self.changed = threading.Condition()

    def draw(self, figures):
        self.drawn.append(figures)

    def show(self):
        with self.changed:
            self.shown.append((self.loop.state, self.loop.playing, self.loop.note))
            self.changed.notify_all()

    def ask(self, number):
        with self.changed:
            self.asked.append(number)
            self.changed.notify_all()
        if self.answers(number):
            self.loop.answer(number)

    def wait_for(self, condition):
        with self.changed:
            assert self.changed.wait_for(condition, TIMEOUT)

    def wait_for_pictures(self, count):
        wanted = len(self.drawn) + count
        self.wait_for(lambda: len(self.drawn) >= wanted)


class FakeClock:
    """Time passes while the loop sleeps, and then only."""

    def __init__(self):
        self.now, self.tick = 0.0, 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += max(seconds, self.tick)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def loop(clock):
    page, training = FakePage(), FakeTraining()
    page.loop = Loop(training, page, clock=clock, sleep=clock.sleep)
    page.loop.draw()
    yield page.loop
    training.gate.set()
    page.loop.close()


@pytest.fixture
def page(loop):
    return loop.page


@pytest.fixture
def training(loop):
    return loop.training


def in_threads(count, function):
    """Call it with 0, 1, … at once; gives a function that waits for all calls to end."""
    threads = [threading.Thread(target=function, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    return lambda: [thread.join(TIMEOUT) for thread in threads]


def test_it_trains_until_pause_and_says_so(loop, page, training):
    assert page.shown == [("paused", False, "Ready: press Train.")]
    loop.toggle()
    page.wait_for_pictures(3)
    loop.toggle()
    assert page.shown[-1] == ("paused", False, "Paused.")
    step = training.step
    loop.close()
    assert training.step == step > 0
    states = list(dict.fromkeys(state for state, *_ in page.shown))
    assert states == ["paused", "training", "compiling"]


def test_a_change_while_playing_comes_before_the_next_step(loop, page, training):
    loop.play()
    page.wait_for_pictures(3)
    with loop.lock:  # no step is taken meanwhile
        loop.change("beta", 3)
        step = training.step
    page.wait_for(lambda: page.drawn[-1]["beta"] == 3)
    loop.pause()
    assert all(now["beta"] == (3 if at > step else 0.5) for at, now in training.steps)


def test_a_change_while_it_compiles_and_a_pause_are_not_lost(loop, training):
    paused = threading.Event()
    loop.sleep = lambda seconds: paused.wait(TIMEOUT)  # the pause comes right after this slice
    training.gate.clear()
    loop.play()
    assert training.begun.wait(TIMEOUT)  # it stands within the first slice, as while compiling
    loop.change("beta", 10)
    training.gate.set()
    loop.pause()
    paused.set()
    assert training.hyperparameters["beta"] == 10
    loop.take(1)
    assert training.steps[-1][1]["beta"] == 10
    loop.reset()
    assert training.hyperparameters["beta"] == 10


def test_no_change_of_many_threads_is_lost(loop, training):
    loop.play()
    join = in_threads(8, lambda thread: [loop.change(f"{thread}.{i}", i) for i in range(50)])
    loop.pause()
    join()
    assert {f"{thread}.{i}" for thread in range(8) for i in range(50)} <= {
        *training.hyperparameters
    }


def test_a_change_while_paused_is_drawn_once_and_only_if_it_is_one(loop, page, training):
    loop.change("beta", 3)
    assert training.hyperparameters["beta"] == 3 and len(page.drawn) == 2
    loop.change("beta", 3)
    assert len(page.drawn) == 2
    loop.set(rho=0.3)
    assert page.drawn[-1]["rho"] == 0.3


def test_step_and_reset_pause_or_go_on(loop, page, training):
    loop.take(1, "Took one step.")
    assert page.shown[-1] == ("paused", False, "Took one step.") and training.step == 1
    loop.reset(seed=3)
    assert page.shown[-1] == ("paused", False, "Back at the start.")
    assert (training.step, training.seed) == (0, 3)
    loop.play()
    page.wait_for_pictures(3)
    loop.reset()
    assert loop.playing
    loop.take(2)
    assert not loop.playing and page.drawn[-1]["step"] == training.step


@pytest.mark.parametrize("speed, steps", [("one step", 1), ("normal", 8), ("fast", 32)])
def test_speed_says_how_many_steps_lie_between_two_looks(loop, page, training, speed, steps):
    loop.speed = speed
    loop.play()
    page.wait_for_pictures(1)
    assert training.steps[0][0] == steps


def test_a_page_that_is_gone_gets_no_picture_and_stops_the_training(loop, page, training, clock):
    page.answers = lambda number: False
    loop.play()
    page.wait_for(lambda: not loop.playing)
    assert page.shown[-1] == ("paused", False, "Paused, since the page did not answer.")
    assert GIVE_UP < clock.now < GIVE_UP + 2 * PATIENCE
    loop.close()
    assert len(page.drawn) <= 2
    # Every two seconds it asked again, and while it waited it did not train.
    assert page.asked == list(range(1, len(page.asked) + 1))
    assert GIVE_UP / PATIENCE * 0.8 < len(page.asked) < GIVE_UP / PATIENCE + 2
    assert training.step * 0.001 / 8 < PATIENCE + 1


def test_an_answer_that_was_lost_is_asked_for_again(loop, page):
    page.answers = lambda number: number != 4
    loop.play()
    page.wait_for_pictures(8)
    assert loop.playing


def test_train_forgets_what_an_earlier_page_did_not_answer(loop, page, clock):
    page.answers = lambda number: False
    loop.draw()
    clock.now += 2 * GIVE_UP
    page.answers = lambda number: True
    loop.touch()
    loop.play()
    page.wait_for_pictures(3)
    assert loop.playing


def test_left_alone_it_pauses_and_a_touch_keeps_it_awake(loop, page, clock):
    clock.tick = 30
    loop.play()
    page.wait_for(lambda: not loop.playing)
    assert page.shown[-1][2] == "Paused: nothing was touched for 10 minutes."
    assert 600 < clock.now < 700
    loop.sleep = lambda seconds: (clock.sleep(seconds), loop.touch())
    loop.touch()
    loop.play()
    page.wait_for(lambda: clock.now > 3000)
    assert loop.playing


def test_train_right_after_pause_trains_in_one_thread(loop, page):
    before = threading.active_count()
    for _ in range(20):
        loop.play()
        loop.pause()
        loop.play()
        page.wait_for_pictures(1)
        assert loop.playing and page.shown[-1][1]
        assert threading.active_count() == before + 1
    loop.close()
    assert threading.active_count() == before


def test_pause_and_train_of_many_threads_end_in_what_is_shown(loop, page):
    in_threads(30, lambda _: loop.toggle())()
    with loop.lock:
        assert page.shown[-1][1] == loop.playing
        assert (loop.state == "paused") != loop.playing


def test_after_a_loss_that_is_not_finite_only_a_reset_helps(loop, page, training):
    loop.play()
    training.error = FloatingPointError("not finite: press Reset.")
    page.wait_for(lambda: loop.state == "broken")
    loop.close()  # the thread has ended
    assert page.shown[-1] == ("broken", False, "Paused: not finite: press Reset.")
    loop.play()
    loop.pause()
    loop.change("beta", 0)
    assert loop.state == "broken" and not loop.playing and training.hyperparameters["beta"] == 0
    loop.set(beta=1)  # does not raise: it was set
    with pytest.raises(FloatingPointError):
        loop.take(1)
    loop.reset()
    assert page.shown[-1][:2] == ("paused", False)
    loop.play()
    assert loop.playing


def test_a_term_that_was_too_large_can_be_taken_back(loop, training):
    training.error = FloatingPointError("not finite")
    loop.change("beta", 1e38)
    assert loop.state == "broken"
    training.error = None
    loop.change("beta", 1)
    assert loop.state == "paused"


def test_what_goes_wrong_in_the_thread_is_said(loop, page, training):
    training.error = RuntimeError("out of memory")
    loop.play()
    page.wait_for(lambda: not loop.playing)
    assert page.shown[-1] == ("paused", False, "Paused: out of memory")
    loop.fail(KeyboardInterrupt())
    assert page.shown[-1][2] == "Paused, since the kernel was interrupted."
