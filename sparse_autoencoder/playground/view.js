/**
 * The playground's view: it draws what an engine sends, tells it what a hand does, and clocks the
 * training. What the two say to each other stands in PROTOCOL.md; its looks stand in view.css.
 *
 * It knows nothing of Jupyter but the model's `get`, `send`, `on` and `off`, so that any page with
 * an engine of its own can show it.
 */

import { Chart, drawBars, drawCurves, escaped, short, thousands } from "./charts.js";

const VERSION = 1;
const BEAT = 100; // milliseconds between two looks at the clock
const HURRY = 1000; // after a touch: short slices, and one request at a time
const OVERDUE = { touched: 350, untouched: 1500 }; // then the page says that it waits
const LOST = 4000; // then an answer is asked for again; later ever more rarely
const SILENCE = 20000; // then the kernel may be gone
const LEAST = 240; // pixels of height, in which pictures are let scroll
const SPOKEN = 1000; // a screen reader is told at most so often
const WORDS = { // unless the model has its own
  busy: "Waiting: the kernel runs another cell.",
  silent: "No answer: the kernel is still busy, or it was restarted. Then run this cell again.",
  gone: "The kernel was restarted: run this cell again.",
};

const REPLACED = ["look", "explain", "draw", "speed"];

const FLOATS = /^(old_)?scales$|^means$|^values$|code$|^curve_(?!steps)/;
const INTEGERS = /^curve_steps$|^unit_counts$/;

/** The bytes of a frame as arrays by name. Those of other types than bytes are copied, aligned. */
function arraysOf(names, buffers) {
  return Object.fromEntries(names.map((name, i) => {
    const bytes = new Uint8Array(buffers[i].buffer, buffers[i].byteOffset, buffers[i].byteLength);
    if (FLOATS.test(name)) return [name, new Float32Array(bytes.slice().buffer)];
    return [name, INTEGERS.test(name) ? new Int32Array(bytes.slice().buffer) : bytes];
  }));
}

const randomName = () => `view-${Math.random().toString(36).slice(2)}`;
const now = () => performance.now();

/** Do something at every beat, until a signal ends it. */
function every(milliseconds, act, signal) {
  const beat = setInterval(act, milliseconds);
  signal.addEventListener("abort", () => clearInterval(beat));
}

// --- The clock --------------------------------------------------------------------------------

/** Sends requests, two on the way at most, and asks for the next frame when one has arrived. */
class Clock {
  /**
   * @param {object} model that carries the messages.
   * @param {HTMLElement} el of the view: one that is not in the page clocks nothing.
   * @param {AbortSignal} signal that ends it.
   * @param {function} receive called when a frame came.
   * @param {function} say called when something else changed that the reader should know.
   */
  constructor(model, el, signal, receive, say) {
    Object.assign(this, { model, el, receive, say, number: 0, queue: [], patience: LOST });
    Object.assign(this, { frame: null, arrays: {} }); // the latest one, and its buffers by name
    this.view = randomName();
    this.words = { ...WORDS, ...model.get("words") };
    this.sent = new Map(); // number → a request without an answer
    this.wish = null; // to train or to pause, until it is answered
    this.note = ""; // of a state that came ahead of its frame
    this.waiting = this.ended = ""; // for what the page waits; why nothing will come any more
    this.touched = this.ping = false;
    this.places = {}; // of sliders that moved since the last request
    this.touchedAt = -Infinity;
    this.silentSince = null;
    const hear = (event, action) => {
      model.on(event, action);
      signal.addEventListener("abort", () => model.off(event, action));
    };
    hear("msg:custom", this.onMessage);
    hear("comm_live_update", this.onDeath);
    for (const slider of [0, 1, 2]) hear(`change:place${slider}`, () => this.move(slider));
    signal.addEventListener("abort", this.onDeath);
    document.addEventListener("visibilitychange", this.pump, { signal });
    every(BEAT, () => this.check(), signal);
  }

  /** Send a request of a kind, with more, as soon as there is room for it. */
  ask(kind, more) {
    if (this.ended) return;
    if (kind === "train") this.wish = more.on;
    // What waits to be sent gives way to a newer request of its kind.
    if (REPLACED.includes(kind)) this.queue = this.queue.filter((old) => old.do !== kind);
    this.queue.push({ do: kind, ...more });
    this.pump();
    this.say();
  }

  /** Whether a request of this kind has no answer yet. */
  asks(kind) {
    return [...this.sent.values(), ...this.queue].some((request) => request.do === kind);
  }

  /** A hand touches something, in the view or beside it. */
  touch(beside) {
    this.touchedAt = now();
    this.touchedBeside = beside;
    this.touched = true;
  }

