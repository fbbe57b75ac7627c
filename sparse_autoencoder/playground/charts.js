/** The charts of view.js and explorer.js: SVG, in the colours of view.css. */

const LINE = 13; // height of a line of text, in pixels
const LETTER = 7; // width of a letter, at most
const LEFT = 42; // of the axes

export const escaped = (words) =>
  String(words).replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
export const thousands = (number) => number.toLocaleString("en-US");
export const short = (number) => `${Number(number.toPrecision(2))}`;

/** Round numbers from `low` to `high`, at most so many and one. */
function ticks(low, high, most = 5) {
  const range = high - low;
  const power = 10 ** Math.floor(Math.log10(range / 2));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((s) => range / s <= most);
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** An SVG element; numbers are rounded to a tenth of a pixel. */
function svg(name, attributes, inside = "") {
  const words = Object.entries(attributes).map(([key, value]) =>
    `${key}="${typeof value === "number" ? value.toFixed(1) : value}"`);
  return `<${name} ${words.join(" ")}>${inside}</${name}>`;
}

/** An SVG picture, as wide as the room that it has. */
export class Chart {
  /** draw(right end, height, data) gives what stands in the svg; the margin is at the right. */
  constructor(svg, draw, margin = 18) {
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
    for (const x of ticks(0, last, room)) this.text(this.x(x), this.bottom + LINE, thousands(x), "middle");
    this.text((LEFT + right) / 2, this.bottom + 2 * LINE + 2, label ?? "", "middle");
  }

  /** A line across, for a value of y, with its name at the left. */
  level(value, words) {
    this.line(LEFT, this.y(value), this.right, this.y(value), "grid");
    this.text(LEFT - 4, this.y(value) + 4, words, "end");
  }

  line(x1, y1, x2, y2, kind, title = "") {
    this.parts.push(svg("line", { class: kind, x1, y1, x2, y2 }, svg("title", {}, escaped(title))));
  }

  text(x, y, words, anchor = "start", kind = "") {
    this.parts.push(svg("text", { class: kind, x, y, "text-anchor": anchor }, escaped(words)));
  }
}

/** Each term of the loss over the steps, on a log axis. */
export function drawCurves(right, height, { steps, curves, terms, marks }) {
  const last = Math.max(steps.at(-1) ?? 0, 1);
  const changes = placeMarks(marks, (step) => LEFT + ((right - LEFT) * step) / last, right);
  const top = 8 + LINE * (1 + Math.max(-1, ...changes.map(({ row }) => row)));
  const logs = Object.values(curves).flatMap((c) => [...c].filter((v) => v > 0).map(Math.log10));
  const high = Math.ceil(Math.max(...logs, -9) + 1e-9);
  // Beyond five decades a term counts for nothing.
  const low = Math.max(Math.min(Math.floor(Math.min(...logs, high)), high - 1), high - 5);
  const axes = new Axes(right, height, top, last, low, high, "step");
  for (let power = low; power <= high; power++) {
    axes.level(power, short(10 ** power));
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
    const look = { class: "curve", stroke: ink, "stroke-dasharray": dashes.join(" ") };
    axes.parts.push(svg("path", { ...look, d: path.join("") }));
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
    const width = LETTER * words.length + 8;
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
export function drawBars(right, height, { counts, upper, label, target, chosen, log }) {
  const most = Math.max(...counts);
  const size = log ? Math.log1p : Number;
  const axes = new Axes(right, height, 16, upper, 0, size(most) || 1, label);
  const width = (right - LEFT) / counts.length;
  counts.forEach((count, i) => {
    if (count <= 0) return;
    const [x, y] = [LEFT + i * width, axes.y(size(count))];
    const look = { class: i === chosen ? "bar chosen" : "bar" };
    axes.parts.push(svg("rect", { ...look, x, y, width, height: axes.bottom - y }));
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

/** Points over both axes, one of them chosen; names of the axes are labels.x and labels.y. */
export function drawPoints(right, height, { points, chosen, labels }) {
  const heights = points.map(([, y]) => y);
  let [low, high] = [Math.floor(Math.min(...heights)), Math.ceil(Math.max(...heights))];
  if (low === high) [low, high] = [low - 1, high + 1]; // all the same: in the middle
  const last = 1.05 * Math.max(...points.map(([x]) => x)) || 1;
  const axes = new Axes(right, height, 2 * LINE, last, low, high, labels.x);
  for (const y of ticks(low, high)) axes.level(y, y);
  axes.text(2, LINE, labels.y);
  const dot = ([x, y], kind, r) =>
    axes.parts.push(svg("circle", { class: `point ${kind}`, cx: axes.x(x), cy: axes.y(y), r }));
  for (const point of points) dot(point, "", 3);
  if (points[chosen]) dot(points[chosen], "chosen", 7);
  return axes.parts.join("");
}
