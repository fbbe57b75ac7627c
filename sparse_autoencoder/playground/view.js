/**
 * The playground's view: it draws what an engine sends, tells it what a hand does, and clocks the
 * training. What the two say to each other stands in PROTOCOL.md; its looks stand in view.css.
 *
 * It knows nothing of Jupyter but the model's `get`, `send`, `on` and `off`, so that any page with
 * an engine of its own can show it.
 */

const VERSION = 1;
const BEAT = 100; // milliseconds between two looks at the clock
const HURRY = 1000; // after a touch: short slices, and one request at a time
const OVERDUE = { touched: 350, untouched: 1500 }; // then the page says that it waits
const LOST = 4000; // then an answer is asked for again; later ever more rarely
const SILENCE = 20000; // then the kernel may be gone
const SPOKEN = 1000; // a screen reader is told at most so often
const BUSY = "Waiting: the kernel runs another cell.";
const SILENT = "No answer: the kernel is still busy, or it was restarted. Then run this cell again.";
const GONE = "The kernel was restarted: run this cell again.";

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

const escaped = (words) => String(words).replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
const thousands = (number) => number.toLocaleString("en-US");
const short = (number) => `${Number(number.toPrecision(2))}`;
const randomName = () => `view-${Math.random().toString(36).slice(2)}`;
const now = () => performance.now();

// --- The clock --------------------------------------------------------------------------------

/** Sends requests, two on the way at most, and asks for the next frame when one has arrived. */
class Clock {
  /**
   * @param {object} model that carries the messages.
   * @param {HTMLElement} el of the view: one that is not in the page clocks nothing.
   * @param {function} receive called when a frame came.
   * @param {function} say called when something else changed that the reader should know.
   */
  constructor(model, el, receive, say) {
    Object.assign(this, { model, el, receive, say, number: 0, queue: [], patience: LOST });
    Object.assign(this, { frame: null, arrays: {} }); // the latest one, and its buffers by name
    this.view = randomName();
    this.sent = new Map(); // number → a request without an answer
    this.wish = null; // to train or to pause, until it is answered
    this.note = ""; // of a state that came ahead of its frame
    this.waiting = this.ended = ""; // for what the page waits; why nothing will come any more
    this.touched = this.ping = false;
    this.places = {}; // of sliders that moved since the last request
    this.touchedAt = -Infinity;
    this.silentSince = null;
    this.listeners = { "msg:custom": this.onMessage, comm_live_update: this.onDeath };
    for (const slider of [0, 1, 2]) this.listeners[`change:place${slider}`] = () => this.move(slider);
    for (const [event, action] of Object.entries(this.listeners)) model.on(event, action);
    document.addEventListener("visibilitychange", this.pump);
    this.beat = setInterval(() => this.check(), BEAT);
  }

  close() {
    this.ended = GONE;
    clearInterval(this.beat);
    for (const [event, action] of Object.entries(this.listeners)) this.model.off(event, action);
    document.removeEventListener("visibilitychange", this.pump);
  }