  /** A slider beside the view has moved; what the kernel did itself, it is not told again. */
  move(slider) {
    if (!this.touchedBeside || now() - this.touchedAt > HURRY) return;
    this.places[slider] = this.model.get(`place${slider}`);
    this.ping = true;
    this.pump();
  }

  /** Whether a request that a hand caused has no answer yet. */
  get hasTouched() {
    return [...this.sent.values()].some((request) => request.touched);
  }

  /** Whether anybody can see it. */
  get present() {
    return this.el.isConnected && !document.hidden;
  }

  /** Whether it trains, or will as soon as the engine hears of it. */
  get trains() {
    return this.wish ?? !!this.frame?.playing;
  }

  pump = () => {
    while (this.queue.length && this.sent.size < 2 && !this.ended) this.send(this.queue.shift());
    const { frame } = this;
    if (!frame || !this.present) return;
    const hurry = now() - this.touchedAt < HURRY;
    const rests = now() - this.frameAt < (frame.wait ?? 0);
    const due = this.trains && frame.playing && frame.clock === this.view && !rests;
    const room = () => {
      if (this.patience > LOST) return 1;
      if (this.ping) return this.hasTouched ? 1 : 2; // a move does not wait for an answer to a tick
      return hurry || frame.wait > 0 ? 1 : 2;
    };
    while (this.sent.size < room() && (due || this.ping) && !this.ended) {
      this.ping = false;
      this.send({ do: "tick", ...(hurry && { hurry }) });
    }
  };

  send({ buffers = [], ...request }) {
    this.number += 1;
    this.sent.set(this.number, { do: request.do, at: now(), touched: this.touched });
    this.silentSince ??= now();
    const message = { v: VERSION, view: this.view, n: this.number, ...request };
    if (this.touched) message.touched = true;
    if (Object.keys(this.places).length) message.places = this.places;
    Object.assign(this, { touched: false, places: {} });
    try {
      this.model.send(message, undefined, buffers);
    } catch {
      this.onDeath(); // nobody is there to send it to
    }
  }

  onDeath = () => this.end(this.words.gone);

  end(words) {
    this.ended = this.waiting = words;
    this.say();
  }

  onMessage = (content, buffers = []) => {
    if (content.v !== VERSION) {
      this.end(
        `The kernel speaks version ${content.v} of the playground's messages, this page version ` +
        `${VERSION}: restart the kernel, load the page again, and run this cell again.`);
    } else if (content.kind === "state") {
      this.note = content.note;
      if (this.frame) this.frame.state = content.state;
      this.check();
    } else if (content.kind === "frame") this.take(content, buffers);
  };

  /** A frame arrived, or one was there from the start. */
  take(frame, buffers) {
    if (frame.view === this.view) {
      for (const number of this.sent.keys()) {
        if (number <= frame.n) this.sent.delete(number); // answers come in order
      }
      this.patience = LOST;
    } else for (const request of this.sent.values()) request.touched = false; // it is not busy
    if (!this.asks("train")) this.wish = null;
    this.frameAt = now();
    this.silentSince = this.sent.size ? now() : null;
    this.note = this.ended = "";
    frame.setup ??= this.frame?.setup;
    this.frame = frame;
    Object.assign(this.arrays, arraysOf(frame.buffers, buffers));
    if (frame.wait > 0) setTimeout(this.pump, frame.wait);
    this.pump(); // so that the engine works while the page draws
    this.check();
    this.receive();
  }

  /** Every now and then: is an answer overdue, or lost? */
  check() {
    const usual = 1.5 * (this.frame?.ms?.train ?? 0); // at the speed "fast" an answer takes longer
    const due = Math.max(this.hasTouched || !this.frame ? OVERDUE.touched : OVERDUE.untouched, usual);
    const silence = this.silentSince === null ? 0 : now() - this.silentSince;
    const { silent, busy } = this.words;
    const waits = silence > SILENCE ? silent : this.note || (silence > due ? busy : "");
    const words = this.ended || waits;
    if (words !== this.waiting) {
      this.waiting = words;
      this.say();
    }
    const [oldest] = this.sent.values();
    if (this.present && oldest && now() - oldest.at > this.patience) this.repeat();
    this.pump();
  }

  /** Ask again, but do not bury a kernel that is busy for long in requests. */
  repeat() {
    this.patience = Math.min(2 * this.patience, 30000);
    const { wish } = this;
    this.touched = this.hasTouched;
    this.sent.clear();
    if (wish !== null && !this.asks("train")) this.queue.unshift({ do: "train", on: wish });
    else this.queue.unshift({ do: "hello" }); // of all else, the answer says how things stand
  }
}

// --- Tiles ------------------------------------------------------------------------------------

const BLUE_TO_RED = [
  [5, 48, 97], [33, 102, 172], [67, 147, 195], [146, 197, 222], [209, 229, 240], [247, 247, 247],
  [253, 219, 199], [244, 165, 130], [214, 96, 77], [178, 24, 43], [103, 0, 31]];

