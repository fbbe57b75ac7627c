/**
 * The playground's view: it draws what an engine sends, tells it what a hand does, and clocks the
 * training. What the two say to each other stands in PROTOCOL.md; its looks stand in view.css.
 *
 * It knows nothing of Jupyter but the model's `get`, `send`, `on` and `off`, so that any page with
 * an engine of its own can show it.
 */

const VERSION = 1;
const BEAT = 100; // milliseconds between two looks at the clock
const HURRY = 1000; // after a touch, short slices and one request at a time
const OVERDUE = { touched: 350, untouched: 1500 }; // then the page says that it waits
const LOST = 4000; // an answer that has not come by then is asked for again; later ever more rarely
const SILENCE = 20000; // then the kernel may be gone
const SPOKEN = 1000; // a screen reader is told at most so often
const BUSY = "Waiting: the kernel runs another cell.";
const SILENT =
  "No answer: the kernel is still busy, or it was restarted. Then run this cell again.";
const GONE = "The kernel was restarted: run this cell again.";

// What may be said a second time when no answer came; for all else one asks how things stand.
const REPEATABLE = ["hello", "tick", "train", "look", "explain", "draw", "snapshot", "speed"];
// Of these, one that still waits to be sent gives way to a newer one.
const REPLACED = ["look", "explain", "draw", "speed"];

const TYPES = {
  scales: Float32Array,
  old_scales: Float32Array,
  means: Float32Array,
  code: Float32Array,
  drawn_code: Float32Array,
  values: Float32Array,
  curve_steps: Int32Array,
  unit_counts: Int32Array,
};

/** The bytes of a frame as arrays by name. Those of other types than bytes are copied, aligned. */
function arraysOf(names, buffers) {
  const arrays = {};
  names.forEach((name, i) => {
    const { buffer, byteOffset = 0, byteLength } = ArrayBuffer.isView(buffers[i])
      ? buffers[i]
      : { buffer: buffers[i], byteLength: buffers[i].byteLength };
    const type = TYPES[name] ?? (name.startsWith("curve_") ? Float32Array : Uint8Array);
    arrays[name] =
      type === Uint8Array
        ? new Uint8Array(buffer, byteOffset, byteLength)
        : new type(buffer.slice(byteOffset, byteOffset + byteLength));
  });
  return arrays;
}

/** An HTML element with attributes, listeners (names that begin with "on") and children. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const escaped = (text) =>
  String(text).replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
const thousands = (number) => number.toLocaleString("en-US");
const rounded = (number) => `${Number(number.toPrecision(2))}`;

// ---------------------------------------------------------------------------------------------
// The clock

/**
 * Sends requests, two on the way at most, and asks for the next frame when one has arrived.
 *
 * Attributes: `frame`, the latest one; `arrays`, its buffers by name; `view`, this view's name;
 * `waiting`, for what the page waits, or "".
 */
class Clock {
  /**
   * @param {object} model that carries the messages.
   * @param {HTMLElement} el of the view: one that is not in the page clocks nothing.
   * @param {function} receive called when a frame came.
   * @param {function} show called when `waiting` or what is wished for changed.
   */
  constructor(model, el, receive, show) {
    Object.assign(this, { model, el, receive, show });
    this.view = Math.random().toString(36).slice(2);
    this.number = 0;
    this.sent = new Map(); // number → a request without an answer
    this.queue = [];
    this.frame = null;
    this.arrays = {};
    this.note = ""; // of the state that came ahead of a frame
    this.wish = null; // to train or to pause, until it is answered
    this.broken = ""; // why nothing will come any more
    this.touched = this.ping = false;
    this.touchedAt = this.silentSince = -Infinity;
    this.patience = LOST;
    this.waiting = "";
    model.on("msg:custom", this.onMessage);
    model.on("comm_live_update", this.onDeath); // of Jupyter's widgets; others never say it
    document.addEventListener("visibilitychange", this.pump);
    this.beat = setInterval(() => this.look(), BEAT);
  }

  close() {
    clearInterval(this.beat);
    this.model.off("msg:custom", this.onMessage);
    this.model.off("comm_live_update", this.onDeath);
    document.removeEventListener("visibilitychange", this.pump);
    this.broken = GONE;
  }

  /** Send a request as soon as there is room for it. */
  ask(content, buffers = []) {
    if (this.broken) return;
    if (content.do === "train") this.wish = content.on;
    if (REPLACED.includes(content.do)) {
      this.queue = this.queue.filter((request) => request.content.do !== content.do);
    }
    this.queue.push({ content, buffers });
    this.pump();
    this.show();
  }

  /** Whether a request of this kind has no answer yet. */
  asks(kind) {
    return [...this.sent.values(), ...this.queue].some(({ content }) => content.do === kind);
  }

  /** A hand moved something: outside of the view, the answer has to be asked for. */
  touch(outside) {
    this.touchedAt = performance.now();
    this.touched = true;
    if (!outside) return;
    this.ping = true;
    setTimeout(this.pump); // behind what the hand moved
  }

  /** Whether somebody can see it. */
  get present() {
    return this.el.isConnected && !document.hidden;
  }

  get trains() {
    return this.wish ?? (this.frame?.playing && this.frame.clock === this.view);
  }

  pump = () => {
    if (this.broken) return;
    while (this.queue.length && this.sent.size < 2) this.send(this.queue.shift());
    if (!this.present || !this.frame) return;
    const now = performance.now();
    const hurry = now - this.touchedAt < HURRY;
    const one = hurry || this.frame.wait > 0 || this.patience > LOST;
    const clocks = this.trains && this.frame.clock === this.view;
    const rests = now - this.frameAt < this.frame.wait && !this.ping;
    while (this.sent.size < (one ? 1 : 2) && ((clocks && !rests) || this.ping)) {
      this.ping = false;
      this.send({ content: { do: "tick", ...(hurry && { hurry }) }, buffers: [] });
      if (this.broken) return;
    }
  };

  send(request) {
    const { content, buffers } = request;
    const now = performance.now();
    this.number += 1;
    this.sent.set(this.number, { ...request, at: now, touched: this.touched });
    if (this.sent.size === 1 && this.silentSince === -Infinity) this.silentSince = now;
    const touched = this.touched && { touched: true };
    this.touched = false;
    try {
      const message = { v: VERSION, view: this.view, n: this.number, ...content, ...touched };
      this.model.send(message, undefined, buffers);
    } catch {
      this.onDeath(); // nobody is there to send it to
    }
  }

  onDeath = () => {
    this.broken = this.waiting = GONE;
    this.show();
  };

  onMessage = (content, buffers = []) => {
    if (content.v !== VERSION) {
      this.broken = this.waiting =
        `The kernel speaks version ${content.v} of the playground's messages, this page version ` +
        `${VERSION}: restart the kernel, load the page again, and run this cell again.`;
      return this.show();
    }
    if (content.kind === "state") {
      this.note = content.note;
      if (this.frame) Object.assign(this.frame, { state: content.state, note: content.note });
      return this.look();
    }
    if (content.kind === "frame") this.take(content, buffers);
  };

