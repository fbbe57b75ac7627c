/**
 * The loops that take the time: kernels.c says what each computes. As WASM SIMD where a browser has
 * it, else in plain JavaScript. Arguments are numbers, and arrays of the memory that comes along.
 */

const PAGE = 65536; // bytes of WASM's unit of memory
const OURS = 2; // pages that belong to the module itself

const plain = {
  gemm(c, a, aRow, aColumn, b, m, n, k) {
    for (let i = 0; i < m; i++) {
      for (let l = 0; l < k; l++) axpy(c, i * n, a[i * aRow + l * aColumn], b, l * n, n);
    }
  },

  dots(c, a, b, m, n, k) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let l = 0; l < k; l++) sum += a[i * k + l] * b[j * k + l];
        c[i * n + j] += sum;
      }
    }
  },

  sparse(c, x, b, m, n, k) {
    for (let i = 0; i < m; i++) {
      for (let l = 0; l < k; l++) if (x[i * k + l]) axpy(c, i * n, x[i * k + l], b, l * n, n);
    }
  },

  sparse_transposed(c, x, b, m, n, k) {
    for (let i = 0; i < m; i++) {
      for (let l = 0; l < k; l++) if (x[i * k + l]) axpy(c, l * n, x[i * k + l], b, i * n, n);
    }
  },

  sigmoid(x, n) {
    for (let i = 0; i < n; i++) x[i] = 1 / (1 + Math.exp(-x[i]));
  },

  adam(w, g, m, v, n, alpha, lambda) {
    for (let i = 0; i < n; i++) {
      const gradient = g[i] + lambda * w[i];
      m[i] += (gradient - m[i]) * 0.1;
      v[i] += (gradient * gradient - v[i]) * 0.001;
      w[i] -= (m[i] * alpha) / (Math.sqrt(v[i]) + 1e-7);
    }
  },
};

function axpy(y, at, a, x, from, n) {
  for (let i = 0; i < n; i++) y[at + i] += a * x[from + i];
}

/**
 * The kernels, and `floats(count)`, which gives an array of zeros in their memory.
 *
 * @param {Uint8Array} wasm the module's bytes; without them, or without SIMD, plain JavaScript.
 * @param {number} room how many numbers there will be, at most.
 */
export function loadKernels(wasm, room) {
  if (!wasm || !WebAssembly.validate(wasm)) {
    return { ...plain, floats: (count) => new Float32Array(count), name: "plain JavaScript" };
  }
  const pages = OURS + Math.ceil((4 * room) / PAGE);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(wasm), { env: { memory } });
  let free = OURS * PAGE;
  const floats = (count) => {
    const array = new Float32Array(memory.buffer, free, count);
    free += array.byteLength;
    return array;
  };
  const called = Object.keys(plain).map((name) =>
    [name, (...values) => exports[name](...values.map((value) => value.byteOffset ?? value))]);
  return { ...Object.fromEntries(called), floats, name: "WebAssembly" };
}