/** A table of colours for the bytes of a picture; color(byte) gives [red, green, blue]. */
function table(color) {
  const bytes = Array.from({ length: 256 }, (_, byte) => [...color(byte), 255]);
  return new Uint32Array(Uint8Array.from(bytes.flat()).buffer);
}

const GRAY = table((byte) => [byte, byte, byte]);
const DIVERGING = table((byte) => {
  const place = Math.max(5 + (5 * (byte - 128)) / 127, 0);
  const below = Math.min(Math.floor(place), 9);
  const [from, to] = BLUE_TO_RED.slice(below);
  return from.map((part, i) => Math.round(part + (to[i] - part) * (place - below)));
});

/** Small images side by side on a canvas, which the page enlarges without smoothing. */
class Tiles {
  /**
   * @param {HTMLElement} host where they are put.
   * @param {object} options: count, columns, shape [height, width] and colors (a table) of the
   *     tiles, and the scale at which an image of 28 pixels is shown.
   */
  constructor(host, { count = 1, columns = 1, shape, colors, scale = 1 }) {
    Object.assign(this, { host, count, columns, shape, colors });
    const canvas = (this.canvas = document.createElement("canvas"));
    canvas.width = columns * (shape[1] + 1) - 1;
    canvas.height = Math.ceil(count / columns) * (shape[0] + 1) - 1;
    canvas.style.width = `${canvas.width * Math.max(1, Math.floor((28 * scale) / Math.max(...shape)))}px`;
    canvas.setAttribute("aria-hidden", "true");
    this.context = canvas.getContext("2d");
    this.image = this.context.createImageData(canvas.width, canvas.height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    host.classList.add("playground-tiles");
    host.prepend(this.canvas);
  }

  /** Show (count, pixels) bytes; what lies off 128 is multiplied by the tile's factor, if any. */
  paint(bytes, factors) {
    const [height, width] = this.shape;
    for (let tile = 0, from = 0; tile < this.count; tile++) {
      const factor = factors ? factors[tile] : 1;
      const left = (tile % this.columns) * (width + 1);
      const top = Math.floor(tile / this.columns) * (height + 1);
      for (let row = top; row < top + height; row++) {
        const to = row * this.image.width + left;
        for (let i = 0; i < width; i++, from++) {
          this.pixels[to + i] = this.colors[128 + Math.round((bytes[from] - 128) * factor)];
        }
      }
    }
    this.context.putImageData(this.image, 0, 0);
  }
}

/** Tiles to point at, by pointer or by arrow keys; each stands for a number. */
class Mosaic extends Tiles {
  /**
   * @param {HTMLElement} host where they are put.
   * @param {object} options as for Tiles, and besides what is done: choose(number), and point(number
   *     or null) and toggle(number), if anything; and what is said: describe(number).
   */
  constructor(host, options) {
    super(host, options);
    this.marks = { chosen: null, active: null };
    this.point = (active) => this.mark({ active });
    Object.assign(this, options);
    this.numbers = Array.from({ length: this.count }, (_, tile) => tile);
    const id = randomName();
    const grid = document.createElement("div");
    grid.className = "playground-cells";
    grid.style.gap = `${100 / this.canvas.height}% ${100 / this.canvas.width}%`;
    grid.style.gridTemplateColumns = `repeat(${this.columns}, 1fr)`;
    const cell = (tile) => `${tile % this.columns ? "" : '</div><div role="row">'}
      <span role="gridcell" id="${id}-${tile}" data-tile="${tile}"></span>`;
    grid.innerHTML = `<div>${this.numbers.map(cell).join("")}</div>`;
    this.cells = [...grid.querySelectorAll("span")];
    host.tabIndex = 0;
    host.setAttribute("role", "grid");
    host.append(grid);
    this.listen();
  }

  listen() {
    const on = (kind, action) => this.host.addEventListener(kind, action);
    const at = (event) => this.numbers[event.target.dataset.tile] ?? null;
    on("pointermove", (event) => this.point(at(event)));
    on("pointerleave", () => this.point(null));
    on("blur", () => this.point(null));
    on("focus", () => this.host.matches(":focus-visible") && this.point(this.numbers[this.here]));
    on("click", (event) => at(event) !== null && this.choose(at(event)));
    on("keydown", (event) => {
      const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
      if (plain && this.press(event.key)) event.preventDefault();
    });
  }

  /** Whether the key means anything here. */
  press(key) {
    const { here, count, columns, numbers } = this;
    const places = { ArrowLeft: here - 1, ArrowRight: here + 1, ArrowUp: here - columns,
      ArrowDown: here + columns, Home: 0, End: count - 1 };
    if (key in places) this.point(numbers[places[key]] ?? numbers[here]);
    else if (key === "Enter" || key === " ") this.choose(numbers[here]);
    else if (key === "x" && this.toggle) this.toggle(numbers[here]);
    else return false;
    return true;
  }