  take(frame, buffers) {
    if (frame.view === this.view) {
      for (const [number, { content }] of this.sent) {
        if (number > frame.n) break;
        this.sent.delete(number); // answers come in order
        if (content.do === "train" && !this.asks("train")) this.wish = null;
      }
      this.patience = LOST;
    }
    this.frameAt = performance.now();
    this.silentSince = this.sent.size ? this.frameAt : -Infinity;
    this.broken = this.note = "";
    frame.setup ??= this.frame?.setup;
    this.frame = frame;
    Object.assign(this.arrays, arraysOf(frame.buffers, buffers));
    if (frame.wait > 0) setTimeout(this.pump, frame.wait);
    this.pump(); // so the engine works while the page draws
    this.look();
    this.receive();
  }

  /** Every now and then: is an answer overdue, or lost? */
  look() {
    const silence = performance.now() - this.silentSince;
    const touched = [...this.sent.values()].some((request) => request.touched);
    const due = touched || !this.frame ? OVERDUE.touched : OVERDUE.untouched;
    let words = this.broken || this.note;
    if (!words && this.silentSince !== -Infinity) {
      words = silence > SILENCE ? SILENT : silence > due ? BUSY : "";
    }
    if (words !== this.waiting) {
      this.waiting = words;
      this.show();
    }
    if (this.broken || !this.present) return;
    const [oldest] = this.sent.values();
    if (oldest && performance.now() - oldest.at > this.patience) this.repeat();
    this.pump();
  }

  /** Ask again for what was lost; a kernel that is busy for long is not buried in requests. */
  repeat() {
    this.patience = Math.min(2 * this.patience, 30000);
    const lost = [...this.sent.values()];
    this.sent.clear();
    const again = new Map();
    for (const { content, buffers, touched } of lost) {
      const known = REPEATABLE.includes(content.do);
      if (known && this.asks(content.do)) continue; // a newer one says it better
      again.set(known ? content.do : "hello", {
        content: known ? content : { do: "hello" },
        buffers,
      });
      this.touched ||= touched;
    }
    if (again.size > 1) again.delete("tick");
    this.queue.unshift(...again.values());
  }
}

// ---------------------------------------------------------------------------------------------
// Tiles

const RED_TO_BLUE = ["67001f", "b2182b", "d6604d", "f4a582", "fddbc7", "f7f7f7"];
const TO_BLUE = ["f7f7f7", "d1e5f0", "92c5de", "4393c3", "2166ac", "053061"];
const pixel = (red, green, blue) => (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;

/** Colours of the bytes of a feature: white at 128, red above, blue below. */
function divergingTable() {
  const ways = [TO_BLUE, [...RED_TO_BLUE].reverse()].map((way) =>
    way.map((color) => [0, 2, 4].map((at) => parseInt(color.slice(at, at + 2), 16))),
  );
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    const way = ways[byte < 128 ? 0 : 1];
    const place = Math.min(Math.abs(byte - 128) / 127, 1) * 5;
    const from = Math.min(Math.floor(place), 4);
    return pixel(...way[from].map((c, i) => Math.round(c + (way[from + 1][i] - c) * (place - from))));
  });
}

const DIVERGING = divergingTable();
const GRAY = Uint32Array.from({ length: 256 }, (_, byte) => pixel(byte, byte, byte));

/** Small images side by side on a canvas, a screen pixel for each of theirs, with gaps of one. */
class Tiles {
  constructor(count, columns, shape, table) {
    Object.assign(this, { count, columns: Math.min(columns, count), shape, table });
    const [height, width] = shape;
    this.canvas = make("canvas", { class: "playground-pixels", "aria-hidden": "true" });
    this.canvas.width = this.columns * (width + 1) - 1;
    this.canvas.height = Math.ceil(count / this.columns) * (height + 1) - 1;
    this.context = this.canvas.getContext("2d");
    this.image = this.context.createImageData(this.canvas.width, this.canvas.height);
    this.pixels = new Uint32Array(this.image.data.buffer);
  }

  /** The upper left corner of a tile. */
  corner(tile) {
    const [height, width] = this.shape;
    return [(tile % this.columns) * (width + 1), Math.floor(tile / this.columns) * (height + 1)];
  }

  /** Show (count, pixels) bytes; what lies off 128 is multiplied by the tile's factor, if any. */
  paint(bytes, factors) {
    const [height, width] = this.shape;
    for (let tile = 0, from = 0; tile < this.count; tile++) {
      const factor = factors ? factors[tile] : 1;
      const [x, y] = this.corner(tile);
      for (let row = 0; row < height; row++) {
        const to = (y + row) * this.image.width + x;
        for (let i = 0; i < width; i++, from++) {
          this.pixels[to + i] = this.table[128 + Math.round((bytes[from] - 128) * factor)];
        }
      }
    }
    this.context.putImageData(this.image, 0, 0);
  }
}

let names = 0; // of elements that others point at

/**
 * Tiles to point at, with a pointer or with arrow keys.
 *
 * Attributes: `element`; `marks`, what stands upon the tiles: {chosen, active, dead, off,
 * highlighted}, the first two numbers or null, the others functions of a tile's number.
 */
