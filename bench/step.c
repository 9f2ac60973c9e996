/* The training steps of algorithm/kernel.py as a C programmer would write them: one thread, lazy
   Adam, a classifier. What the compiled Python is measured against, and nothing else. */

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { BLOCK = 64 }; /* rows whose losses share one logarithm */

typedef struct {
    const int64_t *indptr;
    const int32_t *keys;
    const float *values, *y;
    float *w0, *w, *v;
    float *state0, *state; /* (2,); (d, 2 (k + 1)): m of v, m of w, s of v, s of w */
    float *s, *dz;         /* (B, k) factor sums, (B,) loss gradients */
    float *g, *gw, *c;     /* of each feature that occurs in the batch */
    int32_t *slot, *touched;
    double *sums; /* loss, correct, true positive, predicted, positive */
    int64_t k;
    float lr[3], wd[3], eps; /* bias, linear, factors */
} Job;

static float adam(float p, float g, float *m, float *s, float size, float eps) {
    *m = 0.9f * *m + 0.1f * g;
    *s = 0.999f * *s + 0.001f * g * g;
    return p - size * *m / (sqrtf(*s) + eps);
}

static float score(const Job *job, int64_t row, float *restrict s) {
    const int64_t k = job->k;
    float linear = 0, pairs = 0;
    memset(s, 0, k * sizeof *s);
    for (int64_t p = job->indptr[row]; p < job->indptr[row + 1]; p++) {
        const float x = job->values[p], *restrict v = job->v + job->keys[p] * k;
        linear += x * job->w[job->keys[p]];
        for (int64_t f = 0; f < k; f++) {
            const float part = x * v[f];
            pairs += part * s[f];
            s[f] += part;
        }
    }
    return job->w0[0] + linear + pairs;
}

/* Leaves the loss gradients of a batch in dz and returns their sum. */
static double forward(const Job *job, int64_t start, int64_t stop) {
    const float scale = 1.0f / (stop - start);
    double *sums = job->sums, total = 0, product = 1;
    for (int64_t row = start; row < stop; row++) {
        const int64_t i = row - start;
        const float z = score(job, row, job->s + i * job->k), y = job->y[row];
        const float small = expf(-fabsf(z));
        const float probability = (z >= 0 ? 1 : small) / (1 + small);
        const int predicted = probability > 0.5f, positive = y > 0.5f;
        product *= 1.0 + small;
        sums[0] += (z > 0 ? (double)z : 0) - (double)z * y;
        sums[1] += predicted == positive;
        sums[2] += predicted && positive;
        sums[3] += predicted;
        sums[4] += positive;
        job->dz[i] = (probability - y) * scale;
        total += job->dz[i];
        if (i % BLOCK == BLOCK - 1 || row == stop - 1) {
            sums[0] += log(product);
            product = 1;
        }
    }
    return total;
}

static int64_t gather(const Job *job, int64_t start, int64_t stop) {
    const int64_t k = job->k;
    int64_t n = 0;
    for (int64_t row = start; row < stop; row++) {
        const float *restrict s = job->s + (row - start) * k;
        for (int64_t p = job->indptr[row]; p < job->indptr[row + 1]; p++) {
            const int32_t j = job->keys[p];
            const float x = job->values[p], d = job->dz[row - start] * x;
            int32_t u = job->slot[j];
            if (u < 0) {
                u = job->slot[j] = n++;
                job->touched[u] = j;
                job->gw[u] = d;
                job->c[u] = d * x;
                float *restrict g = job->g + u * k;
                for (int64_t f = 0; f < k; f++) g[f] = d * s[f];
            } else {
                job->gw[u] += d;
                job->c[u] += d * x;
                float *restrict g = job->g + u * k;
                for (int64_t f = 0; f < k; f++) g[f] += d * s[f];
            }
        }
    }
    return n;
}

static void update(const Job *job, int64_t n, double correction) {
    const int64_t k = job->k;
    const float size = job->lr[2] * correction, size_w = job->lr[1] * correction, eps = job->eps;
    for (int64_t u = 0; u < n; u++) {
        const int64_t j = job->touched[u];
        const float shrink = job->wd[2] - job->c[u], *restrict g = job->g + u * k;
        float *restrict v = job->v + j * k, *restrict m = job->state + j * 2 * (k + 1);
        float *restrict s = m + k + 1;
        job->slot[j] = -1;
        for (int64_t f = 0; f < k; f++) v[f] = adam(v[f], g[f] + shrink * v[f], m + f, s + f, size, eps);
        job->w[j] = adam(job->w[j], job->gw[u] + job->wd[1] * job->w[j], m + k, s + k, size_w, eps);
    }
}

/* batches: (count, 2) first row and end; steps: how many there were before, for Adam. */
void train(const Job *job, const int64_t *batches, int64_t count, int64_t steps) {
    for (int64_t b = 0; b < count; b++) {
        const double t = steps + b + 1, correction = sqrt(1 - pow(0.999, t)) / (1 - pow(0.9, t));
        const double total = forward(job, batches[2 * b], batches[2 * b + 1]);
        const int64_t n = gather(job, batches[2 * b], batches[2 * b + 1]);
        const float grad = (float)total + job->wd[0] * job->w0[0];
        update(job, n, correction);
        job->w0[0] = adam(job->w0[0], grad, job->state0, job->state0 + 1, job->lr[0] * correction, job->eps);
    }
}
