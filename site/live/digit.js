/** A drawn digit as MNIST shows its own: what digit.py does in a notebook. */

const BOX = 20 / 28; // of an image's side that a digit fills

/** To the nearest whole number, halves to the even one, as Python rounds. */
function rint(value) {
  const up = Math.round(value);
  return up - value === 0.5 && up % 2 ? up - 1 : up;
}

/** Rows of numbers with `size` rows instead, as Pillow resizes bilinearly. */
function resizeRows(rows, size) {
  const scale = rows.length / size;
  const reach = Math.max(scale, 1); // of a row's influence
  return Array.from({ length: size }, (_, to) => {
    const centre = (to + 0.5) * scale;
    const weights = rows.map((_, from) => Math.max(1 - Math.abs(from + 0.5 - centre) / reach, 0));
    const all = weights.reduce((sum, weight) => sum + weight);
    return rows[0].map((_, i) =>
      rows.reduce((sum, row, from) => sum + row[i] * weights[from], 0) / all);
  });
}

const transposed = (rows) => rows[0].map((_, i) => rows.map((row) => row[i]));
const total = (values) => values.reduce((sum, value) => sum + value, 0);

/** Where rows begin, such that their centre of mass comes to the middle of so many. */
function place(rows, whole) {
  const masses = rows.map(total);
  const centre = total(masses.map((mass, i) => i * mass)) / total(masses);
  return Math.min(Math.max(Math.ceil(whole / 2 - centre - 0.5), 0), whole - rows.length);
}

/**
 * A drawing, sized to fit the middle 20×20 of 28×28 and moved to its centre of mass.
 *
 * @param {Uint8Array} bytes (height · width), 0 where nothing was drawn.
 * @returns {Float32Array} as long, from 0 to 1.
 */
export function centred(bytes, [height, width]) {
  const placed = new Float32Array(height * width);
  const image = Array.from({ length: height }, (_, row) =>
    Array.from(bytes.subarray(row * width, (row + 1) * width), (byte) => byte / 255));
  const trimmed = (rows) => {
    const inked = [...rows.keys()].filter((row) => rows[row].some((value) => value));
    return rows.slice(inked[0], inked.at(-1) + 1);
  };
  if (!bytes.some((byte) => byte)) return placed;
  let ink = transposed(trimmed(transposed(trimmed(image))));
  const scale = Math.min((BOX * height) / ink.length, (BOX * width) / ink[0].length);
  const size = (part) => Math.max(1, rint(scale * part));
  const narrow = resizeRows(transposed(ink), size(ink[0].length));
  ink = resizeRows(transposed(narrow), size(ink.length));
  const [top, left] = [place(ink, height), place(transposed(ink), width)];
  ink.forEach((row, i) => placed.set(row, (top + i) * width + left));
  return placed;
}
