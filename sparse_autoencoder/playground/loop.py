"""The thread that trains, and what it agrees on with the page: no widgets.

The page acknowledges each picture before the next one is sent: so pictures never queue up, and a
page that is gone stops the training. An answer that is lost is asked for again.
"""

import contextlib
import threading
import time
from collections import deque

# Name → steps between two looks at the sliders, seconds between two pictures. While nobody touches
# anything it looks less often, for each look costs the training a moment.
SPEEDS = {"one step": (1, 0.3), "normal": (8, 0.11), "fast": (32, 0.5)}
UNTOUCHED = 2  # seconds without a touch

PATIENCE = 2  # seconds without an answer from the page until training waits for it
GIVE_UP = 60  # and until it pauses

READY = "Ready: press Train."
COMPILING = "Compiling the training step: a few seconds, once."


class Loop:
    """Trains in slices; between two of them it applies changes and has pictures drawn.

    Every method may be called from any thread. All that touches the training happens under one
    lock, which is free between two slices.

    Args:
        training: an engine.LiveTraining.
        page: has draw(figures), which sends all pictures; show(), which says `state` and `note`;
            and ask(number), upon which the page calls answer(number). It is called under the lock.
        idle_minutes: it pauses by itself when nothing was touched for so long.
        clock: function that gives the seconds since some moment.
        sleep: function that waits for some seconds.

    Attributes:
        state: "paused", "compiling", "training", "waiting" (for the page), or "broken": the loss
            is no longer finite, so play does nothing.
        note: what the reader should know about it.
        figures: those of the last pictures: see LiveTraining.measure.
        speed: a name in SPEEDS.
    """

    def __init__(self, training, page, idle_minutes=10, clock=time.monotonic, sleep=time.sleep):
        self.training, self.page, self.idle_minutes = training, page, idle_minutes
        self.clock, self.sleep = clock, sleep
        self.lock = threading.RLock()
        self.state, self.note, self.speed = "paused", READY, "normal"
        self.figures = None
        self.playing = False
        self._thread = None
        self._changes = deque()  # its two ends need no lock, so a slider never waits for a slice
        self._sent_number = self._answered = 0
        self._touched = self._sent = clock()
        self._drawn = self._asked = float("-inf")

    def touch(self):
        """Somebody is there."""
        self._touched = self.clock()

    def answer(self, number):
        """The page has come as far as the picture with this number."""
        self._answered = number

    def play(self):
        """Train until pause, in a thread."""
        with self.lock:
            if self.state == "broken" or self.playing:
                return
            self._answered = self._sent_number  # whatever an earlier page did not answer
            self._sent = self.clock()
            self.playing = True
            self._say("training", "")
            if self._thread is None:  # else it is between two slices, and goes on
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()

    def pause(self, note="Paused."):
        """Stop training after the present slice; what a slider shows by then is what it has."""
        with self.lock:
            self.playing = False
            self._apply_changes()
            self._say("paused", note)

    def toggle(self):
        """Train, or pause."""
        (self.pause if self.playing else self.play)()

    def fail(self, error):
        """Pause, and say why: what a callback or a thread raises would vanish into a log."""
        note = f"Paused: {error}"
        if isinstance(error, KeyboardInterrupt):
            note = "Paused, since the kernel was interrupted."
        with self.lock:
            self.playing = False
            self._say("broken" if isinstance(error, FloatingPointError) else "paused", note)

    def change(self, name, value):
        """A slider was moved: the hyperparameter changes before the next step."""
        self._changes.append((name, value))
        if not self.playing:  # else the next slice applies it, or the pause that is coming
            self.set()

    def set(self, **hyperparameters):
        """Change hyperparameters now, all or none, after what the sliders were moved to.

        Raises:
            ValueError: as LiveTraining.set says.
        """
        with self.lock:
            before = self.training.hyperparameters
            self._apply_changes()
            self.training.set(**hyperparameters)
            if not self.playing and self.training.hyperparameters != before:
                with contextlib.suppress(FloatingPointError):  # which the status line says
                    self.draw()

    def take(self, steps, note="Paused."):
        """Pause, take some steps at once, and draw."""
        with self.lock:
            self.pause()
            self._train(steps)
            self.state, self.note = "paused", note
            self.draw()

    def reset(self, seed=None):
        """Back to the first weights of this seed, or another one; hyperparameters stay."""
        with self.lock:
            self._apply_changes()
            self.training.reset(seed)
            self.state = "training" if self.playing else "paused"
            self.note = "" if self.playing else "Back at the start."
            self.draw()

    def draw(self):
        """Measure, and have every picture drawn."""
        with self.lock:
            try:
                self.figures = self.training.measure()
            except FloatingPointError as error:
                self.fail(error)
                raise
            if self.state == "broken":  # the term that was too large is off, say
                self.state, self.note = "paused", READY
            self.page.draw(self.figures)
            self.page.show()
            self._sent = self.clock()
            self._ask()

    def close(self):
        """Stop for good; comes back when the thread has ended."""
        with self.lock:
            self.playing = False
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(5)

    def _say(self, state, note):
        if self.state != "broken" or state == "broken":
            self.state, self.note = state, note
        self.page.show()

    def _ask(self):
        self._sent_number += 1
        self.page.ask(self._sent_number)

    def _apply_changes(self):
        while self._changes:
            name, value = self._changes.popleft()
            self.training.set(**{name: value})

    def _train(self, steps):
        """Every step is taken here, after what the sliders show was applied."""
        self._apply_changes()
        if not self.training.times_compiled:
            self._say("compiling", COMPILING)
        self.training.train(steps)

    def _work(self):
        while True:
            with self.lock:
                if not self.playing:
                    self._thread = None
                    return
                try:
                    rest = self._turn()
                except Exception as error:
                    self.fail(error)
                    continue
            # Without this pause a callback that waits for the lock might never get it.
            self.sleep(rest)

    def _turn(self):
        """Do what is due, under the lock; returns how many seconds to rest."""
        now = self.clock()
        if now - self._touched > 60 * self.idle_minutes:
            self.pause(f"Paused: nothing was touched for {self.idle_minutes:g} minutes.")
            return 0
        answered = self._answered >= self._sent_number
        if not answered and now - self._sent > GIVE_UP:
            self.pause("Paused, since the page did not answer.")
            return 0
        if not answered and now - self._sent > PATIENCE:
            self.state = "waiting"
            if now - self._asked > PATIENCE:  # an interrupt of the kernel may swallow an answer
                self._ask()
                self._asked = now
            return 0.05
        steps, seconds = SPEEDS[self.speed]
        if steps > 1 and now - self._touched > UNTOUCHED:
            steps = max(steps, SPEEDS["fast"][0])
        due = answered and (now - self._drawn >= seconds or bool(self._changes))
        if due or steps > 1:
            self._train(steps)
            self.state, self.note = "training", ""
            if due:
                self.draw()
                self._drawn = now
        return 0.001 if steps > 1 else 0.02