  /** The tile that a key acts on. */
  get here() {
    const { active, chosen } = this.marks;
    const places = [active, chosen].map((number) => this.numbers.indexOf(number));
    return places.find((place) => place >= 0) ?? 0;
  }

  /** Mark numbers: one or none is chosen, and active; others are functions, such as dead(number). */
  mark(more) {
    const { chosen, active, ...others } = Object.assign(this.marks, more);
    const marks = { chosen: (number) => number === chosen, active: (n) => n === active, ...others };
    this.host.removeAttribute("aria-activedescendant");
    this.cells.forEach((cell, tile) => {
      const number = this.numbers[tile];
      for (const kind in marks) cell.classList.toggle(`playground-is-${kind}`, !!marks[kind](number));
      if (number !== active) return;
      cell.setAttribute("aria-label", this.describe(number));
      cell.setAttribute("aria-selected", number === chosen);
      this.host.setAttribute("aria-activedescendant", cell.id);
    });
  }
}

// --- The playground ---------------------------------------------------------------------------

const BINS = 50; // of the histogram
const icon = (path) => `<svg viewBox="0 0 10 10" aria-hidden="true"><path d="${path}"/></svg>`;
const TRAIN = `<span>${icon("M1 0L10 5L1 10Z")} Train</span>
  <span>${icon("M1 0H4V10H1ZM6 0H9V10H6Z")} Pause</span>`;
const UNCHOSEN = "Click a feature, or give its number, to look closer.";

const box = (name, words = "") =>
  `<div class="playground-${name}" ${words && `aria-label="${words}"`}></div>`;
const button = (name, words = "", title = "") =>
  `<button class="playground-${name}" title="${title}">${words}</button>`;
const whole = (name, label, last) => `<label class="playground-${name}">${label}
  <input type="number" min="0" max="${last}" step="1" value="0" aria-label="${label}" required></label>`;
const choice = (name, label, all) => `<label class="playground-${name}">${label}
  <select aria-label="${label}">${all.map((each) => `<option>${escaped(each)}</option>`).join("")}</select></label>`;
const chart = (name, height, role = 'role="img"') =>
  `<svg class="playground-chart playground-${name}" height="${height}" ${role}></svg>`;
const tab = (name, id, checked = "") =>
  `<label><input type="radio" name="${id}" value="${name}" ${checked}>${name}</label>`;
const SLIDER = `role="slider" tabindex="0" aria-valuemin="0" aria-valuemax="${BINS}"`;

/** All that the playground shows, still empty; `id` tells the tabs of two views apart. */
const page = (id, { tiles, units, images, speeds, presets }) => `
<div class="playground-toolbar" role="toolbar" aria-label="Training">
  ${button("train", TRAIN, "Train or pause")}${button("step", "Step", "Take one training step")}
  ${button("reset", "Reset", "Start again from the first weights")}${whole("seed", "Seed", 999)}
  ${choice("speed", "Speed", speeds)}${choice("preset", "Preset", ["choose", ...presets])}
  ${button("snapshot", "", "Keep this state for comparison")}
</div>
<div class="playground-pictures">
  <div class="playground-mosaics"><div>
    <div class="playground-head"><b>${tiles} features</b>
      <label><input type="checkbox" class="playground-common-scale">one scale for all</label>
      ${button("all-on", "Switch all on")}</div>
    ${box("features", "features; Enter looks closer, x switches off")}${box("readout")}
  </div>
  <div class="playground-before">
    <div class="playground-head"><b>Snapshot</b></div>
    ${box("old-features", "features of the snapshot")}${box("old-words")}
  </div></div>
  <div class="playground-side">
    <div class="playground-strip">
      <span>originals</span>${box("originals", "originals; Enter hands one to the pad")}
      <span>reconstructions</span>${box("reconstructions", "reconstructions; Enter explains one")}
      <span class="playground-before">before</span>
      <div class="playground-before">${box("old-reconstructions", "before")}</div>
    </div>
    <div class="playground-charts">
      <div><b>The terms of the loss</b>${chart("curves", 156)}</div>
      <div><b class="playground-counted"></b>${chart("histogram", 134, SLIDER)}${box("bar")}</div>
    </div>
    <div class="playground-tabs" role="radiogroup" aria-label="A closer look">
      ${tab("unit", id, "checked")}${tab("reconstruction", id)}${tab("drawing", id)}</div>
    <div class="playground-look playground-look-unit">
      <div class="playground-words">
        ${whole("unit", "Unit", units - 1)}${box("unit-words")}${button("switch")}</div>
      ${box("unit-feature")}${box("unit-images")}${chart("unit-counts", 124)}
    </div>
    <div class="playground-look playground-look-reconstruction">
      ${box("explained")}${box("parts", "what these units draw; Enter looks closer")}
    </div>
    <div class="playground-look playground-look-drawing">
      <canvas class="playground-pad" aria-hidden="true"></canvas>
      <div class="playground-words">Draw a digit. It is centred and scaled as MNIST's are. Or take
        an original: ${whole("image", "Image", images - 1)}
        <div>${button("take", "Take")} ${button("clear", "Clear")}</div></div>
      <figure>${box("drawn")}as it is seen</figure>
      <figure>${box("drawn-reconstruction")}reconstruction</figure>
      ${chart("drawn-code", 74)}
    </div>
  </div>
</div>`;

/** A playground in a page: what a hand does goes to the clock, what comes from there is drawn. */
class Playground {
  constructor(model, el) {
    Object.assign(this, { el, chosen: null, active: null, bar: null, words: "" });
    el.innerHTML = `<div class="playground-status"></div>
      <div class="playground-heard" role="status"></div>`;
    this.ending = new AbortController();
    const { signal } = this.ending;
    this.clock = new Clock(model, el, signal, () => this.receive(), () => this.say());
    this.watch(signal);
    const first = model.get("first");
    if (first) this.clock.take(first.content, first.buffers);
    this.clock.ask("hello");
  }