  /** Send a request, {do: …}, as soon as there is room for it. */
  ask(request) {
    if (this.ended) return;
    if (request.do === "train") this.wish = request.on;
    // What waits to be sent gives way to a newer request of its kind.
    if (REPLACED.includes(request.do)) this.queue = this.queue.filter((old) => old.do !== request.do);
    this.queue.push(request);
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
    const most = hurry || frame.wait > 0 || this.patience > LOST ? 1 : 2;
    const rests = now() - this.frameAt < (frame.wait ?? 0);
    const due = this.trains && frame.playing && frame.clock === this.view && !rests;
    while (this.sent.size < most && (due || this.ping) && !this.ended) {
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

  onDeath = () => this.end(GONE);

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
    const touched = [...this.sent.values()].some((request) => request.touched);
    const usual = 1.5 * (this.frame?.ms?.train ?? 0); // at the speed "fast" an answer takes longer
    const due = Math.max(touched || !this.frame ? OVERDUE.touched : OVERDUE.untouched, usual);
    const silence = this.silentSince === null ? 0 : now() - this.silentSince;
    const busy = silence > SILENCE ? SILENT : this.note || (silence > due ? BUSY : "");
    const words = this.ended || busy;
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
    this.touched = [...this.sent.values()].some((request) => request.touched);
    this.sent.clear();
    if (wish !== null && !this.asks("train")) this.queue.unshift({ do: "train", on: wish });
    else this.queue.unshift({ do: "hello" }); // of all else, the answer says how things stand
  }
}

// --- Tiles ------------------------------------------------------------------------------------

const RED = [
  [247, 247, 247], [253, 219, 199], [244, 165, 130], [214, 96, 77], [178, 24, 43], [103, 0, 31]];
const BLUE = [
  [247, 247, 247], [209, 229, 240], [146, 197, 222], [67, 147, 195], [33, 102, 172], [5, 48, 97]];

/** A table of colours for the bytes of a picture; color(byte) gives [red, green, blue]. */
function table(color) {
  const bytes = Array.from({ length: 256 }, (_, byte) => [...color(byte), 255]);
  return new Uint32Array(Uint8Array.from(bytes.flat()).buffer);
}

const GRAY = table((byte) => [byte, byte, byte]);
const DIVERGING = table((byte) => {
  const place = Math.min(Math.abs(byte - 128) / 127, 1) * 5;
  const below = Math.min(Math.floor(place), 4);
  const [from, to] = (byte < 128 ? BLUE : RED).slice(below);
  return from.map((part, i) => Math.round(part + (to[i] - part) * (place - below)));
});

/** Small images side by side on a canvas, which the page enlarges without smoothing. */
class Tiles {
  /**
   * @param {HTMLElement} host where they are put.
   * @param {object} options: count, columns, shape [height, width] and colors (a table) of the
   *     tiles, and the scale at which an image of 28 pixels is shown.
   */
  constructor(host, { count, columns, shape, colors, scale = 1 }) {
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
   * @param {object} options as for Tiles, and besides what is done: choose(number), point(number
   *     or null), and toggle(number), if anything; and what is said: describe(number).
   */
  constructor(host, options) {
    super(host, options);
    Object.assign(this, options, { chosen: null, active: null });
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
    const places = [this.active, this.chosen].map((number) => this.numbers.indexOf(number));
    return places.find((place) => place >= 0) ?? 0;
  }

  /** Mark numbers: one or none is chosen, and active; others are functions, such as dead(number). */
  mark({ chosen, active, ...others }) {
    Object.assign(this, { chosen, active });
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

// --- Charts -----------------------------------------------------------------------------------

const LINE = 13; // height of a line of text
const LEFT = 42; // of the axes, in pixels
const measuring = document.createElement("canvas").getContext("2d");
measuring.font = "11px sans-serif";

/** Round numbers from 0 to `last`, at most so many and one. */
function ticks(last, most = 5) {
  const power = 10 ** Math.floor(Math.log10(last / 2));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((s) => last / s <= most);
  return Array.from({ length: Math.floor(last / step + 1e-9) + 1 }, (_, i) => i * step);
}

/** An SVG picture, as wide as the room that it has. */
class Chart {
  /** draw(right end, height, data) gives what stands in the svg; the margin is at the right. */
  constructor(svg, draw, margin = 12) {
    Object.assign(this, { svg });
    this.draw = () => {
      this.right = svg.clientWidth - margin;
      if (this.right > LEFT && this.data) svg.innerHTML = draw(this.right, svg.clientHeight, this.data);
    };
    new ResizeObserver(this.draw).observe(svg);
  }

  /** Draw such data, and describe them to those who cannot see it. */
  show(data, words) {
    this.data = data;
    this.svg.setAttribute("aria-label", words);
    this.draw();
  }

  /** Which of `count` parts of the x axis the pointer is at, or null. */
  at(event, count) {
    const share = (event.clientX - this.svg.getBoundingClientRect().left - LEFT) / (this.right - LEFT);
    return share >= 0 && share < 1 ? Math.floor(share * count) : null;
  }
}

/** Axes from 0 to `last` and from `low` to `high`, upon which a chart is drawn part by part. */
class Axes {
  constructor(right, height, top, last, low, high, label) {
    Object.assign(this, { right, top, bottom: height - (label ? 32 : 18), parts: [] });
    this.x = (value) => LEFT + ((right - LEFT) * value) / last;
    this.y = (value) => this.bottom - ((this.bottom - top) * (value - low)) / (high - low);
    this.line(LEFT, this.bottom, right, this.bottom, "axis");
    const room = Math.max(2, (right - LEFT) / 45); // for so many numbers
    for (const x of ticks(last, room)) this.text(this.x(x), this.bottom + LINE, thousands(x), "middle");
    this.text((LEFT + right) / 2, this.bottom + 2 * LINE + 2, label ?? "", "middle");
  }

  line(x1, y1, x2, y2, kind, title = "") {
    const ends = `x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}"`;
    this.parts.push(`<line class="${kind}" ${ends}><title>${escaped(title)}</title></line>`);
  }

  text(x, y, words, anchor = "start", kind = "") {
    const place = `x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}"`;
    this.parts.push(`<text class="${kind}" ${place}>${escaped(words)}</text>`);
  }
}

/** Each term of the loss over the steps, on a log axis. */
function drawCurves(right, height, { steps, curves, terms, marks }) {
  const last = Math.max(steps.at(-1) ?? 0, 1);
  const changes = placeMarks(marks, (step) => LEFT + ((right - LEFT) * step) / last, right);
  const top = 8 + LINE * (1 + Math.max(-1, ...changes.map(({ row }) => row)));
  const logs = Object.values(curves).flatMap((c) => [...c].filter((v) => v > 0).map(Math.log10));
  const high = Math.ceil(Math.max(...logs, -9) + 1e-9);
  // Beyond five decades a term counts for nothing.
  const low = Math.max(Math.min(Math.floor(Math.min(...logs, high)), high - 1), high - 5);
  const axes = new Axes(right, height, top, last, low, high, "step");
  for (let power = low; power <= high; power++) {
    axes.line(LEFT, axes.y(power), right, axes.y(power), "grid");
    axes.text(LEFT - 4, axes.y(power) + 4, short(10 ** power), "end");
  }
  const names = [];
  for (const [key, values] of Object.entries(curves)) {
    const { label, color, dashes } = terms[key];
    const ink = color === "#000000" ? "currentColor" : color; // black is lost on a dark page
    const heights = [...values].map((v) => (v > 0 ? axes.y(Math.max(Math.log10(v), low)) : null));
    const path = heights.map((y, i) => { // in pieces, where the term is on; a lone point is a dot
      const point = `${axes.x(steps[i]).toFixed(1)} ${y?.toFixed(1)}`;
      return y === null ? "" : heights[i - 1] == null ? `M${point}h0` : `L${point}`;
    });
    const look = `stroke="${ink}" stroke-dasharray="${dashes.join(" ")}"`;
    axes.parts.push(`<path class="curve" d="${path.join("")}" ${look}/>`);
    const end = heights.at(-1);
    names.push({ y: end ?? axes.bottom, words: end === null ? `${label} off` : label });
  }
  for (const { y, words } of apart(names, axes.bottom)) axes.text(right + 4, y + 4, words);
  for (const { x, from, row, words } of changes) {
    axes.line(x, top - 4, x, axes.bottom, "mark", words);
    if (row >= 0) axes.text(from, (row + 1) * LINE - 2, words, "start", "mark-text");
  }
  return axes.parts.join("");
}

/** Marks of changed settings, their texts in three rows; where these are full a pointer is told. */
function placeMarks(marks, place, right) {
  const rows = [[], [], []]; // the texts in each
  return [...marks].reverse().map(([step, words]) => {
    const x = place(step);
    const width = measuring.measureText(words).width + 8;
    const from = Math.max(Math.min(x - width / 2, right - width), LEFT);
    const row = rows.findIndex((texts) =>
      texts.every((other) => from >= other.to || from + width <= other.from));
    if (row >= 0) rows[row].push({ from, to: from + width });
    return { x, from, row, words };
  });
}

/** Move labels downwards until none overlaps; those that left the picture push upwards again. */
function apart(labels, bottom) {
  labels.sort((a, b) => a.y - b.y);
  let limit = -Infinity;
  for (const label of labels) limit = label.y = Math.max(label.y, limit + LINE);
  limit = bottom + LINE;
  for (const label of [...labels].reverse()) limit = label.y = Math.min(label.y, limit - LINE);
  return labels;
}

/** Bars of counts over the range from 0 to `upper`; one may be chosen, and a target marked. */
function drawBars(right, height, { counts, upper, label, target, chosen, log }) {
  const most = Math.max(...counts);
  const size = log ? Math.log1p : Number;
  const axes = new Axes(right, height, 16, upper, 0, size(most) || 1, label);
  const width = (right - LEFT) / counts.length;
  counts.forEach((count, i) => {
    if (count <= 0) return;
    const [x, y] = [LEFT + i * width, axes.y(size(count))];
    axes.parts.push(
      `<rect class="bar ${i === chosen ? "chosen" : ""}" x="${x.toFixed(1)}" y="${y.toFixed(1)}" ` +
      `width="${width.toFixed(1)}" height="${(axes.bottom - y).toFixed(1)}"/>`);
    if (i === chosen) axes.line(x + width / 2, axes.top - 6, x + width / 2, y, "mark");
  });
  axes.text(LEFT - 4, axes.top + 8, Number.isInteger(most) ? thousands(most) : short(most), "end");
  axes.text(LEFT - 4, axes.bottom, "0", "end");
  if (target != null) {
    const x = axes.x(target);
    axes.line(x, axes.top - 4, x, axes.bottom, "target");
    const [from, anchor] = target > upper / 2 ? [x - 4, "end"] : [x + 4, "start"];
    axes.text(from, axes.top - 4, `target ρ ${target}`, anchor);
  }
  return axes.parts.join("");
}

// --- The playground ---------------------------------------------------------------------------

const BINS = 50; // of the histogram
const icon = (path) => `<svg viewBox="0 0 10 10" aria-hidden="true"><path d="${path}"/></svg>`;
const TRAIN = `${icon("M1 0L10 5L1 10Z")} Train`;
const PAUSE = `${icon("M1 0H4V10H1ZM6 0H9V10H6Z")} Pause`;
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
  ${button("train", "", "Train or pause")}${button("step", "Step", "Take one training step")}
  ${button("reset", "Reset", "Start again from the first weights")}${whole("seed", "Seed", 999)}
  ${choice("speed", "Speed", speeds)}${choice("preset", "Preset", ["choose", ...presets])}
  ${button("snapshot", "", "Keep this state for comparison")}
</div>
<div class="playground-pictures">
  <div>
    <div class="playground-head"><b>${tiles} features</b>
      <label><input type="checkbox" class="playground-common-scale">one scale for all</label>
      ${button("all-on", "Switch all on")}</div>
    ${box("features", "features; Enter looks closer, x switches off")}${box("readout")}
  </div>
  <div class="playground-before">
    <div class="playground-head"><b>Snapshot</b></div>
    ${box("old-features", "features of the snapshot")}${box("old-words")}
  </div>
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
    Object.assign(this, { el, chosen: null, active: null, bar: null, words: "", cleanups: [] });
    el.innerHTML = `<div class="playground-status"></div>
      <div class="playground-heard" role="status"></div>`;
    this.clock = new Clock(model, el, () => this.receive(), () => this.say());
    this.watch();
    const first = model.get("first");
    if (first) this.clock.take(first.content, first.buffers);
    this.clock.ask({ do: "hello" });
  }

  /** The element of this class. */
  part(name) {
    return this.el.querySelector(`.playground-${name}`);
  }

  /** The view, with the sliders that stand beside it. */
  panel = () => this.el.closest(".course-panel") ?? this.el;

  /** Watch for touches of the panel, and for the room that there is. */
  watch() {
    const listen = (target, kind, action) => {
      target.addEventListener(kind, action, true);
      this.cleanups.push(() => target.removeEventListener(kind, action, true));
    };
    const touch = ({ target }) => {
      if (!this.panel().contains(target)) return;
      target.dataset.lmSuppressShortcuts = true; // of Notebook 7, which takes arrows, and cuts by x
      this.clock.touch(!this.el.contains(target));
    };
    for (const kind of ["pointerdown", "keydown", "input"]) listen(window, kind, touch);
    listen(window, "pointermove", (event) => event.buttons && touch(event));
    listen(window, "resize", () => this.fit());
    const resized = new ResizeObserver(() => this.fit());
    resized.observe(this.part("status"));
    const beat = setInterval(() => this.speak(), SPOKEN);
    this.cleanups.push(() => resized.disconnect(), () => clearInterval(beat));
  }

  close() {
    this.clock.close();
    cancelAnimationFrame(this.drawing);
    for (const cleanup of this.cleanups) cleanup();
    this.el.replaceChildren();
  }

  /** The pictures scroll in the room that the controls leave, so that these stay in sight. */
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
    pictures.style.maxHeight = `${Math.max(room - controls - 12, 240)}px`;
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
    const ask = (kind, more) => this.clock.ask({ do: kind, ...more });
    const typed = (input, act) => input.reportValidity() && act(Number(input.value));
    const hands = {
      "click train": () => ask("train", { on: !this.clock.trains }),
      "click step": () => ask("step"),
      "click reset": () => ask("reset"),
      "change seed": ({ target }) => typed(target, (seed) => ask("reset", { seed })),
      "change speed": ({ target }) => ask("speed", { speed: target.value }),
      "change preset": ({ target }) => {
        ask("preset", { preset: target.value });
        target.value = "choose";
      },
      "click snapshot": () => ask("snapshot", { on: !this.clock.frame.snapshot }),
      "change common-scale": () => this.paintFeatures(),
      "click all-on": () => ask("switch", { all: true }),
      "change unit": ({ target }) => typed(target, (unit) => this.choose(unit)),
      "click switch": () => this.toggle(this.chosen),
      "click take": () => typed(this.part("image").lastElementChild, (image) => this.take(image)),
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
    const put = (name, kind, how) => new kind(this.part(name), { shape, columns: 1, count: 1, ...how });
    const row = (name, words, choose) => {
      const point = (active) => mosaic.mark({ chosen: mosaic.chosen, active });
      const describe = (image) => `${words} ${image}`;
      const how = { count: images, columns: images, colors: GRAY, describe, choose, point };
      const mosaic = put(name, Mosaic, how);
      return mosaic;
    };
    const explain = (image) => {
      this.open("reconstruction");
      this.clock.ask({ do: "explain", image });
    };
    const hands = ["describe", "choose", "toggle", "point"].map((name) => [name, this[name].bind(this)]);
    this.units = { shape, colors: DIVERGING, ...Object.fromEntries(hands) };
    const features = { ...this.units, count, columns: Math.min(columns, count) };
    this.tiles = {
      features: put("features", Mosaic, features),
      old_features: put("old-features", Mosaic, features),
      originals: row("originals", "original", (image) => this.take(image)),
      reconstructions: row("reconstructions", "reconstruction", explain),
      old_reconstructions: row("old-reconstructions", "reconstruction before", explain),
      unit_feature: put("unit-feature", Tiles, { colors: DIVERGING, scale: 3 }),
      unit_images: put("unit-images", Tiles, { colors: GRAY, count: 9, columns: 3 }),
      drawn: put("drawn", Tiles, { colors: GRAY, scale: 3 }),
      drawn_reconstruction: put("drawn-reconstruction", Tiles, { colors: GRAY, scale: 3 }),
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
    this.clock.ask({ do: "look", unit });
    this.mark();
  }

  /** Switch a unit off, or on again. */
  toggle(unit) {
    this.clock.ask({ do: "switch", unit, on: this.clock.frame.off.includes(unit) });
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
    this.wipe({ image });
  }

  /** Empty the pad, and say what takes the place of what was drawn. */
  wipe(instead) {
    const pad = this.part("pad");
    const pen = pad.getContext("2d", { willReadFrequently: true });
    pen.fillRect(0, 0, pad.width, pad.height);
    Object.assign(pen, { strokeStyle: "#fff", lineCap: "round", lineWidth: 0.08 * pad.height });
    if (instead) this.clock.ask({ do: "draw", ...instead });
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
    this.clock.ask({ do: "draw", buffers: [data.filter((_, i) => i % 4 === 0)] });
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
    const shown = ["originals", "reconstructions"];
    if (frame.snapshot) shown.push("old_reconstructions");
    if (frame.unit) shown.push("unit_feature", "unit_images");
    if (frame.buffers.includes("drawn")) shown.push("drawn", "drawn_reconstruction");
    for (const name of shown) if (arrays[name]) this.tiles[name].paint(arrays[name]);
    this.part("pictures").dataset.before = !!frame.snapshot;
    this.part("old-words").textContent = frame.snapshot?.words ?? "";
    this.part("all-on").hidden = !frame.off.length;
    if (arrays.features) this.paintFeatures();
    if (arrays.values) {
      this.drawCurves();
      this.drawHistogram();
    }
    this.drawUnit();
    this.drawExplained();
    this.drawCode();
    this.mark();
  }

  /** Features, of now and of the snapshot, each by its own maximum or all by the largest. */
  paintFeatures() {
    const { frame, arrays } = this.clock;
    const old = frame.snapshot ? arrays.old_scales : [];
    const most = Math.max(...arrays.scales, ...old, 1e-12);
    const factors = (scales) => this.part("common-scale").checked && scales.map((one) => one / most);
    this.tiles.features.paint(arrays.features, factors(arrays.scales));
    if (frame.snapshot) this.tiles.old_features.paint(arrays.old_features, factors(old));
  }

  /** Mark the units that are chosen, pointed at, dead, off, or counted by the chosen bar. */
  mark() {
    const { frame, arrays } = this.clock;
    const { chosen, active, bar, tiles } = this;
    const barHolds = (unit) => bar !== null && this.bin(arrays.values[unit]) === bar;
    const counted = frame.histogram.of === "units" ? barHolds : () => false;
    const common = { chosen, active, counted, off: (unit) => frame.off.includes(unit) };
    tiles.features.mark({ ...common, dead: (unit) => arrays.dead?.[unit] });
    if (frame.snapshot) tiles.old_features.mark({ ...common, dead: (unit) => arrays.old_dead[unit] });
    const { reconstructions, parts } = tiles;
    const image = frame.explained?.image ?? null;
    reconstructions.mark({ chosen: image, active: reconstructions.active });
    parts?.mark({ chosen, active, off: common.off });
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
    if (this.tiles.parts?.count !== units.length) {
      parts.replaceWith(parts.cloneNode()); // without what listened to it
      const how = { count: units.length, columns: units.length, scale: 2, ...this.units };
      this.tiles.parts = new Mosaic(this.part("parts"), how);
    }
    this.tiles.parts.numbers = units;
    units.forEach((unit, i) => {
      this.tiles.parts.cells[i].dataset.caption = `${unit}: ${activations[i].toFixed(2)}`;
    });
    this.tiles.parts.paint(arrays.explain_features);
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
    const input = this.part(name).lastElementChild;
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
    const train = this.part("train");
    const does = trains ? "pause" : "train";
    if (train.dataset.does !== does) train.innerHTML = trains ? PAUSE : TRAIN;
    train.dataset.does = does;
    const broken = frame.state === "broken";
    this.part("step").disabled ||= broken;
    train.disabled ||= broken && !trains;
    this.part("snapshot").textContent = frame.snapshot ? "Forget snapshot" : "Snapshot";
    this.part("snapshot").setAttribute("aria-pressed", !!frame.snapshot);
    this.put("seed", frame.seed);
    if (!this.clock.asks("speed")) this.part("speed").lastElementChild.value = frame.speed;
  }

  /** Tell a screen reader how it stands, politely and now and then. */
  speak() {
    const heard = this.part("heard");
    if (heard.textContent !== this.words) heard.textContent = this.words;
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