class Mosaic {
  /**
   * @param {object} options: label of the whole; count, columns, shape and table of the tiles;
   * describe(tile) in words; choose(tile), toggle(tile) and point(tile or null), what they do.
   */
  constructor({ label, count, columns, shape, table, ...actions }) {
    Object.assign(this, { describe: String, choose() {}, toggle() {}, point() {} }, actions);
    this.tiles = new Tiles(count, columns, shape, table);
    this.marks = {};
    this.id = `playground-${(names += 1)}`;
    const scale = Math.max(1, Math.floor(30 / Math.max(...shape)));
    const { width, height } = this.tiles.canvas;
    this.canvas = make("canvas", {
      "aria-hidden": "true",
      style: `width: ${width * scale}px; aspect-ratio: ${width} / ${height}`,
    });
    this.element = make(
      "div",
      { class: "playground-mosaic", role: "grid", tabindex: 0, "aria-label": label },
      this.canvas,
      this.cells(),
    );
    this.listen();
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.canvas);
  }

  /** What a screen reader finds in place of the canvas. */
  cells() {
    const { count, columns } = this.tiles;
    const rows = make("div", { class: "playground-heard", role: "rowgroup" });
    for (let tile = 0; tile < count; tile++) {
      if (tile % columns === 0) rows.append(make("div", { role: "row" }));
      const cell = make("span", { role: "gridcell", id: `${this.id}-${tile}` });
      rows.lastChild.append(cell);
    }
    return rows;
  }

  listen() {
    const { count, columns } = this.tiles;
    const far = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
    const on = (kind, action) => this.element.addEventListener(kind, action);
    on("pointermove", (event) => this.point(this.at(event)));
    on("pointerleave", () => this.point(null));
    on("blur", () => this.point(null));
    on("focus", () => this.element.matches(":focus-visible") && this.point(this.here));
    on("click", (event) => this.at(event) !== null && this.choose(this.at(event)));
    on("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const { here } = this;
      if (event.key in far) {
        const to = this.marks.active == null ? here : here + far[event.key];
        if (to >= 0 && to < count) this.point(to);
      } else if (event.key === "Home") this.point(0);
      else if (event.key === "End") this.point(count - 1);
      else if (event.key === "Enter" || event.key === " ") this.choose(here);
      else if (event.key === "x") this.toggle(here);
      else return;
      event.preventDefault();
    });
  }

  /** The tile that a key acts on. */
  get here() {
    const tile = this.marks.active ?? this.marks.chosen ?? 0;
    return tile < this.tiles.count ? tile : 0;
  }

  /** The tile under the pointer, or null. */
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const [height, width] = this.tiles.shape;
    const place = (at, length, pixels, size) => Math.floor((at / length) * (pixels / size));
    const [across, down] = [this.tiles.canvas.width + 1, this.tiles.canvas.height + 1];
    const column = place(event.clientX - box.left, box.width, across, width + 1);
    const row = place(event.clientY - box.top, box.height, down, height + 1);
    const tile = row * this.tiles.columns + column;
    const inside = column >= 0 && column < this.tiles.columns && row >= 0;
    return inside && tile < this.tiles.count ? tile : null;
  }

  paint(bytes, factors) {
    this.tiles.paint(bytes, factors);
    this.draw();
  }

  /** Put the tiles on the screen, each of its pixels as it is, and the marks upon them. */
  draw() {
    const scale = devicePixelRatio;
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    if (!width) return;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    const context = this.canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(this.tiles.canvas, 0, 0, this.canvas.width, this.canvas.height);
    const { chosen, active, dead, off, highlighted } = this.marks;
    for (let tile = 0; tile < this.tiles.count; tile++) {
      if (off?.(tile)) this.strike(context, tile, scale, true);
      else if (dead?.(tile)) this.strike(context, tile, scale, false);
      if (highlighted?.(tile)) this.frame(context, tile, scale, "#E69F00", 2);
    }
    if (chosen != null) this.frame(context, chosen, scale, "#D55E00", 3);
    if (active != null) this.frame(context, active, scale, "#000", 2);
    this.tell();
  }

  /** Place and size of a tile in pixels of the screen. */
  box(tile) {
    const factor = this.canvas.width / this.tiles.canvas.width;
    const [height, width] = this.tiles.shape;
    return [...this.tiles.corner(tile), width, height].map((length) => length * factor);
  }

  frame(context, tile, scale, color, width) {
    if (tile >= this.tiles.count) return;
    const [x, y, w, h] = this.box(tile);
    for (const [style, thick] of [["#fff", width + 2], [color, width]]) {
      const line = thick * scale;
      Object.assign(context, { strokeStyle: style, lineWidth: line });
      context.strokeRect(x + line / 2, y + line / 2, w - line, h - line);
    }
  }

  /** A cross for a dead unit; for one that is off, stripes over a gray ground. */
  strike(context, tile, scale, off) {
    const [x, y, w, h] = this.box(tile);
    const path = new Path2D();
    for (const share of off ? [-0.5, 0, 0.5] : [0]) {
      path.moveTo(x + w * Math.max(share, 0), y + h * Math.max(-share, 0));
      path.lineTo(x + w * Math.min(1 + share, 1), y + h * Math.min(1 - share, 1));
    }
    if (off) {
      context.fillStyle = "#bbbd";
      context.fillRect(x, y, w, h);
    } else {
      path.moveTo(x + w, y);
      path.lineTo(x, y + h);
    }
    for (const [style, width] of [["#fff", 3], ["#222", 1.2]]) {
      Object.assign(context, { strokeStyle: style, lineWidth: width * scale });
      context.stroke(path);
    }
  }

  /** Tell a screen reader which tile is pointed at. */
  tell() {
    const { active, chosen } = this.marks;
    if (active == null) return this.element.removeAttribute("aria-activedescendant");
    const cell = this.element.querySelector(`#${this.id}-${active}`);
    cell.textContent = this.describe(active);
    cell.setAttribute("aria-selected", active === chosen);
    this.element.setAttribute("aria-activedescendant", cell.id);
  }

  close() {
    this.resized.disconnect();
  }
}

// ---------------------------------------------------------------------------------------------
// Charts

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 42, right: 74, bottom: 32 };
const LINE = 13; // height of a line of text
const measuring = document.createElement("canvas").getContext("2d");
measuring.font = "11px sans-serif";

const line = (x1, y1, x2, y2, kind) =>
  `<line class="${kind}" x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" ` +
  `y2="${y2.toFixed(1)}"/>`;
const text = (x, y, words, anchor = "start", kind = "") =>
  `<text class="${kind}" x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">` +
  `${escaped(words)}</text>`;

/** About four round numbers from 0 to `last`. */
function ticks(last) {
  const power = 10 ** Math.floor(Math.log10(last / 2));
  const step = [1, 2, 5, 10].map((f) => f * power).find((s) => last / s <= 5);
  return Array.from({ length: Math.floor(last / step + 1e-9) + 1 }, (_, i) => i * step);
}

/** An SVG picture as wide as the room that it has. */
class Chart {
  constructor(height, attributes, draw) {
    this.height = height;
    this.svg = document.createElementNS(SVG, "svg");
    const all = { class: "playground-chart", height, ...attributes };
    for (const [name, value] of Object.entries(all)) this.svg.setAttribute(name, value);
    this.draw = () => {
      this.width = this.svg.clientWidth || 260;
      if (this.data) this.svg.innerHTML = draw(this, this.data);
    };
    this.resized = new ResizeObserver(this.draw);
    this.resized.observe(this.svg);
  }

  show(data, label) {
    this.data = data;
    this.svg.setAttribute("aria-label", label);
    this.draw();
  }

  close() {
    this.resized.disconnect();
  }
}

/** The axis below, with its label. */
function floor(left, right, bottom, last, label) {
  const places = ticks(last).map((tick) => {
    const x = left + ((right - left) * tick) / last;
    return text(x, bottom + LINE, thousands(tick), "middle");
  });
  const name = text((left + right) / 2, bottom + 2 * LINE + 2, label, "middle");
  return line(left, bottom, right, bottom, "axis") + places.join("") + name;
}