  /** The element of this class. */
  part(name) {
    return this.el.querySelector(`.playground-${name}`);
  }

  /** The input of this class. */
  field = (name) => this.part(name).lastElementChild;

  /** The view, with the sliders that stand beside it. */
  panel = () => this.el.closest(".course-panel") ?? this.el;

  /** Watch for touches of the panel, and for the room that there is. */
  watch(signal) {
    const listen = (kind, act) => window.addEventListener(kind, act, { capture: true, signal });
    const touch = ({ target }) => {
      if (!this.panel().contains(target)) return;
      target.dataset.lmSuppressShortcuts = true; // of Notebook 7, which takes arrows, and cuts by x
      this.clock.touch(!this.el.contains(target));
    };
    for (const kind of ["pointerdown", "keydown", "input"]) listen(kind, touch);
    listen("pointermove", (event) => event.buttons && touch(event));
    listen("resize", () => this.fit());
    new ResizeObserver(() => signal.aborted || this.fit()).observe(this.part("status"));
    every(BEAT, () => this.speak(), signal);
  }

  close() {
    this.ending.abort();
    cancelAnimationFrame(this.drawing);
    this.el.replaceChildren();
  }

  /** The pictures scroll in the room that the controls leave, if any, so that these stay in sight. */
  fit() {
    if (!this.setup) return;
    let room = document.documentElement.clientHeight;
    // A frame may be as high as what stands in it, which says nothing of what is in sight.
    if (window !== top) room = Math.max(room, screen.availHeight - 250);
    let outermost = null; // that scrolls: others are as high as what stands in them, too
    for (let at = this.panel().parentElement; at && at !== document.body; at = at.parentElement) {
      if (/auto|scroll/.test(getComputedStyle(at).overflowY)) outermost = at;
    }
    room = Math.min(room, outermost?.clientHeight ?? room);
    const pictures = this.part("pictures");
    const controls = pictures.getBoundingClientRect().top - this.panel().getBoundingClientRect().top;
    const left = room - controls - 12;
    pictures.style.maxHeight = left < LEAST ? "none" : `${left}px`;
  }

  build(setup) {
    this.setup = setup;
    this.part("toolbar")?.remove();
    this.part("pictures")?.remove();
    this.el.insertAdjacentHTML("beforeend", page(this.clock.view, setup));
    this.buildTiles(setup);
    this.charts = {
      curves: new Chart(this.part("curves"), drawCurves, 74),
      histogram: new Chart(this.part("histogram"), drawBars),
      counts: new Chart(this.part("unit-counts"), drawBars),
      code: new Chart(this.part("drawn-code"), drawBars),
    };
    const ask = (kind, more) => this.clock.ask(kind, more);
    const typed = (name, act) => {
      const input = this.field(name);
      if (input.reportValidity()) act(Number(input.value));
    };
    const hands = {
      "click train": () => ask("train", { on: !this.clock.trains }),
      "click step": () => ask("step"),
      "click reset": () => ask("reset"),
      "change seed": () => typed("seed", (seed) => ask("reset", { seed })),
      "change speed": ({ target }) => ask("speed", { speed: target.value }),
      "change preset": ({ target }) => {
        ask("preset", { preset: target.value });
        target.value = "choose";
      },
      "click snapshot": () => ask("snapshot", { on: !this.clock.frame.snapshot }),
      "change common-scale": () => this.paint(),
      "click all-on": () => ask("switch", { all: true }),
      "change unit": () => typed("unit", (unit) => this.choose(unit)),
      "click switch": () => this.toggle(this.chosen),
      "click take": () => typed("image", (image) => this.take(image)),
      "click clear": () => this.wipe({ clear: true }),
      "pointerdown pad": (event) => this.putPen(event),
      "pointermove pad": (event) => event.buttons && this.movePen(event),
      "click drawn-code": (event) => this.choose(this.charts.code.at(event, setup.units)),
      "click histogram": (event) => this.chooseBar(this.charts.histogram.at(event, BINS)),
      "keydown histogram": (event) => this.moveBar(event),
    };
    for (const [key, act] of Object.entries(hands)) {
      const [kind, name] = key.split(" ");
      this.part(name).addEventListener(kind, act);
    }
    this.fit();
  }

