/**
 * What answers the playground's view in a page without Python: the requests and frames of
 * PROTOCOL.md, as session.py and frames.py answer them in a notebook. It runs in a Web Worker.
 */

import { centred } from "./digit.js";
import { inWords, rounded } from "./settings.js";
import { NotFinite, Training } from "./training.js";

const VERSION = 1;
const READY = "Ready: press Train.";
const SLOW = 100; // milliseconds of measuring; then an answer may seem overdue

const thousands = (number) => number.toLocaleString("en-US");

/** Numbers from 0 to 1 as bytes; what lies outside is cut off. */
function gray(values) {
  const bytes = new Uint8ClampedArray(values.length); // which rounds
  for (let i = 0; i < values.length; i++) bytes[i] = 255 * values[i];
  return new Uint8Array(bytes.buffer);
}

/** Rows of weights as bytes, 128 + 127·w/max|w|, and these maxima. */
function scaled(rows, pixels) {
  const bytes = new Uint8ClampedArray(rows.length);
  const scales = new Float32Array(rows.length / pixels);
  for (let row = 0, from = 0; row < scales.length; row++, from += pixels) {
    let most = 0;
    for (let i = from; i < from + pixels; i++) most = Math.max(most, Math.abs(rows[i]));
    const factor = 127 / Math.max(most, 1e-12);
    for (let i = from; i < from + pixels; i++) bytes[i] = 128 + factor * rows[i];
    scales[row] = most;
  }
  return [new Uint8Array(bytes.buffer), scales];
}

export class Engine {
  /**
   * @param {object} config of the page: see tools/live.py.
   * @param {Training} training
   * @param {function} send of a message's content and its list of buffers.
   * @param {function} clock gives the milliseconds since some moment.
   */
  constructor(config, training, send, clock = () => performance.now()) {
    Object.assign(this, { config, training, send, clock, note: READY, speed: "normal" });
    Object.assign(this, { playing: false, broken: false, view: null });
    Object.assign(this, { unit: null, image: null, draws: false, snapshot: null, old: {} });
    this.ms = { train: 0, measure: 0 };
    this.sliders = Object.keys(training.hyperparameters).filter((name) => name !== "learning_rate");
    const presets = { "this page's settings": training.hyperparameters, ...config.presets };
    this.presets = Object.fromEntries(Object.entries(presets)
      .filter(([, values]) => this.sliders.every((name) => name in values))
      .map(([title, values]) =>
        [title, Object.fromEntries(this.sliders.map((name) => [name, rounded(values[name])]))]));
    this.touched = this.asked = clock();
    this.measure();
  }

  get state() {
    return this.broken ? "broken" : this.playing ? "training" : "paused";
  }

  /** Do what a message of the view asks, and send the one frame that answers it. */
  answer(request, buffers = []) {
    if (request.v !== VERSION) {
      this.say("Load the page again: its parts are of different versions.");
      return;
    }
    if (this.ms.measure > SLOW) this.say(this.playing ? "Training." : "Working.");
    try {
      this.notice(request);
      this.obey(request, buffers);
      this.measure();
    } catch (error) {
      this.playing = false;
      this.broken ||= error instanceof NotFinite;
      this.note = `Paused: ${error.message}`;
    }
    this.sendFrame(request);
  }

  /** Who asked, and when. */
  notice(request) {
    const now = this.clock();
    if (request.do !== "tick" || request.touched) this.touched = now;
    if (request.view === this.view) this.asked = now;
    else if (this.playing && now - this.asked > this.config.gone) {
      this.stop("Paused, since the view was closed. Train goes on.");
    }
  }