/** Marks of changed settings, their texts in up to three rows; the rest says it to a pointer. */
function rowsOfMarks(marks, x, left, right) {
  const ends = [[], [], []]; // of the texts in each row
  const placed = [...marks].reverse().map(([step, words]) => {
    const width = measuring.measureText(words).width + 6;
    const from = Math.min(Math.max(x(step) - width / 2, left), right - width);
    const row = ends.findIndex((row) => row.every(([a, b]) => from >= b || from + width <= a));
    if (row >= 0) ends[row].push([from, from + width]);
    return { x: x(step), from, row, words };
  });
  return { placed, rows: ends.filter((row) => row.length).length };
}

/** Each term of the loss over the steps, on a log axis. */
function drawCurves({ width, height }, { steps, curves, terms, marks }) {
  const [left, right, bottom] = [MARGIN.left, width - MARGIN.right, height - MARGIN.bottom];
  const last = Math.max(steps.at(-1) ?? 0, 1);
  const x = (step) => left + ((right - left) * step) / last;
  const { placed, rows } = rowsOfMarks(marks, x, left, right);
  const top = 8 + rows * LINE;
  const positive = Object.values(curves).flatMap((values) => [...values].filter((v) => v > 0));
  const high = Math.ceil(Math.log10(Math.max(...positive, 1e-9)) + 1e-9);
  const low = Math.max(Math.min(Math.floor(Math.log10(Math.min(...positive))), high - 1), high - 5);
  const y = (v) => {
    const share = (Math.log10(Math.max(v, 10 ** low)) - low) / (high - low);
    return bottom - (bottom - top) * share;
  };
  const parts = [floor(left, right, bottom, last, "step")];
  for (let power = low; power <= high; power++) {
    const height = y(10 ** power);
    parts.push(line(left, height, right, height, "grid"));
    parts.push(text(left - 4, height + 4, `${Number((10 ** power).toPrecision(1))}`, "end"));
  }
  const labels = [];
  for (const [key, { label, color, dashes }] of Object.entries(terms)) {
    if (!curves[key]?.length) continue;
    parts.push(curve(steps, curves[key], x, y, color, dashes));
    const now = curves[key].at(-1);
    labels.push({ y: now > 0 ? y(now) : bottom, words: now > 0 ? label : `${label} off` });
  }
  parts.push(...apart(labels, bottom).map((l) => text(right + 4, l.y + 4, l.words, "start", "label")));
  for (const { x, from, row, words } of placed) {
    const title = `<title>${escaped(words)}</title>`;
    parts.push(`<g>${line(x, top - 4, x, bottom, "mark")}${title}</g>`);
    if (row >= 0) parts.push(text(from + 3, (row + 1) * LINE - 2, words, "start", "mark-text"));
  }
  return parts.join("");
}

/** A line through the points where a term is on, in pieces; a lone point is a dot. */
function curve(steps, values, x, y, color, dashes) {
  let path = "";
  let pen = false;
  values.forEach((value, i) => {
    if (value > 0) {
      const point = `${x(steps[i]).toFixed(1)} ${y(value).toFixed(1)}`;
      path += pen ? `L${point}` : `M${point}h0`;
    }
    pen = value > 0;
  });
  const ink = color === "#000000" ? "currentColor" : color; // black would be lost on a dark page
  return `<path class="curve" d="${path}" stroke="${ink}" stroke-dasharray="${dashes.join(" ")}"/>`;
}

/** Move labels downwards until none overlaps; those that left the picture push upwards again. */
function apart(labels, bottom) {
  labels.sort((a, b) => a.y - b.y);
  for (let i = 1; i < labels.length; i++) {
    labels[i].y = Math.max(labels[i].y, labels[i - 1].y + LINE);
  }
  let limit = bottom;
  for (const label of [...labels].reverse()) {
    label.y = Math.min(label.y, limit);
    limit = label.y - LINE;
  }
  return labels;
}

/** Bars of counts from 0 to `upper`; one may be chosen, and a target marked. */
function drawBars({ width, height }, { counts, upper, label, target, chosen, log }) {
  const [left, right, top, bottom] = [MARGIN.left, width - 12, 16, height - MARGIN.bottom];
  const most = Math.max(...counts, 1);
  const size = log ? (count) => Math.log1p(count) / Math.log1p(most) : (count) => count / most;
  const bar = (right - left) / counts.length;
  const parts = [floor(left, right, bottom, upper, label)];
  counts.forEach((count, i) => {
    const length = (bottom - top) * size(count);
    const kind = i === chosen ? "bar chosen" : "bar";
    parts.push(
      `<rect class="${kind}" x="${(left + i * bar).toFixed(1)}" y="${(bottom - length).toFixed(1)}" ` +
        `width="${bar.toFixed(1)}" height="${length.toFixed(1)}"/>`,
    );
    if (i === chosen) parts.push(line(left + (i + 0.5) * bar, top - 6, left + (i + 0.5) * bar, bottom, "mark"));
  });
  parts.push(text(left - 4, top + 8, thousands(most), "end"), text(left - 4, bottom, "0", "end"));
  if (target != null) {
    const x = left + ((right - left) * target) / upper;
    parts.push(line(x, top - 4, x, bottom, "target"));
    const anchor = x > (left + right) / 2 ? "end" : "start";
    parts.push(text(x + (anchor === "end" ? -4 : 4), top - 4, `target ρ ${rounded(target)}`, anchor));
  }
  return parts.join("");
}

/** A histogram of which a bar can be chosen, by pointer or by arrow keys. */
class Histogram {
  constructor(changed) {
    this.bins = 50;
    this.chosen = null;
    this.chart = new Chart(132, { role: "slider", tabindex: 0, "aria-valuemin": 1 }, drawBars);
    this.words = make("div", { class: "playground-hint playground-bar-words" });
    this.choose = (bar) => {
      this.chosen = bar;
      this.show(this.data);
      changed();
    };
    const { svg } = this.chart;
    svg.addEventListener("click", (event) => {
      const left = svg.getBoundingClientRect().left + MARGIN.left;
      const share = (event.clientX - left) / (this.chart.width - 12 - MARGIN.left);
      const bar = Math.floor(share * this.bins);
      this.choose(bar < 0 || bar >= this.bins || bar === this.chosen ? null : bar);
    });
    svg.addEventListener("keydown", (event) => {
      const far = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
      if (event.key === "Escape") this.choose(null);
      else if (far) this.choose(this.next(far));
      else return;
      event.preventDefault();
    });
  }

  /** The next bar in this direction that is not empty; the keys start at the fullest one. */
  next(far) {
    if (this.chosen === null) return this.counts.indexOf(Math.max(...this.counts));
    let bar = this.chosen + far;
    while (bar >= 0 && bar < this.bins && !this.counts[bar]) bar += far;
    return this.counts[bar] ? bar : this.chosen;
  }

  bin(value) {
    return Math.min(Math.max(Math.floor((value / this.data.upper) * this.bins), 0), this.bins - 1);
  }

