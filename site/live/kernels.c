/* The loops of the live page that take the time: matrix products, sigmoid, Adam; in WASM SIMD.
 *
 * kernels.js has the same in plain JavaScript. Matrices are row by row, widths are multiples of 4,
 * and so are the rows of `a` in `gemm` and `dots`. Built by `python -m tools.live --kernels`.
 */

#include <wasm_simd128.h>

typedef float f4 __attribute__((vector_size(16), aligned(4)));

#define INLINE static inline __attribute__((always_inline))
#define EXPORT(name) __attribute__((export_name(#name))) void name

INLINE f4 load(const float *at) { return *(const f4 *)at; }
INLINE void store(float *at, f4 value) { *(f4 *)at = value; }
INLINE f4 all(float value) { return (f4){value, value, value, value}; }

/* y += a·x, both `n` long. */
INLINE void axpy(float *y, float a, const float *x, int n) {
    const f4 factor = all(a);
    for (int i = 0; i < n; i += 4) store(y + i, load(y + i) + factor * load(x + i));
}

/* Four rows of c, and 4·wide of its columns; the sums stay in registers. */
INLINE void gemm_block(float *c, const float *a, int a_row, int a_column, const float *b, int n,
                       int k, const int wide) {
    f4 sum[4][2];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < wide; j++) sum[i][j] = load(c + i * n + 4 * j);
    for (int l = 0; l < k; l++, a += a_column, b += n) {
        for (int i = 0; i < 4; i++) {
            const f4 factor = all(a[i * a_row]);
            for (int j = 0; j < wide; j++) sum[i][j] += factor * load(b + 4 * j);
        }
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < wide; j++) store(c + i * n + 4 * j, sum[i][j]);
}

/* c += a·b: (m, k) times (k, n); `a` may lie transposed: its element (i, l) is at
 * i·a_row + l·a_column. */
EXPORT(gemm)(float *c, const float *a, int a_row, int a_column, const float *b, int m, int n,
             int k) {
    for (int j = 0; j < n; j += 8) /* these columns of b stay in the cache */
        for (int i = 0; i < m; i += 4) {
            float *to = c + i * n + j;
            if (j + 8 <= n) gemm_block(to, a + i * a_row, a_row, a_column, b + j, n, k, 2);
            else gemm_block(to, a + i * a_row, a_row, a_column, b + j, n, k, 1);
        }
}

/* c += a·bᵀ: (m, k) times (n, k) transposed. */
EXPORT(dots)(float *c, const float *a, const float *b, int m, int n, int k) {
    for (int j = 0; j < n; j += 2)
        for (int i = 0; i < m; i += 4) {
            f4 sum[4][2] = {{{0}}};
            for (int l = 0; l < k; l += 4)
                for (int p = 0; p < 4; p++)
                    for (int q = 0; q < 2; q++)
                        sum[p][q] += load(a + (i + p) * k + l) * load(b + (j + q) * k + l);
            for (int p = 0; p < 4; p++)
                for (int q = 0; q < 2; q++) {
                    const f4 s = sum[p][q];
                    c[(i + p) * n + j + q] += (s[0] + s[1]) + (s[2] + s[3]);
                }
        }
}

/* c += x·b: (m, k) times (k, n); passes over what is 0 in x, as four pixels of five are. */
EXPORT(sparse)(float *c, const float *x, const float *b, int m, int n, int k) {
    for (int i = 0; i < m; i++)
        for (int l = 0; l < k; l++)
            if (x[i * k + l] != 0) axpy(c + i * n, x[i * k + l], b + l * n, n);
}

/* c += xᵀ·b: (m, k) transposed times (m, n); likewise. */
EXPORT(sparse_transposed)(float *c, const float *x, const float *b, int m, int n, int k) {
    for (int l = 0; l < k; l++)
        for (int i = 0; i < m; i++)
            if (x[i * k + l] != 0) axpy(c + l * n, x[i * k + l], b + i * n, n);
}

/* e to the power of x: 2 to the nearest whole power, times a polynomial (as in Cephes). */
INLINE f4 power_of_e(f4 x) {
    x = (f4)wasm_f32x4_pmin(wasm_f32x4_pmax((v128_t)x, (v128_t)all(-87)), (v128_t)all(87));
    const f4 whole = (f4)wasm_f32x4_nearest((v128_t)(x * all(1.44269504088896341f)));
    const f4 r = x - whole * all(0.693359375f) + whole * all(2.12194440e-4f);
    f4 y = all(1.9875691500e-4f);
    y = y * r + all(1.3981999507e-3f);
    y = y * r + all(8.3334519073e-3f);
    y = y * r + all(4.1665795894e-2f);
    y = y * r + all(1.6666665459e-1f);
    y = y * r + all(5.0000001201e-1f);
    y = y * r * r + r + all(1);
    const v128_t exponent = wasm_i32x4_trunc_sat_f32x4((v128_t)whole);
    return y * (f4)wasm_i32x4_shl(wasm_i32x4_add(exponent, wasm_i32x4_splat(127)), 23);
}

/* x = 1 / (1 + e⁻ˣ), n of them. */
EXPORT(sigmoid)(float *x, int n) {
    for (int i = 0; i < n; i += 4) store(x + i, all(1) / (all(1) + power_of_e(-load(x + i))));
}

/* A step of Adam as Keras takes it, on n weights w with gradients g and moments m and v.
 *
 * alpha: the learning rate, corrected for the moments' start at 0; lambda: gradient of ½w². */
EXPORT(adam)(float *w, const float *g, float *m, float *v, int n, float alpha, float lambda) {
    for (int i = 0; i < n; i += 4) {
        const f4 weight = load(w + i), gradient = load(g + i) + all(lambda) * weight;
        const f4 first = load(m + i) + (gradient - load(m + i)) * all(0.1f);
        const f4 second = load(v + i) + (gradient * gradient - load(v + i)) * all(0.001f);
        const f4 root = (f4)wasm_f32x4_sqrt((v128_t)second);
        store(m + i, first);
        store(v + i, second);
        store(w + i, weight - first * all(alpha) / (root + all(1e-7f)));
    }
}
