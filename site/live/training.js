/**
 * An autoencoder that trains step by step while its hyperparameters change: what engine.py does in
 * a notebook, for one hidden layer and the course's two penalties, with a sigmoid output:
 *
 *     SSE  +  λ₂·½(‖W1‖² + ‖W2‖²)  +  β·Σⱼ KL(ρ‖ρ̂ⱼ)  or  λ₁·Σⱼ hⱼ
 */

import { loadKernels } from "./kernels.js";
import { check, rounded } from "./settings.js";

const KL_EPSILON = 1e-6; // as in model.py

export class NotFinite extends Error {}

/** A function that draws numbers from 0 to 1, the same for the same two seeds (mulberry32). */
function randomNumbers(seed, number) {
  let state = Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Attributes, as those of LiveTraining: `step`, `history` (of {step, terms}), `marks`, `code`,
 * `terms`, `dead`, `drawing`, `off`, `picturedCode`, `reconstructions`, `seed`, `hyperparameters`.
 */
export class Training {
  /**
   * @param {object} config of the page: see tools/live.py; `batch`, `units` and the pixels of an
   *     image are multiples of 4, and `pictured` is less than `batch`.
   * @param {object} settings key of a hyperparameter → value, and `seed`; with rho it is a
   *     sigmoid code with the KL penalty, with lam1 a ReLU code with the L1 penalty.
   * @param {object} images bytes, `train` and `validation`, of `pixels` each.
   * @param {Uint8Array} wasm see loadKernels.
   */
  constructor(config, settings, { train, validation, pixels }, wasm) {
    const { seed, ...hyperparameters } = settings;
    const { units, batch } = config;
    Object.assign(this, { config, hyperparameters, images: train, pixels, units, batch });
    this.sigmoid = "rho" in hyperparameters;
    this.imageCount = train.length / pixels;
    this.shown = Float32Array.from(validation, (byte) => byte / 255);
    this.shownCount = validation.length / pixels;
    [this.threshold, this.deadUpTo] = config.active_above[this.sigmoid ? "sigmoid" : "relu"];
    const [kernels, biases] = [2 * pixels * units, units + pixels];
    const room = 4 * (kernels + biases) + batch * (3 * pixels + 2 * units);
    this.kernels = loadKernels(wasm, room);
    const { floats } = this.kernels;
    this.kinds = ["weights", "gradients", "first", "second"];
    for (const kind of this.kinds) {
      const [matrices, vectors] = [floats(kernels), floats(biases)];
      const [W1, W2] = [matrices.subarray(0, kernels / 2), matrices.subarray(kernels / 2)];
      const [b1, b2] = [vectors.subarray(0, units), vectors.subarray(units)];
      this[kind] = { matrices, vectors, W1, W2, b1, b2 };
    }
    this.x = floats(batch * pixels);
    this.y = floats(batch * pixels);
    this.dy = floats(batch * pixels);
    this.h = floats(batch * units);
    this.dh = floats(batch * units);
    this.code = new Float32Array(this.shownCount * units);
    this.off = new Set();
    this.drawing = new Float32Array(pixels);
    this.reset(seed);
  }

  /** Change hyperparameters from the next step on, all or none, and mark it on the curves. */
  set(values) {
    for (const [name, value] of Object.entries(values)) {
      if (!(name in this.hyperparameters)) {
        const has = Object.keys(this.hyperparameters).join(", ");
        throw new Error(`this model has no hyperparameter ${name}, only ${has}.`);
      }
      check(this.config.hyperparameters[name], name, value);
    }
    for (const [name, value] of Object.entries(values)) {
      if (rounded(value) === this.hyperparameters[name]) continue;
      this.hyperparameters[name] = rounded(value);
      // Of many moves between two steps only the last one had any effect.
      this.marks = this.marks.filter((mark) => mark[0] !== this.step || mark[1] !== name);
      this.marks.push([this.step, name, value]);
    }
  }

  /** Back to the first weights of a seed, Glorot's; the hyperparameters stay as they are. */
  reset(seed = this.seed) {
    Object.assign(this, { seed, step: 0, history: [], marks: [], measured: false });
    for (const kind of this.kinds) for (const array of Object.values(this[kind])) array.fill(0);
    const limit = Math.sqrt(6 / (this.pixels + this.units));
    const random = randomNumbers(seed, -1);
    const { matrices } = this.weights;
    for (let i = 0; i < matrices.length; i++) matrices[i] = limit * (2 * random() - 1);
  }

  /** Row numbers of a step's images: a new shuffle for every pass over the training set. */
  rows(step) {
    const perPass = Math.floor(this.imageCount / this.batch);
    const pass = Math.floor(step / perPass);
    if (this.orderOf !== `${this.seed} ${pass}`) {
      this.orderOf = `${this.seed} ${pass}`;
      this.order = Int32Array.from({ length: this.imageCount }, (_, row) => row);
      const random = randomNumbers(this.seed, pass);
      for (let i = this.imageCount - 1; i > 0; i--) {
        const j = Math.floor(random() * (i + 1));
        [this.order[i], this.order[j]] = [this.order[j], this.order[i]];
      }
    }
    const from = (step % perPass) * this.batch;
    return this.order.subarray(from, from + this.batch);
  }

  /** Take one step on such images. */
  train(rows = this.rows(this.step)) {
    const { x, images, pixels } = this;
    for (let i = 0, to = 0; i < rows.length; i++) {
      const from = rows[i] * pixels;
      for (let p = from; p < from + pixels; p++, to++) x[to] = images[p] / 255;
    }
    this.encode();
    this.decode();
    this.differentiate();
    const { learning_rate, lam2 } = this.hyperparameters;
    this.step += 1;
    const alpha = (learning_rate * Math.sqrt(1 - 0.999 ** this.step)) / (1 - 0.9 ** this.step);
    const { weights: w, gradients: g, first, second, kernels: { adam } } = this;
    for (const [part, lambda] of [["matrices", lam2], ["vectors", 0]]) {
      adam(w[part], g[part], first[part], second[part], w[part].length, alpha, lambda);
    }
    this.measured = false;
  }

  /** From x to h, a batch of each. */
  encode() {
    const { x, h, units, pixels, batch, kernels, weights: { W1, b1 } } = this;
    for (let i = 0; i < batch; i++) h.set(b1, i * units);
    kernels.sparse(h, x, W1, batch, units, pixels);
    if (this.sigmoid) kernels.sigmoid(h, h.length);
    else for (let i = 0; i < h.length; i++) h[i] = Math.max(h[i], 0);
  }

  /** From h to y. */
  decode() {
    const { h, y, units, pixels, batch, kernels, weights: { W2, b2 } } = this;
    for (let i = 0; i < batch; i++) y.set(b2, i * pixels);
    kernels.gemm(y, h, units, 1, W2, batch, pixels, units);
    kernels.sigmoid(y, y.length);
  }

  /** The gradients of the loss of a batch, but for λ₂, which Adam adds. */
  differentiate() {
    const { x, y, h, dy, dh, units, pixels, batch, kernels, gradients, weights } = this;
    for (let i = 0; i < y.length; i++) {
      dy[i] = (2 / batch) * (y[i] - x[i]) * y[i] * (1 - y[i]); // of SSE, through the sigmoid
    }
    gradients.W1.fill(0);
    gradients.W2.fill(0);
    kernels.gemm(gradients.W2, h, 1, units, dy, units, pixels, batch);
    this.differentiatePenalty();
    kernels.dots(dh, dy, weights.W2, batch, units, pixels);
    if (this.sigmoid) for (let i = 0; i < h.length; i++) dh[i] *= h[i] * (1 - h[i]);
    else for (let i = 0; i < h.length; i++) if (h[i] <= 0) dh[i] = 0;
    kernels.sparse_transposed(gradients.W1, x, dh, batch, units, pixels);
    sumRows(dy, gradients.b2);
    sumRows(dh, gradients.b1);
  }

  /** What the penalty on the code adds to the gradient by h. */
  differentiatePenalty() {
    const { h, dh, units, batch, hyperparameters: { rho, beta, lam1 } } = this;
    if (!this.sigmoid) {
      dh.fill(lam1 / batch); // where h is 0, ReLU lets nothing through
      return;
    }
    const means = new Float64Array(units);
    sumRows(h, means);
    const slopes = means.map((sum) => (beta / batch) * klSlope(rho, sum / batch));
    for (let i = 0; i < batch; i++) dh.set(slopes, i * units);
  }

  /** The figures of this moment, on validation images; they are also put on the curves. */
  measure() {
    if (!this.measured) this.measureShown();
    this.measured = true;
    this.terms = this.lossTerms();
    if (!Number.isFinite(Object.values(this.terms).reduce((sum, term) => sum + term))) {
      throw new NotFinite("The loss is no longer a finite number: lower the learning rate or the " +
        "penalty's strength, then press Reset.");
    }
    this.look();
    const { history, step, terms, config: { points } } = this;
    if (history.at(-1)?.step === step) history.pop();
    history.push({ step, terms });
    if (history.length > points) {
      this.history = history.filter((_, i) => i === history.length - 1 || i % 2 === 0);
    }
    return {
      step,
      epoch: (step * this.batch) / this.imageCount,
      ...terms,
      mean_activation: mean(this.rhoHat),
      active_units: mean(this.activeUnits),
      dead_units: this.dead.reduce((sum, dead) => sum + dead),
    };
  }

  /** A validation image, (pixels,). */
  original(image) {
    return this.shown.slice(image * this.pixels, (image + 1) * this.pixels);
  }

  /** What takes long: the code of all validation images, and what the terms are made of. */
  measureShown() {
    const { x, h, y, batch, units, pixels, shown, shownCount, code } = this;
    let sse = 0;
    for (let from = 0; from < shownCount; from += batch) {
      const count = Math.min(batch, shownCount - from);
      x.fill(0);
      x.set(shown.subarray(from * pixels, (from + count) * pixels));
      this.encode();
      this.decode();
      code.set(h.subarray(0, count * units), from * units);
      for (let i = 0; i < count * pixels; i++) sse += (x[i] - y[i]) * (x[i] - y[i]);
    }
    this.rhoHat = new Float64Array(units);
    sumRows(code, this.rhoHat);
    this.rhoHat.forEach((sum, unit) => { this.rhoHat[unit] = sum / shownCount; });
    this.activeUnits = new Float32Array(shownCount);
    const largest = new Float32Array(units);
    for (let i = 0; i < code.length; i++) {
      if (code[i] > this.threshold) this.activeUnits[Math.floor(i / units)] += 1;
      if (code[i] > largest[i % units]) largest[i % units] = code[i];
    }
    this.dead = Uint8Array.from(largest, (activation) => activation <= this.deadUpTo);
    this.sse = sse / shownCount;
    this.squares = 0;
    for (const weight of this.weights.matrices) this.squares += weight * weight;
  }

  /** The loss of the validation images, term by term. */
  lossTerms() {
    const { sse, squares, rhoHat, hyperparameters: { rho, beta, lam1, lam2 } } = this;
    const sum = (values) => values.reduce((all, value) => all + value, 0);
    const penalty = this.sigmoid
      ? { kl: beta * sum(rhoHat.map((share) => kl(rho, share))) }
      : { l1: lam1 * sum(rhoHat) };
    return { sse, ...penalty, l2: (lam2 / 2) * squares };
  }

  /** The first images, and in the last row the drawing, as they come back without some units. */
  look() {
    const { x, h, y, units, pixels, config: { pictured } } = this;
    const count = Math.min(pictured, this.shownCount);
    x.fill(0);
    x.set(this.shown.subarray(0, count * pixels));
    x.set(this.drawing, count * pixels);
    this.encode();
    for (const unit of this.off) for (let i = unit; i < h.length; i += units) h[i] = 0;
    this.decode();
    this.picturedCode = h.slice(0, (count + 1) * units);
    this.reconstructions = y.slice(0, (count + 1) * pixels);
  }
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** sums = the sum of rows that are as long as sums. */
function sumRows(values, sums) {
  sums.fill(0);
  for (let from = 0; from < values.length; from += sums.length) {
    for (let i = 0; i < sums.length; i++) sums[i] += values[from + i];
  }
}

const inside = (share) => Math.min(Math.max(share, KL_EPSILON), 1 - KL_EPSILON);

/** The derivative of KL(ρ‖ρ̂) by ρ̂. */
function klSlope(rho, rhoHat) {
  return (1 - rho) / inside(1 - rhoHat) - rho / inside(rhoHat);
}

/** KL(ρ‖ρ̂), beyond [ε, 1−ε] its tangent. */
function kl(rho, rhoHat) {
  const [here, rest] = [inside(rhoHat), inside(1 - rhoHat)];
  const value = rho * Math.log(rho / here) + (1 - rho) * Math.log((1 - rho) / rest);
  return value + klSlope(rho, rhoHat) * (rhoHat < 0.5 ? rhoHat - here : rest - (1 - rhoHat));
}