  /** Whether the chosen bar holds the thing with this number. */
  holds(number) {
    return this.chosen !== null && this.bin(this.data.values[number]) === this.chosen;
  }

  show(data) {
    this.data = data;
    this.counts = new Array(this.bins).fill(0);
    for (const value of data.values) this.counts[this.bin(value)] += 1;
    const { counts, chosen } = this;
    const { upper, label, counted, target, of } = data;
    this.chart.show({ counts, upper, label, target, chosen }, `${label}: a histogram of ${counted}`);
    const [from, to] = [chosen, chosen + 1].map((edge) => rounded((edge / this.bins) * upper));
    const marked = of === "units" ? ", framed in the mosaic" : "";
    const words = `${from} to ${to}: ${counts[chosen]} ${counted}${marked}`;
    this.words.textContent = chosen === null ? "Choose a bar to see what it counts." : words;
    const { svg } = this.chart;
    svg.setAttribute("aria-valuemax", this.bins);
    svg.setAttribute("aria-valuenow", chosen === null ? 1 : chosen + 1);
    svg.setAttribute("aria-valuetext", chosen === null ? "no bar chosen" : words);
  }
}

// ---------------------------------------------------------------------------------------------
// The closer looks

/** A unit at close quarters: its feature, its activations, and what excites it most. */
class UnitPanel {
  constructor({ shape, units }, { look, toggle }) {
    this.feature = new Tiles(1, 1, shape, DIVERGING);
    this.strongest = new Tiles(9, 3, shape, GRAY);
    this.number = numberField("Unit", units - 1, look);
    this.switch = make("button", { class: "playground-switch", onclick: () => toggle(this.unit) });
    this.chart = new Chart(122, { role: "img" }, drawBars);
    this.strongest.canvas.classList.add("playground-strongest");
    this.number.classList.add("playground-unit");
    this.look = [
      this.feature.canvas,
      this.strongest.canvas,
      make("div", { class: "playground-wide" }, this.chart.svg),
    ];
    this.words = hint("");
    const column = make("div", { class: "playground-column" }, this.number, this.words, this.switch);
    this.element = make("div", { class: "playground-row" }, column, ...this.look);
  }

  show({ unit, hyperparameters, off }, { unit_feature, unit_images, unit_counts }) {
    for (const part of [...this.look, this.switch]) part.hidden = !unit;
    this.element.dataset.unit = unit ? unit.number : "";
    if (!unit) {
      this.words.textContent = "Click a feature, or give its number, to look closer.";
      return;
    }
    this.unit = unit.number;
    this.number.show(unit.number);
    this.feature.paint(unit_feature);
    this.strongest.paint(unit_images);
    const { rho } = hyperparameters;
    const isOff = off.includes(unit.number);
    const facts = [
      `Mean activation ${unit.mean.toFixed(3)}${rho === undefined ? "" : ` against ρ ${rho}`}.`,
      `The nine images that excite it most: ${unit.strongest[0].toFixed(2)} to ` +
        `${unit.strongest.at(-1).toFixed(2)}.`,
      unit.dead && "Dead: no image makes it active.",
      isOff && "Switched off in what is shown.",
    ];
    this.words.textContent = facts.filter(Boolean).join(" ");
    this.switch.textContent = isOff ? "Switch on" : "Switch off";
    const label = "its activation (log count)";
    const data = { counts: [...unit_counts], upper: unit.upper || 1, label, log: true };
    this.chart.show(data, `Histogram of the activations of unit ${unit.number}`);
  }
}

/** Which units draw a reconstruction. */
class ExplainPanel {
  constructor({ shape }, { look }) {
    Object.assign(this, { shape, look, units: "" });
    this.words = hint("Click a reconstruction to see which units draw it.");
    this.parts = make("div", { class: "playground-row" });
    this.element = make("div", {}, this.words, this.parts);
  }

  show({ explained }, { explain_features: features }) {
    this.parts.hidden = !explained;
    if (!explained) return;
    const { image, units, activations } = explained;
    if (this.units !== units.join()) {
      this.units = units.join();
      this.tiles = units.map(() => new Tiles(1, 1, this.shape, DIVERGING));
      this.parts.replaceChildren(...units.map((unit, i) => this.part(unit, i)));
    }
    const size = this.shape[0] * this.shape[1];
    this.tiles.forEach((tile, i) => {
      tile.paint(features.subarray(i * size, (i + 1) * size));
      this.parts.children[i].lastChild.textContent = activations[i].toFixed(2);
    });
    this.words.textContent = units.length
      ? `Image ${image} is drawn mostly by these units; below each, its activation.`
      : `No unit is active in image ${image}.`;
  }

  part(unit, i) {
    const about = { class: "playground-part", "aria-label": `look closer at unit ${unit}` };
    const button = make("button", { ...about, onclick: () => this.look(unit) });
    button.append(`unit ${unit}`, this.tiles[i].canvas, make("span"));
    return button;
  }
}

/** A pad to draw a digit on, with what the model makes of it. */
class DrawPanel {
  constructor({ shape, images }, { draw, look }) {
    Object.assign(this, { shape, draw });
    this.bytes = new Uint8Array(shape[0] * shape[1]);
    this.pad = new Tiles(1, 1, shape, GRAY);
    this.pad.canvas.classList.add("playground-pad");
    this.seen = new Tiles(1, 1, shape, GRAY);
    this.back = new Tiles(1, 1, shape, GRAY);
    this.code = new Chart(62, { role: "img", class: "playground-chart playground-code" }, drawCode);
    this.code.svg.addEventListener("click", (event) => {
      const unit = unitAt(this.code, event.clientX);
      if (unit !== null) look(unit);
    });
    this.number = numberField("image", images - 1, (image) => this.take(image));
    const take = make("button", { class: "playground-take", onclick: () => this.take() }, "Take");
    const clear = make("button", { class: "playground-clear", onclick: () => this.clear() }, "Clear");
    const figure = (tiles, words) => make("figure", {}, tiles.canvas, make("figcaption", {}, words));
    this.result = make(
      "div",
      { class: "playground-row" },
      figure(this.seen, "as it is seen"),
      figure(this.back, "reconstruction"),
    );
    const words = hint("Draw a digit. It is centred and scaled, as MNIST's are. Or take an image:");
    const tools = make("div", { class: "playground-row" }, this.number, take, clear);
    const column = make("div", { class: "playground-column" }, words, tools);
    const row = make("div", { class: "playground-row" }, this.pad.canvas, column, this.result);
    this.element = make("div", {}, row, this.code.svg);
    this.pad.paint(this.bytes);
    this.listen(this.pad.canvas);
  }