  obey(request, buffers) {
    const { training, presets } = this;
    const acts = {
      hello: () => {},
      tick: () => { if (this.playing && request.view === this.view) this.tick(request.hurry); },
      train: () => {
        if (!request.on) this.stop("Paused.");
        else if (!this.broken) {
          Object.assign(this, { playing: true, note: "", view: request.view, asked: this.clock() });
        }
      },
      step: () => {
        this.stop("Took one step.");
        training.train();
      },
      reset: () => {
        training.reset(request.seed ?? training.seed);
        this.broken = false;
        this.note = this.playing ? "" : "Back at the start.";
      },
      speed: () => { this.speed = known(request.speed, this.config.speeds, "speed"); },
      preset: () => training.set(presets[known(request.preset, presets, "preset")]),
      set: () => training.set(request.values),
      look: () => { this.unit = numbered("unit", request.unit, training.units); },
      switch: () => {
        if (request.all) training.off.clear();
        else {
          const unit = numbered("unit", request.unit, training.units);
          training.off[request.on ? "delete" : "add"](unit);
        }
      },
      explain: () => { this.image = numbered("image", request.image, this.config.pictured); },
      draw: () => this.draw(request, buffers[0]),
      snapshot: () => this.keep(request.on),
    };
    acts[known(request.do, acts, "request")]();
  }

  tick(hurry) {
    const { idle_minutes, hurry: short, speeds } = this.config;
    const began = this.clock();
    if (began - this.touched > 60000 * idle_minutes) {
      this.stop(`Paused: nothing was touched for ${idle_minutes} minutes.`);
      return;
    }
    const slice = hurry ? short : Math.max(speeds[this.speed], 1.5 * this.ms.measure);
    do this.training.train();
    while (this.speed !== "one step" && this.clock() - began < slice);
    this.ms.train = this.clock() - began;
  }

  stop(note) {
    this.playing = false;
    if (!this.broken) this.note = note;
  }

  measure() {
    const began = this.clock();
    const measured = this.training.measured;
    this.figures = this.training.measure();
    if (!measured) this.ms.measure = this.clock() - began;
    if (this.broken) { // the term that was too large is off, say
      this.broken = false;
      this.note = READY;
    }
  }

  draw({ image = null, clear = false }, drawn) {
    const { training, config: { image_shape: shape, pictured } } = this;
    const { pixels } = training;
    const size = drawn?.byteLength ?? 0;
    numbered("image", image, pictured);
    if (clear) training.drawing = new Float32Array(pixels);
    else if (image !== null) training.drawing = training.original(image);
    else if (size === pixels) {
      training.drawing = centred(new Uint8Array(drawn.buffer, drawn.byteOffset, pixels), shape);
    } else throw new Error(`the drawing has ${size} bytes, but an image ${pixels} pixels.`);
    this.draws = !clear;
  }

  // Messages

  say(note) {
    this.send({ v: VERSION, kind: "state", state: this.state, note }, []);
  }

  sendFrame(request) {
    // Of a loss that is not finite there is nothing to draw: the last figures stay.
    if (!this.broken) [this.content, this.arrays] = this.frame();
    const { config, training } = this;
    const content = {
      ...this.content, v: VERSION, kind: "frame", view: request.view ?? null, n: request.n ?? null,
      state: this.state, note: this.note, playing: this.playing, clock: this.view,
      speed: this.speed, wait: this.speed === "one step" ? config.one_step : 0,
      hyperparameters: { ...training.hyperparameters }, ms: { ...this.ms },
    };
    const arrays = this.broken ? {} : { ...this.arrays };
    if (["hello", "snapshot"].includes(request.do)) Object.assign(arrays, this.old);
    if (request.do === "hello") {
      content.setup = this.setup();
      arrays.originals = gray(training.shown.subarray(0, config.pictured * training.pixels));
    }
    content.buffers = Object.keys(arrays);
    this.send(content, Object.values(arrays).map((array) => array.slice().buffer));
    this.ms.train = 0;
  }

  setup() {
    const { config, training } = this;
    const { columns, image_shape, pictured, hyperparameters, terms } = config;
    const chosen = (all, keys) => Object.keys(all).filter((key) => key in keys);
    return {
      image_shape, tiles: training.units, units: training.units, images: pictured, columns,
      terms: Object.fromEntries(chosen(terms, training.terms).map((key) => [key, terms[key]])),
      symbols: Object.fromEntries(chosen(hyperparameters, training.hyperparameters)
        .map((key) => [key, hyperparameters[key].symbol])),
      speeds: Object.keys(config.speeds), presets: Object.keys(this.presets), seed: training.seed,
      validation_images: training.shownCount, threshold: training.threshold,
    };
  }