  buildTiles({ tiles: count, columns, image_shape: shape, images }) {
    const units = {
      describe: (unit) => this.describe(unit),
      choose: (unit) => this.choose(unit),
      toggle: (unit) => this.toggle(unit),
      point: (unit) => this.point(unit),
    };
    const put = (kind, name, colors, how) => new kind(this.part(name), { shape, colors, ...how });
    const row = (name, words, choose) => put(Mosaic, name, GRAY, {
      count: images, columns: images, choose, describe: (image) => `${words} ${image}` });
    const explain = (image) => {
      this.open("reconstruction");
      this.clock.ask("explain", { image });
    };
    const features = { count, columns: Math.min(columns, count), ...units };
    this.putParts = (numbers) => put(Mosaic, "parts", DIVERGING, {
      count: numbers.length, columns: numbers.length, scale: 2, ...units });
    this.tiles = {
      features: put(Mosaic, "features", DIVERGING, features),
      old_features: put(Mosaic, "old-features", DIVERGING, features),
      originals: row("originals", "original", (image) => this.take(image)),
      reconstructions: row("reconstructions", "reconstruction", explain),
      old_reconstructions: row("old-reconstructions", "reconstruction before", explain),
      unit_feature: put(Tiles, "unit-feature", DIVERGING, { scale: 3 }),
      unit_images: put(Tiles, "unit-images", GRAY, { count: 9, columns: 3 }),
      drawn: put(Tiles, "drawn", GRAY, { scale: 3 }),
      drawn_reconstruction: put(Tiles, "drawn-reconstruction", GRAY, { scale: 3 }),
    };
    [this.part("pad").height, this.part("pad").width] = shape;
    this.wipe();
  }

  // What a hand does

  /** Open the tab "unit", "reconstruction" or "drawing". */
  open(name) {
    this.el.querySelector(`[type="radio"][value="${name}"]`).checked = true;
  }

  /** Look closer at a unit. */
  choose(unit) {
    if (unit === null) return;
    this.chosen = unit;
    this.open("unit");
    this.clock.ask("look", { unit });
    this.mark();
  }

  /** Switch a unit off, or on again. */
  toggle(unit) {
    this.clock.ask("switch", { unit, on: this.clock.frame.off.includes(unit) });
  }

  /** Point at a unit, or at none. */
  point(unit) {
    this.active = unit;
    this.mark();
  }

  chooseBar(bar) {
    this.bar = bar === this.bar ? null : bar;
    this.drawHistogram();
    this.mark();
  }

  /** The keys pass over empty bars, and start at the highest one. */
  moveBar(event) {
    const far = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (!far && event.key !== "Escape") return;
    event.preventDefault();
    if (!far) return this.chooseBar(null);
    const { counts } = this.charts.histogram.data;
    let bar = this.bar === null ? counts.indexOf(Math.max(...counts)) : this.bar + far;
    while (counts[bar] === 0) bar += far;
    if (bar in counts) this.chooseBar(bar);
  }

  take(image) {
    this.open("drawing");
    this.field("image").value = image;
    this.wipe({ image });
  }

  /** Empty the pad, and say what takes the place of what was drawn. */
  wipe(instead) {
    const pad = this.part("pad");
    const pen = pad.getContext("2d", { willReadFrequently: true });
    pen.fillRect(0, 0, pad.width, pad.height);
    Object.assign(pen, { strokeStyle: "#fff", lineCap: "round", lineWidth: 0.08 * pad.height });
    if (instead) this.clock.ask("draw", instead);
  }

  putPen(event) {
    event.preventDefault();
    event.target.setPointerCapture(event.pointerId);
    this.pen = null;
    this.movePen(event);
  }

  /** A soft line from where the pen was to where it is. */
  movePen({ target: pad, offsetX, offsetY }) {
    const at = [(offsetX * pad.width) / pad.clientWidth, (offsetY * pad.height) / pad.clientHeight];
    const pen = pad.getContext("2d");
    pen.beginPath();
    pen.moveTo(...(this.pen ?? at));
    pen.lineTo(...at);
    pen.stroke();
    this.pen = at;
    const { data } = pen.getImageData(0, 0, pad.width, pad.height);
    this.clock.ask("draw", { buffers: [data.filter((_, i) => i % 4 === 0)] });
  }