  listen(canvas) {
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.last = null;
      this.stroke(event);
      event.preventDefault();
    });
    canvas.addEventListener("pointermove", (event) => event.buttons && this.stroke(event));
  }

  /** A soft brush from where the pointer was to where it is. */
  stroke(event) {
    const box = this.pad.canvas.getBoundingClientRect();
    const [height, width] = this.shape;
    const to = {
      x: ((event.clientX - box.left) / box.width) * width - 0.5,
      y: ((event.clientY - box.top) / box.height) * height - 0.5,
    };
    const from = this.last ?? to;
    const parts = Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / 0.5) || 1;
    const radius = (1.9 * height) / 28;
    for (let i = 1; i <= parts; i++) {
      const x = from.x + ((to.x - from.x) * i) / parts;
      const y = from.y + ((to.y - from.y) * i) / parts;
      this.bytes.forEach((byte, at) => {
        const far = Math.hypot((at % width) - x, Math.floor(at / width) - y);
        const ink = 255 * Math.min(Math.max(radius - far, 0), 1);
        if (ink > byte) this.bytes[at] = ink;
      });
    }
    this.last = to;
    this.pad.paint(this.bytes);
    this.draw({}, [this.bytes.slice()]);
  }

  take(image = Number(this.number.input.value)) {
    this.bytes.fill(0);
    this.pad.paint(this.bytes);
    this.draw({ image });
  }

  clear() {
    this.bytes.fill(0);
    this.pad.paint(this.bytes);
    this.draw({ clear: true });
  }

  show({ drawn }, { drawn: seen, drawn_reconstruction: back, drawn_code: code }) {
    this.result.hidden = !drawn;
    this.code.svg.toggleAttribute("hidden", !drawn);
    if (!drawn) return;
    this.seen.paint(seen);
    this.back.paint(back);
    const order = [...code.keys()].sort((a, b) => code[b] - code[a]).slice(0, 3);
    const strongest = order.map((unit) => `unit ${unit} ${code[unit].toFixed(2)}`).join(", ");
    this.code.show({ code, strongest }, `Its code; strongest: ${strongest}`);
  }
}

const CODE = { left: 8, right: 8, top: 18, bottom: 18 };

/** The code as bars, a unit each, the strongest named. */
function drawCode({ width, height }, { code, strongest }) {
  const step = (width - CODE.left - CODE.right) / code.length;
  const zero = height - CODE.bottom;
  const most = Math.max(...code, 1e-9);
  let path = "";
  code.forEach((value, i) => {
    const length = (Math.max(value, 0) / most) * (zero - CODE.top);
    path += `M${(CODE.left + (i + 0.5) * step).toFixed(1)} ${zero}v${(-length).toFixed(1)}`;
  });
  return (
    `<path class="code" d="${path}" stroke-width="${Math.max(step * 0.8, 1).toFixed(1)}"/>` +
    line(CODE.left, zero, width - CODE.right, zero, "axis") +
    text(CODE.left, 11, `strongest: ${strongest}`) +
    text(width / 2, height - 4, `its code: ${code.length} units`, "middle")
  );
}

/** The unit whose bar is there, or null. */
function unitAt({ svg, width, data }, clientX) {
  const across = clientX - svg.getBoundingClientRect().left - CODE.left;
  const unit = Math.floor((across / (width - CODE.left - CODE.right)) * data.code.length);
  return unit >= 0 && unit < data.code.length ? unit : null;
}

const hint = (words) => make("span", { class: "playground-hint" }, words);

/** A labelled whole number from 0 to `last`; what is none goes back to what it was. */
function numberField(label, last, changed) {
  const input = make("input", { type: "number", min: 0, max: last, step: 1, value: 0 });
  const field = make("label", { title: `0 to ${last}` }, `${label} `, input);
  let before = "0";
  input.addEventListener("change", () => {
    const value = Number(input.value);
    const fits = input.value !== "" && Number.isInteger(value) && value >= 0 && value <= last;
    if (fits) changed(value);
    else field.refused(`${label} is a whole number from 0 to ${last}.`);
    before = input.value = fits ? value : before;
  });
  field.input = input;
  field.refused = () => {};
  field.show = (value) => {
    if (document.activeElement !== input) before = input.value = value;
  };
  return field;
}

/** Panels of which one is shown, behind tabs. */
class Tabs {
  constructor(panels) {
    this.bar = make("div", { class: "playground-tabs", role: "tablist" });
    this.panels = Object.entries(panels).map(([name, element]) => {
      const id = `playground-${(names += 1)}`;
      const open = () => this.open(name);
      const tab = make("button", { role: "tab", "aria-controls": id, onclick: open }, name);
      const panel = make("div", { role: "tabpanel", id, "aria-label": name }, element);
      this.bar.append(tab);
      return { name, tab, panel };
    });
    this.bar.addEventListener("keydown", (event) => {
      const far = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const here = this.panels.findIndex(({ tab }) => tab === document.activeElement);
      const next = far && this.panels[here + far];
      if (next) this.open(next.name).focus();
    });
    this.element = make("div", { class: "playground-look" }, this.bar);
    this.element.append(...this.panels.map(({ panel }) => panel));
    this.open(this.panels[0].name);
  }

  open(wanted) {
    for (const { name, tab, panel } of this.panels) {
      panel.hidden = name !== wanted;
      tab.setAttribute("aria-selected", name === wanted);
      tab.tabIndex = name === wanted ? 0 : -1;
    }
    return this.panels.find(({ name }) => name === wanted).tab;
  }
}

// ---------------------------------------------------------------------------------------------
// The whole

/** The playground in a page. */
class Playground {
  constructor(model, el) {
    this.el = el;
    this.parts = []; // what has to be closed
    this.clock = new Clock(model, el, () => this.receive(), () => this.say());
    this.ask = (content, buffers) => this.clock.ask(content, buffers);
    this.status = make("div", { class: "playground-status" });
    this.spoken = make("div", { class: "playground-heard", role: "status" });
    this.toolbar = make("div", { class: "playground-toolbar", role: "toolbar" });
    this.pictures = make("div", { class: "playground-pictures" });
    el.append(this.toolbar, this.status, this.spoken, this.pictures);
    this.panel = el.closest(".course-panel") ?? el;
    this.listen();
    this.ask({ do: "hello" });
    const first = model.get("first");
    if (first && !this.clock.frame) this.clock.take(first.content, first.buffers);
    this.say();
  }

  listen() {
    const touch = (event) => this.clock.touch(!this.el.contains(event.target));
    const drag = (event) => event.buttons && touch(event);
    const kinds = { pointerdown: touch, keydown: touch, input: touch, pointermove: drag };
    for (const [kind, action] of Object.entries(kinds)) {
      this.panel.addEventListener(kind, action, true);
      this.parts.push({ close: () => this.panel.removeEventListener(kind, action, true) });
    }
    const fit = () => this.fit();
    const resized = new ResizeObserver(fit);
    for (const element of [this.toolbar, this.status, this.panel]) resized.observe(element);
    addEventListener("resize", fit);
    const beat = setInterval(() => this.speak(), BEAT);
    this.parts.push({
      close() {
        resized.disconnect();
        removeEventListener("resize", fit);
        clearInterval(beat);
      },
    });
  }

