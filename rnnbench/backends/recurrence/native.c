/* h_t = a_t h_{t-1} + b_t and its gradient, one pass over memory each.
 *
 * b, h, G, db are (B, T, D), contiguous; a and da have strides of their own over batch and time (sb, st), 0 where a is
 * the same for all of them, and D contiguous. s is (B, D). Complex numbers lie as (real, imaginary) pairs.
 * The file includes itself once for float and once for double.
 */
#ifndef REAL

#include <stddef.h>
#include <string.h>

#define REAL float
#define NAME(f) f##_f32
#include __FILE__
#undef REAL
#undef NAME
#define REAL double
#define NAME(f) f##_f64
#include __FILE__

#else

void NAME(forward)(const REAL *a, long sb, long st, const REAL *b, const REAL *s, REAL *h, long B, long T, long D) {
    for (long i = 0; i < B; i++) {
        const REAL *last = s + i * D;
        for (long t = 0; t < T; t++) {
            const REAL *restrict at = a + i * sb + t * st, *restrict bt = b + (i * T + t) * D;
            REAL *restrict ht = h + (i * T + t) * D;
            for (long d = 0; d < D; d++) ht[d] = at[d] * last[d] + bt[d];
            last = ht;
        }
    }
}

/* One time step of the gradient. Rows are functions so that the compiler believes restrict, and vectorises. */
static void NAME(row)(const REAL *restrict a, const REAL *restrict before, const REAL *restrict G, REAL *restrict g,
                      REAL *restrict da, REAL *restrict carry, long D) {
    for (long d = 0; d < D; d++) {
        g[d] = G[d] + carry[d];
        da[d] = g[d] * before[d];
        carry[d] = a[d] * g[d];
    }
}

static void NAME(row_summed)(const REAL *restrict a, const REAL *restrict before, const REAL *restrict G,
                             REAL *restrict g, double *restrict sum, REAL *restrict carry, long D) {
    for (long d = 0; d < D; d++) {
        g[d] = G[d] + carry[d];
        sum[d] += g[d] * before[d];
        carry[d] = a[d] * g[d];
    }
}

/* g_t = G_t + a_{t+1} g_{t+1} is b's gradient; a's is g_t h_{t-1}. ds comes in as the gradient of the last state and
 * goes out as that of the first. A da that is the same for all t is summed in sum (D doubles) before it is added. */
void NAME(backward)(const REAL *a, long sb, long st, const REAL *h, const REAL *s, const REAL *G, REAL *db, REAL *da,
                    REAL *ds, double *sum, long B, long T, long D) {
    for (long i = 0; i < B; i++) {
        if (st == 0) memset(sum, 0, D * sizeof(double));
        for (long t = T - 1; t >= 0; t--) {
            long at = i * sb + t * st, row = (i * T + t) * D;
            const REAL *before = t ? h + row - D : s + i * D;
            if (st == 0)
                NAME(row_summed)(a + at, before, G + row, db + row, sum, ds + i * D, D);
            else
                NAME(row)(a + at, before, G + row, db + row, da + at, ds + i * D, D);
        }
        if (st == 0)
            for (long d = 0; d < D; d++) da[i * sb + d] += (REAL)sum[d];
    }
}

void NAME(forward_complex)(const REAL *a, long sb, long st, const REAL *b, const REAL *s, REAL *h, long B, long T,
                           long D) {
    for (long i = 0; i < B; i++) {
        const REAL *last = s + 2 * i * D;
        for (long t = 0; t < T; t++) {
            const REAL *restrict at = a + 2 * (i * sb + t * st), *restrict bt = b + 2 * (i * T + t) * D;
            REAL *restrict ht = h + 2 * (i * T + t) * D;
            for (long d = 0; d < 2 * D; d += 2) {
                ht[d] = at[d] * last[d] - at[d + 1] * last[d + 1] + bt[d];
                ht[d + 1] = at[d] * last[d + 1] + at[d + 1] * last[d] + bt[d + 1];
            }
            last = ht;
        }
    }
}

/* As torch has it: the gradient of a holomorphic product is the cotangent times the conjugate of the other factor. */
void NAME(backward_complex)(const REAL *a, long sb, long st, const REAL *h, const REAL *s, const REAL *G, REAL *db,
                            REAL *da, REAL *ds, double *sum, long B, long T, long D) {
    for (long i = 0; i < B; i++) {
        REAL *restrict carry = ds + 2 * i * D;
        if (st == 0) memset(sum, 0, 2 * D * sizeof(double));
        for (long t = T - 1; t >= 0; t--) {
            const REAL *restrict at = a + 2 * (i * sb + t * st), *restrict Gt = G + 2 * (i * T + t) * D;
            const REAL *restrict before = t ? h + 2 * (i * T + t - 1) * D : s + 2 * i * D;
            REAL *restrict g = db + 2 * (i * T + t) * D, *restrict dat = da + 2 * (i * sb + t * st);
            for (long d = 0; d < 2 * D; d += 2) {
                REAL x = Gt[d] + carry[d], y = Gt[d + 1] + carry[d + 1];
                REAL real = x * before[d] + y * before[d + 1], imag = y * before[d] - x * before[d + 1];
                g[d] = x, g[d + 1] = y;
                if (st == 0)
                    sum[d] += real, sum[d + 1] += imag;
                else
                    dat[d] = real, dat[d + 1] = imag;
                carry[d] = at[d] * x + at[d + 1] * y;
                carry[d + 1] = at[d] * y - at[d + 1] * x;
            }
        }
        if (st == 0)
            for (long d = 0; d < 2 * D; d++) da[2 * i * sb + d] += (REAL)sum[d];
    }
}

#endif
