"""What answers the view: trains a slice when it asks for one, and sends a frame. No widgets.

The view clocks: whoever does not ask is not trained for. PROTOCOL.md says what is asked and sent.
"""

import contextlib
import threading
from collections import deque
from time import perf_counter

VERSION = 1  # of the protocol

SPEEDS = {"one step": 0, "normal": 0.09, "fast": 0.4}  # name → seconds that a slice trains
HURRY = 0.02  # seconds, while a hand moves something
ONE_STEP = 300  # milliseconds between two ticks at the speed "one step"
GONE = 2  # seconds without a request, after which a view may be closed

READY = "Ready: press Train."
COMPILING = "Compiling the training step: a few seconds, once."
OTHER_VERSION = "Restart the kernel and load the page again: their versions differ."
LOADED_AGAIN = "Paused, since the page was closed or loaded again. Train goes on."


class Session:
    """Answers requests, one at a time: from the view, from sliders and from cells.

    Each method may be called from any thread; nothing else here makes or changes anything. A
    slider's move is applied before the next step.

    Args:
        training: an engine.LiveTraining.
        frames: a frames.Frames of it.
        send: function of a message's content and list of buffers.
        move: function of {key of a hyperparameter: value}, which moves the sliders.
        presets: name → {key: value}.
        place: function of a slider's number and its place, which moves it there, too.
        idle_minutes: it pauses by itself when nothing was touched for so long.
        clock: function that gives the seconds since some moment.

    Attributes:
        figures: those of the last frame: see LiveTraining.measure.
        playing: whether it trains when the view asks.
        broken: the loss is no longer finite, so Train does nothing.
    """

    def __init__(
        self,
        training,
        frames,
        send,
        move,
        presets,
        place=None,
        idle_minutes=10,
        clock=perf_counter,
    ):
        self.training, self.frames, self.presets = training, frames, presets
        self.idle_minutes, self.clock = idle_minutes, clock
        self.lock = threading.RLock()
        self.playing = self.broken = False
        self._note, self._speed = READY, "normal"
        self._send, self._move, self._place = send, move, place
        self._view = None  # that clocks
        self._changes = deque()  # its two ends need no lock, so a slider never waits for a slice
        self._touched = self._asked = clock()
        self._step_costs = None  # seconds
        self._ms = {"train": 0, "measure": 0}  # what the present frame cost
        self._request, self._closed = None, False
        self._measure()

    @property
    def state(self):
        if self.broken:
            return "broken"
        return "training" if self.playing else "paused"

    def answer(self, request, buffers=()):
        """Do what a message of the view asks, and send the one frame that answers it."""
        with self.lock:
            if self._closed:
                return
            if request.get("v") != VERSION:
                return self._say(self.state, OTHER_VERSION)
            self._request = request
            try:
                self._notice(request)
                # A kernel that runs a cell lets a slider's own message wait, but not this one.
                for number, place in request.get("places", {}).items():
                    self._place(int(number), place)
                self._obey(request, buffers)
                self._measure()
            except (Exception, KeyboardInterrupt) as error:
                self._fail(error)
            finally:
                self._request = None
            self._send_frame(request)

    def _notice(self, request):
        """Who asked, and when."""
        now = self.clock()
        if request["do"] != "tick" or request.get("touched"):
            self._touched = now
        if request["view"] == self._view:
            self._asked = now
        elif self.playing and now - self._asked > GONE:
            self._stop(LOADED_AGAIN)

    def _obey(self, request, buffers):
        match request:
            case {"do": "hello"}:
                pass
            case {"do": "tick", "view": view}:
                if self.playing and view == self._view:
                    self._tick(request.get("hurry", False))
            case {"do": "train", "on": True, "view": view}:
                if not self.broken:
                    self.playing, self._note = True, ""
                    self._view, self._asked = view, self.clock()
            case {"do": "train"}:
                self._stop("Paused.")
            case {"do": "step"}:
                self.take(1, "Took one step.")
            case {"do": "reset"}:
                self.reset(request.get("seed"))
            case {"do": "speed", "speed": name} if name in SPEEDS:
                self._speed = name
            case {"do": "preset", "preset": name} if name in self.presets:
                self.set(**self.presets[name])
            case {"do": "set", "values": values}:
                self.set(**values)
            case {"do": "draw"}:
                self.frames.draw(*map(bytes, buffers), **_more(request))
            case {"do": "look" | "switch" | "explain" | "snapshot" as do}:
                getattr(self.frames, do)(**_more(request))
            case _:
                raise ValueError(f"the kernel does not know {request['do']!r} {_more(request)}.")

    def _tick(self, hurry):
        if self.clock() - self._touched > 60 * self.idle_minutes:
            self._stop(f"Paused: nothing was touched for {self.idle_minutes:g} minutes.")
            return
        # Where measuring takes long, as with a thousand units, a slice does so too.
        seconds = HURRY if hurry else max(SPEEDS[self._speed], 1.5e-3 * self._ms["measure"])
        one = self._step_costs is None or self._speed == "one step"
        self._train(1 if one else max(1, int(seconds / self._step_costs)))

    # Cells and sliders, and what the view asks as well

    def change(self, name, value):
        """A slider was moved: the hyperparameter changes before the next step."""
        self._touched = self.clock()
        self._changes.append((name, value))
        if not self.playing:  # else the next slice applies it, or the pause that is coming
            try:
                self.set()
            except Exception as error:  # which would vanish into a log
                self._fail(error)
                self._say(self.state, self._note)

    def set(self, **hyperparameters):
        """Change hyperparameters now, all or none, after what the sliders were moved to.

        Raises:
            ValueError: as LiveTraining.set says.
        """
        with self.lock:
            before = self.training.hyperparameters
            self._apply_changes()
            self.training.set(**hyperparameters)
            self._move(hyperparameters)
            if not self.playing and self.training.hyperparameters != before:
                with contextlib.suppress(FloatingPointError):  # which the status line says
                    self.draw()

    def pause(self):
        """Stop training; what a slider shows by then is what the model has."""
        with self.lock:
            self._stop("Paused.")
            with contextlib.suppress(FloatingPointError):
                self.draw()

    def take(self, steps, note="Paused."):
        """Pause, take some steps at once, and draw."""
        with self.lock:
            self._stop(note)
            self._train(steps)
            self.draw()

    def reset(self, seed=None):
        """Back to the first weights of this seed, or another one; hyperparameters stay."""
        with self.lock:
            self._apply_changes()
            self.training.reset(seed)
            self.broken = False
            self._note = "" if self.playing else "Back at the start."
            self.draw()

    def draw(self):
        """Measure, and send a frame; the answer to a request is sent in any case."""
        if self._request is None:
            try:
                self._measure()
            finally:
                self._send_frame()

    def close(self):
        """Answer no more."""
        with self.lock:
            self._closed, self.playing = True, False

    def _stop(self, note):
        self.playing = False
        self._apply_changes()
        if not self.broken:
            self._note = note

    def _fail(self, error):
        """Pause, and say why."""
        self.playing = False
        self.broken = self.broken or isinstance(error, FloatingPointError)
        self._note = f"Paused: {error}"
        if isinstance(error, KeyboardInterrupt):
            self._note = "Paused, since the kernel was interrupted."

    def _apply_changes(self):
        while self._changes:
            name, value = self._changes.popleft()
            self.training.set(**{name: value})

    def _train(self, steps):
        """Every step is taken here, after what the sliders show was applied."""
        self._apply_changes()
        compiled = self.training.times_compiled
        if not compiled:
            self._say("compiling", COMPILING)
        began = self.clock()
        self.training.train(steps)
        seconds = self.clock() - began
        self._ms["train"] = 1000 * seconds
        if self.training.times_compiled == compiled:
            now = max(seconds / steps, 1e-6)
            self._step_costs = 0.7 * (self._step_costs or now) + 0.3 * now

    def _measure(self):
        began = self.clock()
        try:
            self.figures = self.training.measure()
        except FloatingPointError as error:
            self._fail(error)
            raise
        self._ms["measure"] = 1000 * (self.clock() - began)
        if self.broken:  # the term that was too large is off, say
            self.broken, self._note = False, READY

    def _say(self, state, note):
        self._send({"v": VERSION, "kind": "state", "state": state, "note": note}, [])

    def _send_frame(self, request=None):
        self._send(*self.frame(**(request or {})))
        self._ms["train"] = 0

    def frame(self, do=None, view=None, n=None, **_):
        """The frame that answers a request, if any: content and buffers; "hello" wants all."""
        arrays = {}
        if not self.broken:  # else the last figures stay, for there is nothing to be drawn
            self._content, arrays = self.frames.frame(self.figures)
        content = self._content | {
            "v": VERSION,
            "kind": "frame",
            "view": view,
            "n": n,
            "state": self.state,
            "playing": self.playing,
            "clock": self._view,
            "wait": ONE_STEP if self._speed == "one step" else 0,
            "note": self._note,
            "hyperparameters": self.training.hyperparameters,
            "speed": self._speed,
            "ms": dict(self._ms),
        }
        if do in ("hello", "snapshot"):
            arrays = arrays | self.frames.old
        if do == "hello":
            setup, originals = self.frames.setup()
            more = {"speeds": list(SPEEDS), "presets": list(self.presets)}
            content["setup"] = setup | more | {"seed": self.training.seed}
            arrays = arrays | originals
        content["buffers"] = list(arrays)
        return content, [array.tobytes() for array in arrays.values()]


def _more(request):
    """What a request says besides who asks for what."""
    usual = "v", "view", "n", "do", "touched", "places"
    return {key: value for key, value in request.items() if key not in usual}