  close() {
    this.clock.close();
    cancelAnimationFrame(this.drawing);
    for (const part of this.parts) part.close();
    this.el.replaceChildren();
  }

  /** The pictures scroll in the room that the controls leave, so that these stay in sight. */
  fit() {
    let room = document.documentElement.clientHeight;
    for (let around = this.panel.parentElement; around; around = around.parentElement) {
      const { overflowY } = getComputedStyle(around);
      if (/auto|scroll/.test(overflowY) && around.clientHeight < around.scrollHeight - 1) {
        room = Math.min(room, around.clientHeight);
      }
    }
    const top = this.panel.getBoundingClientRect().top;
    const controls = this.pictures.getBoundingClientRect().top - top;
    this.pictures.style.maxHeight = `${Math.max(room - controls - 12, 240)}px`;
    for (const mosaic of this.mosaics ?? []) mosaic.draw(); // the zoom may have changed
  }

  receive() {
    const { setup } = this.clock.frame;
    if (setup && this.built !== JSON.stringify(setup)) this.build(setup);
    if (!setup) return;
    this.drawing ??= requestAnimationFrame(() => {
      this.drawing = undefined;
      this.draw();
    });
    this.say();
  }

  build(setup) {
    this.built = JSON.stringify(setup);
    setup = { ...setup, shape: setup.image_shape };
    this.setup = setup;
    this.buildToolbar(setup);
    this.buildMosaics(setup);
    this.histogram = new Histogram(() => this.mark());
    const look = (unit) => this.look(unit);
    const hands = { look, toggle: (unit) => this.toggle(unit), draw: (how, bytes) => this.ask({ do: "draw", ...how }, bytes) };
    this.unit = new UnitPanel(setup, hands);
    this.explain = new ExplainPanel(setup, hands);
    this.pad = new DrawPanel(setup, hands);
    this.unit.number.refused = (words) => this.refuse(words);
    this.tabs = new Tabs({
      Unit: this.unit.element,
      Reconstruction: this.explain.element,
      "Draw a digit": this.pad.element,
    });
    this.curves = new Chart(152, { role: "img" }, drawCurves);
    this.counted = make("b");
    const charts = [
      make("div", { class: "playground-wide" }, make("b", {}, "The terms of the loss"), this.curves.svg),
      make("div", { class: "playground-wide" }, this.counted, this.histogram.chart.svg, this.histogram.words),
    ];
    this.pictures.replaceChildren(
      this.featureColumn(setup),
      this.old.element,
      make("div", { class: "playground-side" }, this.strip, make("div", { class: "playground-row" }, ...charts), this.tabs.element),
    );
    this.parts.push(...this.mosaics, this.curves, this.histogram.chart, this.unit.chart, this.pad.code);
  }

  buildToolbar({ speeds, presets, seed }) {
    const button = (name, title, action, ...children) =>
      make("button", { class: `playground-${name}`, title, onclick: action }, ...children);
    const choice = (name, label, options, action) => {
      const select = make("select", { onchange: () => action(select.value) });
      select.append(...options.map((option) => make("option", {}, option)));
      return make("label", { class: `playground-${name}` }, `${label} `, select);
    };
    const train = () => this.ask({ do: "train", on: !this.clock.trains });
    this.trainButton = button("train", "Train or pause", train);
    this.stepButton = button("step", "Take one training step", () => this.ask({ do: "step" }), "Step");
    const back = "Start again from the first weights";
    this.seed = numberField("Seed", 999, (number) => this.ask({ do: "reset", seed: number }));
    this.seed.classList.add("playground-seed");
    this.seed.refused = (words) => this.refuse(words);
    this.seed.show(seed);
    this.speed = choice("speed", "Speed", speeds, (speed) => this.ask({ do: "speed", speed }));
    this.preset = choice("preset", "Preset", ["choose", ...presets], (preset) => {
      this.preset.lastChild.value = "choose";
      if (presets.includes(preset)) this.ask({ do: "preset", preset });
    });
    this.snapshotButton = button("snapshot", "Keep this state for comparison", () =>
      this.ask({ do: "snapshot", on: !this.clock.frame.snapshot }),
    );
    this.toolbar.replaceChildren(
      this.trainButton,
      this.stepButton,
      button("reset", back, () => this.ask({ do: "reset" }), "Reset"),
      this.seed,
      this.speed,
      this.preset,
      this.snapshotButton,
    );
  }

  buildMosaics({ tiles, columns, shape, images }) {
    const hands = {
      describe: (unit) => this.describe(unit),
      choose: (unit) => this.look(unit),
      toggle: (unit) => this.toggle(unit),
      point: (unit) => this.point(unit),
    };
    const grid = { count: tiles, columns, shape, table: DIVERGING, ...hands };
    this.features = new Mosaic({ label: "features", ...grid });
    const old = new Mosaic({ label: "features of the snapshot", ...grid });
    const words = make("div", { class: "playground-hint" });
    const head = make("div", { class: "playground-head" }, make("b", {}, "Snapshot"));
    const element = make("div", { class: "playground-old" }, head, old.element, words);
    this.old = { features: old, element, words };
    const row = (name, label, choose) => {
      const mosaic = new Mosaic({
        ...{ label, count: images, columns: images, shape, table: GRAY, choose },
        describe: (image) => `${name} ${image}`,
        point: (image) => this.pointAtImage(mosaic, image),
      });
      mosaic.element.classList.add(`playground-${name}s`);
      return mosaic;
    };
    const explain = (image) => {
      this.ask({ do: "explain", image });
      this.tabs.open("Reconstruction");
    };
    this.originals = row("original", "originals; Enter takes one to the pad", (image) => {
      this.pad.take(image);
      this.tabs.open("Draw a digit");
    });
    this.images = row("reconstruction", "reconstructions; Enter explains one", explain);
    this.old.images = row("old-reconstruction", "reconstructions of the snapshot", explain);
    this.rows = [this.originals, this.images, this.old.images];
    this.mosaics = [this.features, old, ...this.rows];
    this.strip = make("div", { class: "playground-strip" });
    ["originals", "reconstructions", "before"].forEach((name, i) => {
      this.strip.append(make("span", { class: "playground-hint" }, name), this.rows[i].element);
    });
  }

  featureColumn({ tiles }) {
    const repaint = () => this.paintFeatures();
    this.common = make("input", { type: "checkbox", onchange: repaint });
    this.allOn = make("button", { class: "playground-all-on", onclick: () => this.ask({ do: "switch", all: true }) }, "Switch all on");
    const scale = make("label", { class: "playground-common-scale" }, this.common, " one scale for all");
    this.readout = make("div", { class: "playground-hint playground-readout" });
    const head = make("div", { class: "playground-head" }, make("b", {}, `${tiles} features`), scale, this.allOn);
    return make("div", { class: "playground-features" }, head, this.features.element, this.readout);
  }