  // What is shown

  receive() {
    if (!this.clock.frame.setup) return;
    const { sliders, ...setup } = this.clock.frame.setup; // where sliders stand may differ
    if (JSON.stringify(setup) !== JSON.stringify(this.setup)) this.build(setup);
    this.say();
    this.drawing ??= requestAnimationFrame(() => {
      this.drawing = undefined;
      this.draw();
    });
  }

  draw() {
    const { frame, arrays } = this.clock;
    if (!this.clock.asks("look")) this.chosen = frame.unit?.number ?? null;
    this.part("pictures").dataset.before = !!frame.snapshot;
    this.part("old-words").textContent = frame.snapshot?.words ?? "";
    this.part("all-on").hidden = !frame.off.length;
    if (arrays.values) {
      this.drawCurves();
      this.drawHistogram();
    }
    this.drawUnit();
    this.drawExplained();
    this.drawCode();
    this.paint();
    this.mark();
  }

  /** Paint all tiles: features each by its own maximum, or by the largest, before and now. */
  paint() {
    const { frame, arrays } = this.clock;
    const { scales = [], old_scales = [] } = arrays;
    const most = Math.max(...scales, ...(frame.snapshot ? old_scales : []), 1e-12);
    const factors = (maxima) => this.part("common-scale").checked && maxima.map((one) => one / most);
    const own = { features: factors(scales), old_features: factors(old_scales) };
    for (const [name, tiles] of Object.entries(this.tiles)) {
      if (arrays[name]) tiles.paint(arrays[name], own[name]);
    }
  }

  /** Mark the units that are chosen, pointed at, dead, off, or counted by the chosen bar. */
  mark() {
    const { frame, arrays } = this.clock;
    const { chosen, active, bar, tiles } = this;
    const counts = frame.histogram.of === "units" && bar !== null;
    const counted = (unit) => counts && this.bin(arrays.values[unit]) === bar;
    const common = { chosen, active, counted, off: (unit) => frame.off.includes(unit) };
    tiles.features.mark({ ...common, dead: (unit) => arrays.dead?.[unit] });
    tiles.old_features.mark({ ...common, dead: (unit) => arrays.old_dead?.[unit] });
    tiles.explain_features?.mark({ chosen, active, off: common.off });
    tiles.reconstructions.mark({ chosen: frame.explained?.image ?? null });
    const hint = "× dead unit. Click one to look closer; x switches it off.";
    this.part("readout").textContent = active === null ? hint : this.describe(active);
  }

  describe(unit) {
    const { frame, arrays } = this.clock;
    const mean = arrays.means?.[unit] ?? null;
    return `Unit ${unit}${mean === null ? "" : `, mean activation ${short(mean)}`}` +
      `${arrays.dead?.[unit] ? ", dead" : ""}${frame.off.includes(unit) ? ", switched off" : ""}`;
  }

  drawCurves() {
    const { frame: { marks }, arrays } = this.clock;
    const { terms } = this.setup;
    const keys = Object.keys(terms).filter((key) => arrays[`curve_${key}`]?.length);
    const curves = Object.fromEntries(keys.map((key) => [key, arrays[`curve_${key}`]]));
    const words = "The terms of the loss over the training steps, on a log axis";
    this.charts.curves.show({ steps: arrays.curve_steps, curves, terms, marks }, words);
  }

  /** The bar of the histogram that counts a value. */
  bin(value) {
    const share = value / this.clock.frame.histogram.upper;
    return Math.min(Math.max(Math.floor(share * BINS), 0), BINS - 1);
  }

  drawHistogram() {
    const { frame: { histogram }, arrays } = this.clock;
    const { label, counted, upper, target, of } = histogram;
    const counts = new Array(BINS).fill(0);
    for (const value of arrays.values) counts[this.bin(value)] += 1;
    const { bar, charts: { histogram: { svg } } } = this;
    this.charts.histogram.show({ counts, upper, target, label, chosen: bar }, `Histogram: ${label}`);
    const [from, to] = [bar, bar + 1].map((edge) => short((edge * upper) / BINS));
    const words = bar === null ? "Choose a bar to see what it counts."
      : `${from} to ${to}: ${counts[bar]} ${counted}${of === "units" ? ", framed at the left" : ""}`;
    this.part("bar").textContent = words;
    this.part("counted").textContent = label[0].toUpperCase() + label.slice(1);
    svg.setAttribute("aria-valuenow", bar === null ? 0 : bar + 1);
    svg.setAttribute("aria-valuetext", words);
  }