  /** What is shown now: content, and arrays by name. */
  frame() {
    const { training, config } = this;
    const { history, marks, off, seed } = training;
    const content = {
      words: this.words(), figures: this.figures, seed, off: [...off].sort((a, b) => a - b),
      marks: marks.map(([step, name, value]) => [step, this.said(name, value)]),
      histogram: training.sigmoid
        ? { label: "mean activation ρ̂", counted: "hidden units", upper: 1, of: "units",
          target: training.hyperparameters.rho }
        : { label: "active units per image", counted: "images", upper: training.units,
          of: "images", target: null },
      unit: null, explained: null, snapshot: this.snapshot,
    };
    const arrays = {
      ...this.pictures(),
      means: Float32Array.from(training.rhoHat),
      code: training.picturedCode.slice(0, config.pictured * training.units),
      values: Float32Array.from(training.sigmoid ? training.rhoHat : training.activeUnits),
      curve_steps: Int32Array.from(history, ({ step }) => step),
    };
    for (const term of Object.keys(training.terms)) {
      arrays[`curve_${term}`] = Float32Array.from(history, ({ terms }) => terms[term]);
    }
    if (this.unit !== null) this.addUnit(content, arrays);
    if (this.image !== null) this.addExplanation(content, arrays);
    if (this.draws) {
      arrays.drawn = gray(training.drawing);
      arrays.drawn_reconstruction = gray(training.reconstructions.slice(-training.pixels));
      arrays.drawn_code = training.picturedCode.slice(-training.units);
    }
    return [content, arrays];
  }

  pictures() {
    const { training, config: { pictured } } = this;
    const { pixels, units, weights: { W1 }, dead, reconstructions } = training;
    const columns = new Float32Array(W1.length);
    for (let p = 0, i = 0; p < pixels; p++) {
      for (let unit = 0; unit < units; unit++, i++) columns[unit * pixels + p] = W1[i];
    }
    [this.features, this.scales] = scaled(columns, pixels);
    return {
      features: this.features, scales: this.scales, dead,
      reconstructions: gray(reconstructions.subarray(0, pictured * pixels)),
    };
  }

  addUnit(content, arrays) {
    const { training, unit, config: { bins } } = this;
    const { pixels, units } = training;
    const code = training.code.filter((_, i) => i % units === unit);
    const upper = training.sigmoid ? 1 : code.reduce((most, one) => Math.max(most, one)) || 1;
    const strongest = [...code.keys()].sort((a, b) => code[b] - code[a]).slice(0, 9);
    content.unit = {
      number: unit, mean: training.rhoHat[unit], upper, dead: !!training.dead[unit],
      strongest: strongest.map((image) => code[image]),
    };
    arrays.unit_feature = this.features.slice(unit * pixels, (unit + 1) * pixels);
    arrays.unit_counts = new Int32Array(bins);
    const bin = (activation) => Math.min(Math.floor((activation / upper) * bins), bins - 1);
    for (const activation of code) arrays.unit_counts[bin(activation)] += 1;
    arrays.unit_images = new Uint8Array(9 * pixels);
    strongest.forEach((image, i) =>
      arrays.unit_images.set(gray(training.original(image)), i * pixels));
  }

  /** The units that draw an image most: by activation times length of their row of W2. */
  addExplanation(content, arrays) {
    const { training, image, config: { drawing } } = this;
    const { pixels, units, weights: { W2 } } = training;
    const code = training.picturedCode.slice(image * units, (image + 1) * units);
    const row = (unit) => W2.subarray(unit * pixels, (unit + 1) * pixels);
    const squares = (weights) => weights.reduce((sum, weight) => sum + weight * weight, 0);
    const share = code.map((one, unit) => one && one * Math.sqrt(squares(row(unit))));
    const most = [...share.keys()].sort((a, b) => share[b] - share[a]).slice(0, drawing)
      .filter((unit) => share[unit] > 0);
    content.explained = { image, units: most, activations: most.map((unit) => code[unit]) };
    const rows = new Float32Array(most.length * pixels);
    most.forEach((unit, i) => rows.set(row(unit), i * pixels));
    [arrays.explain_features] = scaled(rows, pixels);
  }