  // What a hand does

  look(unit) {
    this.ask({ do: "look", unit });
    this.chosen = unit;
    this.tabs.open("Unit");
    this.mark();
  }

  toggle(unit) {
    this.ask({ do: "switch", unit, on: this.clock.frame.off.includes(unit) });
  }

  point(unit) {
    this.active = unit;
    this.mark();
  }

  pointAtImage(row, image) {
    row.marks.active = image;
    row.draw();
  }

  refuse(words) {
    this.refused = words;
    this.say();
    this.refused = "";
  }

  // What is shown

  draw() {
    const { frame, arrays } = this.clock;
    if (!this.clock.asks("look")) this.chosen = frame.unit?.number ?? null;
    this.old.element.hidden = !frame.snapshot;
    for (const element of [this.strip.children[4], this.strip.children[5]]) {
      element.hidden = !frame.snapshot;
    }
    this.old.words.textContent = frame.snapshot?.words ?? "";
    if (arrays.features) this.paintFeatures();
    if (arrays.originals) this.originals.paint(arrays.originals);
    if (arrays.reconstructions) {
      this.images.marks.chosen = frame.explained?.image;
      this.images.paint(arrays.reconstructions);
    }
    if (frame.snapshot) this.old.images.paint(arrays.old_reconstructions);
    this.allOn.hidden = !frame.off.length;
    this.drawCharts(frame, arrays);
    this.unit.show(frame, arrays);
    this.explain.show(frame, arrays);
    this.pad.show(frame, arrays);
    this.mark();
  }

  drawCharts({ marks, histogram }, arrays) {
    if (!arrays.curve_steps) return;
    const { terms } = this.setup;
    const curves = {};
    for (const key of Object.keys(terms)) {
      if (arrays[`curve_${key}`]) curves[key] = [...arrays[`curve_${key}`]];
    }
    this.curves.show({ steps: [...arrays.curve_steps], curves, terms, marks }, "The terms of the loss over the training steps, on a log axis");
    this.counted.textContent = `${histogram.label[0].toUpperCase()}${histogram.label.slice(1)}`;
    this.histogram.show({ ...histogram, values: arrays.values });
  }

  /** Features, of now and of the snapshot, each by its own maximum or all by the largest. */
  paintFeatures() {
    const { frame, arrays } = this.clock;
    const { scales, old_scales: oldScales } = arrays;
    const all = frame.snapshot ? [...scales, ...oldScales] : scales;
    const most = Math.max(...all, 1e-12);
    const factors = (each) => (this.common.checked ? each.map((scale) => scale / most) : undefined);
    this.features.paint(arrays.features, factors(scales));
    if (frame.snapshot) this.old.features.paint(arrays.old_features, factors(oldScales));
  }

  /** Which units are chosen, pointed at, dead, off or counted by the chosen bar. */
  mark() {
    const { frame, arrays } = this.clock;
    const { chosen, active, histogram } = this;
    const off = new Set(frame.off);
    const common = { chosen, active, off: (unit) => off.has(unit) };
    const ofUnits = frame.histogram?.of === "units" && histogram.data;
    this.features.marks = {
      ...common,
      dead: (unit) => arrays.dead?.[unit],
      highlighted: (unit) => ofUnits && histogram.holds(unit),
    };
    this.old.features.marks = { ...common, dead: (unit) => arrays.old_dead?.[unit] };
    this.features.draw();
    if (frame.snapshot) this.old.features.draw();
    const words = active == null ? "× dead unit. Click a feature to look closer; x switches it off." : this.describe(active);
    this.readout.textContent = words[0].toUpperCase() + words.slice(1);
  }

  describe(unit) {
    const { frame, arrays } = this.clock;
    const facts = [`unit ${unit}`];
    if (arrays.means) facts.push(`mean activation ${rounded(arrays.means[unit])}`);
    if (arrays.dead?.[unit]) facts.push("dead");
    if (frame.off.includes(unit)) facts.push("switched off");
    return facts.join(", ");
  }

  /** Say how it stands, and what can be pressed. */
  say() {
    const { frame, waiting, broken, trains } = this.clock;
    this.toolbar.classList.toggle("gone", !!broken);
    for (const part of this.el.querySelectorAll("button, input, select")) part.disabled = !!broken;
    if (!frame?.setup) {
      this.status.textContent = waiting || "Starting.";
      return;
    }
    const { figures, hyperparameters, validation_images: count = this.setup.validation_images } = frame;
    const state = broken ? "gone" : waiting && waiting !== this.clock.note ? "waiting" : frame.state;
    for (const [name, value] of Object.entries({ state, ...figures, ...hyperparameters })) {
      this.status.setAttribute(`data-${name.replaceAll("_", "-")}`, value);
    }
    const note = this.refused || waiting || frame.note || (trains ? "Training." : "");
    const small = make("small", {}, `on ${thousands(count)} validation images`);
    this.words = `${frame.words.replace(/\.?$/, ".")} ${note}`;
    this.status.replaceChildren(`${frame.words.replace(/\.?$/, ".")} `, make("b", {}, note), " ", small);
    const kind = trains ? "Pause" : "Train";
    if (this.trainButton.dataset.does !== kind) {
      this.trainButton.dataset.does = kind;
      this.trainButton.innerHTML = `${ICONS[kind]} ${kind}`;
    }
    const unable = !!broken || frame.state === "broken";
    this.stepButton.disabled = unable;
    this.trainButton.disabled = unable && (!!broken || !trains);
    this.snapshotButton.textContent = frame.snapshot ? "Forget snapshot" : "Snapshot";
    this.snapshotButton.setAttribute("aria-pressed", !!frame.snapshot);
    this.seed.show(frame.seed);
    if (!this.clock.asks("speed")) this.speed.lastChild.value = frame.speed;
  }

  /** Tell a screen reader how it stands, politely and now and then. */
  speak() {
    const words = this.words ?? this.status.textContent;
    if (words === this.spoken.textContent || performance.now() - (this.spokenAt ?? -SPOKEN) < SPOKEN) {
      return;
    }
    this.spokenAt = performance.now();
    this.spoken.textContent = words;
  }
}

const icon = (path) => `<svg viewBox="0 0 10 10" aria-hidden="true"><path d="${path}"/></svg>`;
const ICONS = { Train: icon("M1 0L10 5L1 10Z"), Pause: icon("M1 0H4V10H1ZM6 0H9V10H6Z") };

export default {
  /** @param {{model: object, el: HTMLElement}} options as anywidget gives them. */
  render({ model, el }) {
    el.classList.add("course-view");
    el.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab's keys: x cuts a cell
    const view = new Playground(model, el);
    return () => view.close();
  },
};