  drawUnit() {
    const { frame: { unit, off, hyperparameters: { rho } }, arrays } = this.clock;
    this.part("look-unit").dataset.unit = unit?.number ?? "none";
    this.part("unit-words").textContent = UNCHOSEN;
    if (!unit) return;
    this.put("unit", unit.number);
    const isOff = off.includes(unit.number);
    const against = rho === undefined ? "" : ` against ρ ${rho}`;
    const [most, least] = [unit.strongest[0], unit.strongest.at(-1)].map((a) => a.toFixed(2));
    this.part("unit-words").textContent =
      `Mean activation ${unit.mean.toFixed(3)}${against}. The nine images that excite it most: ` +
      `${most} to ${least}.${unit.dead ? " Dead." : ""}${isOff ? " Switched off." : ""}`;
    this.part("switch").textContent = isOff ? "Switch on" : "Switch off";
    const counts = [...arrays.unit_counts];
    const label = "activation (log)";
    this.charts.counts.show({ counts, upper: unit.upper || 1, log: true, label }, "Its activations");
  }

  drawExplained() {
    const { frame: { explained }, arrays } = this.clock;
    const { image, units = [], activations } = explained ?? {};
    const words = units.length
      ? `Image ${image} is drawn mostly by these units; below each, its activation.`
      : `No unit is active in image ${image}.`;
    this.part("explained").textContent = explained ? words
      : "Click a reconstruction to see which units draw it.";
    const parts = this.part("parts");
    parts.hidden = !units.length;
    if (parts.hidden) return;
    if (this.tiles.explain_features?.count !== units.length) {
      parts.replaceWith(parts.cloneNode()); // without what listened to it
      this.tiles.explain_features = this.putParts(units);
    }
    this.tiles.explain_features.numbers = units;
    units.forEach((unit, i) => {
      this.tiles.explain_features.cells[i].dataset.caption = `${unit}: ${activations[i].toFixed(2)}`;
    });
  }

  drawCode() {
    const { frame: { buffers }, arrays: { drawn_code: code } } = this.clock;
    this.part("look-drawing").dataset.drawn = buffers.includes("drawn");
    if (!buffers.includes("drawn")) return;
    const strongest = [...code.keys()].sort((a, b) => code[b] - code[a]).slice(0, 3);
    const words = `Its code; the strongest units are ${strongest.join(", ")}`;
    this.charts.code.show({ counts: [...code], upper: code.length }, words);
  }

  /** Show a number, unless somebody is typing one. */
  put(name, value) {
    const input = this.field(name);
    if (document.activeElement !== input) input.value = value;
  }

  /** Say how it stands. */
  say() {
    const { frame, waiting, ended, note, trains } = this.clock;
    const status = this.part("status");
    if (!this.setup) {
      status.textContent = this.words = waiting || "Starting.";
      return;
    }
    const state = ended ? "gone" : waiting && !note ? "waiting" : frame.state;
    const facts = { state, ...frame.figures, ...frame.hyperparameters };
    for (const [name, value] of Object.entries(facts)) {
      status.setAttribute(`data-${name.replaceAll("_", "-")}`, value);
    }
    const figures = frame.words.replace(/\.?$/, ". ");
    const wish = trains ? "Training." : "Pausing.";
    const remark = waiting || (trains === frame.playing && frame.note) || wish;
    this.words = figures + remark;
    status.innerHTML = `${escaped(figures)}<b>${escaped(remark)}</b>
      <small>on ${thousands(this.setup.validation_images)} validation images</small>`;
    this.enable();
  }

  /** What can be pressed, and what that would do. */
  enable() {
    const { frame, ended, trains } = this.clock;
    for (const part of this.el.querySelectorAll("button, label > :not([type=radio])")) part.disabled = !!ended;
    const broken = frame.state === "broken";
    this.part("step").disabled ||= broken;
    this.part("train").disabled ||= broken && !trains;
    this.part("train").dataset.does = trains ? "pause" : "train";
    this.part("snapshot").textContent = frame.snapshot ? "Forget snapshot" : "Snapshot";
    this.part("snapshot").setAttribute("aria-pressed", !!frame.snapshot);
    this.put("seed", frame.seed);
    if (!this.clock.asks("speed")) this.field("speed").value = frame.speed;
  }

  /** Tell a screen reader how it stands, politely and now and then. */
  speak() {
    if (this.spoken === this.words || now() - this.spokenAt < SPOKEN) return;
    Object.assign(this, { spoken: this.words, spokenAt: now() });
    this.part("heard").textContent = this.words;
  }
}

export default {
  /** @param {{model: object, el: HTMLElement}} options as anywidget gives them. */
  render({ model, el }) {
    el.classList.add("course-view", "course-view-playground");
    // JupyterLab, which hears of a key, lets no Enter reach a field in a cell.
    el.addEventListener("keydown", (event) => event.stopPropagation());
    const view = new Playground(model, el);
    return () => view.close();
  },
};