  /** Keep what is shown, or forget it. */
  keep(on) {
    this.snapshot = on ? { words: this.caption() } : null;
    const kept = on ? Object.entries(this.pictures()) : [];
    this.old = Object.fromEntries(kept.map(([name, array]) => [`old_${name}`, array]));
  }

  // Words

  said(name, value) {
    return `${this.config.hyperparameters[name].symbol} ${inWords(value)}`;
  }

  words() {
    const { step, epoch, sse, mean_activation, active_units, dead_units } = this.figures;
    const { hyperparameters: { rho }, units, off } = this.training;
    return `Step ${thousands(step)}, epoch ${epoch.toFixed(1)}: SSE ${sse.toFixed(2)}, ` +
      `mean ρ̂ ${mean_activation.toFixed(3)}${rho === undefined ? "" : ` against ρ ${rho}`}, ` +
      `${active_units.toFixed(1)} active units per image, ${dead_units} of ${units} units dead` +
      `${off.size ? `; ${off.size} switched off in the pictures` : ""}.`;
  }

  caption() {
    const { step, hyperparameters: now, terms } = this.training;
    const chosen = this.sliders.map((name) => this.said(name, now[name]));
    const stood = Object.entries(terms).map(([key, value]) =>
      `${this.config.terms[key].label} ${value.toFixed(2)}`);
    return `At step ${thousands(step)}: ${chosen.join(", ")}; ${stood.join(", ")}, ` +
      `${this.figures.active_units.toFixed(1)} active units per image`;
  }
}

function known(name, all, what) {
  if (Object.hasOwn(all, name)) return name;
  throw new Error(`there is no ${what} ${name}, only ${Object.keys(all).join(", ")}.`);
}

function numbered(what, number, count) {
  if (number === null || (Number.isInteger(number) && number >= 0 && number < count)) return number;
  throw new Error(`there is no ${what} ${number}, only 0 to ${count - 1}.`);
}

// In a Web Worker: the page starts an engine, once or with each other model, and asks it.

const unpacked = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));

/** The images and the kernels, of what the page holds as text. */
async function unpack({ config, images, wasm }) {
  const stream = new Blob([unpacked(images)]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const pixels = config.image_shape[0] * config.image_shape[1];
  const [train, validation] = [bytes.subarray(0, config.training_images * pixels),
    bytes.subarray(config.training_images * pixels)];
  return [config, { train, validation, pixels }, unpacked(wasm)];
}

if (typeof WorkerGlobalScope !== "undefined") {
  let engine, parts;
  const send = (content, buffers) => postMessage({ content, buffers }, buffers);
  const start = async ({ packed, settings }) => {
    parts ??= unpack(packed);
    const [config, images, wasm] = await parts;
    engine = new Engine(config, new Training(config, settings, images, wasm), send);
    engine.sendFrame({ do: "hello" });
  };
  // All that has arrived is seen before one request is answered, so that a slider of the page,
  // which is no part of the view, goes ahead of slices of training.
  const queue = [];
  const { port1: seen, port2: rest } = new MessageChannel();
  seen.onmessage = () => {
    const hand = queue.findIndex(({ content }) => content.do !== "tick");
    const ahead = queue[hand]?.content.view === "page" ? hand : 0;
    const [{ content, buffers }] = queue.splice(ahead, 1);
    engine.answer(content, buffers);
  };
  addEventListener("message", ({ data }) => {
    if (data.content && engine) rest.postMessage(queue.push(data));
    else if (data.settings) start(data).catch(({ message }) => postMessage({ failed: message }));
  });
}
