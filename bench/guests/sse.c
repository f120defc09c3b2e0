/* SSE and SSE2: scalar and packed, single and double precision, and integers. */
#include "bench.h"
#include <emmintrin.h>

#define N 256
#define DIMENSION 16

uint64_t bench_sse_scalar_double(uint32_t work)
{
    /* Points of the Mandelbrot set, and a series with division and square root. */
    uint64_t sum = 7;
    for (uint32_t round = 0; round < work; round++) {
        uint32_t inside = 0;
        for (int py = 0; py < 12; py++) {
            for (int px = 0; px < 12; px++) {
                double cx = (px + (round & 7) * 0.125) / 4.0 - 2.0, cy = py / 6.0 - 1.0, x = 0, y = 0;
                int i = 0;
                for (; i < 40 && x * x + y * y < 4.0; i++) {
                    double next = x * x - y * y + cx;
                    y = 2 * x * y + cy;
                    x = next;
                }
                inside += (uint32_t)i;
            }
        }
        double series = 0;
        for (int i = 1; i <= 400; i++) {
            double root;
            __asm__("sqrtsd %1, %0" : "=x"(root) : "x"((double)(i + (int)(round & 15))));
            series += 1.0 / (root + i);
        }
        sum = mix(sum, inside);
        sum = mix(sum, (uint64_t)_mm_cvtsd_f64(_mm_set_sd(series * 1e6)) + (uint32_t)(int)(series * 1024));
    }
    return sum;
}

static void fill_double(double *values, uint32_t seed)
{
    for (int i = 0; i < N; i++)
        values[i] = (double)(int32_t)next_random(&seed) / 2147483648.0;
}

static void fill_single(float *values, uint32_t seed)
{
    for (int i = 0; i < N; i++)
        values[i] = (float)((int32_t)next_random(&seed) >> 8) / 8388608.0f;
}

static uint64_t sum_of(uint64_t sum, const void *data, unsigned bytes)
{
    for (unsigned i = 0; i < bytes / 4; i++)
        sum = mix(sum, ((const uint32_t *)data)[i]);
    return sum;
}

uint64_t bench_sse_packed_double(uint32_t work)
{
    static double a[N] __attribute__((aligned(16))), b[N] __attribute__((aligned(16))), c[N] __attribute__((aligned(16)));
    fill_double(a, 11);
    fill_double(b, 12);
    fill_double(c, 13);
    for (uint32_t round = 0; round < work; round++) {
        /* Product of two 16 by 16 matrices, then a smoothing pass that keeps the values bounded. */
        for (int i = 0; i < DIMENSION; i++) {
            for (int j = 0; j < DIMENSION; j += 2) {
                __m128d total = _mm_setzero_pd();
                for (int k = 0; k < DIMENSION; k++)
                    total = _mm_add_pd(total, _mm_mul_pd(_mm_set1_pd(a[i * DIMENSION + k]), _mm_load_pd(&b[k * DIMENSION + j])));
                _mm_store_pd(&c[i * DIMENSION + j], total);
            }
        }
        const __m128d one = _mm_set1_pd(1.0), quarter = _mm_set1_pd(0.25);
        for (int i = 0; i < N; i += 2) {
            __m128d x = _mm_load_pd(&c[i]), y = _mm_load_pd(&a[i]);
            __m128d bounded = _mm_div_pd(x, _mm_add_pd(one, _mm_sqrt_pd(_mm_mul_pd(x, x))));
            bounded = _mm_max_pd(_mm_min_pd(bounded, one), _mm_sub_pd(_mm_setzero_pd(), one));
            _mm_store_pd(&a[i], _mm_add_pd(_mm_mul_pd(y, quarter), bounded));
        }
    }
    return sum_of(8, a, sizeof a);
}

uint64_t bench_sse_scalar_single(uint32_t work)
{
    static float a[N], b[N];
    fill_single(a, 21);
    fill_single(b, 22);
    for (uint32_t round = 0; round < work; round++) {
        float state = 0.25f;
        for (int pass = 0; pass < 8; pass++) {
            for (int i = 0; i < N; i++) {
                float x = a[i] * 0.75f + b[i] * state;
                state = state * 0.5f + x / (2.0f + x * x);
                b[i] = x > 0.5f ? x - 0.5f : x;
            }
        }
        a[round % N] = state;
    }
    return sum_of(sum_of(9, a, sizeof a), b, sizeof b);
}

uint64_t bench_sse_packed_single(uint32_t work)
{
    static float a[N] __attribute__((aligned(16))), b[N] __attribute__((aligned(16))), c[N] __attribute__((aligned(16)));
    fill_single(a, 31);
    fill_single(b, 32);
    fill_single(c, 33);
    for (uint32_t round = 0; round < work; round++) {
        for (int i = 0; i < DIMENSION; i++) {
            for (int j = 0; j < DIMENSION; j += 4) {
                __m128 total = _mm_setzero_ps();
                for (int k = 0; k < DIMENSION; k++)
                    total = _mm_add_ps(total, _mm_mul_ps(_mm_set1_ps(a[i * DIMENSION + k]), _mm_load_ps(&b[k * DIMENSION + j])));
                _mm_store_ps(&c[i * DIMENSION + j], total);
            }
        }
        const __m128 one = _mm_set1_ps(1.0f), quarter = _mm_set1_ps(0.25f);
        for (int i = 0; i < N; i += 4) {
            __m128 x = _mm_load_ps(&c[i]), y = _mm_load_ps(&a[i]);
            __m128 bounded = _mm_div_ps(x, _mm_add_ps(one, _mm_sqrt_ps(_mm_mul_ps(x, x))));
            __m128 mask = _mm_cmplt_ps(bounded, y);
            bounded = _mm_or_ps(_mm_and_ps(mask, bounded), _mm_andnot_ps(mask, _mm_mul_ps(y, quarter)));
            _mm_store_ps(&a[i], _mm_add_ps(_mm_mul_ps(y, quarter), _mm_shuffle_ps(bounded, bounded, 0x1B)));
        }
    }
    return sum_of(10, a, sizeof a);
}

uint64_t bench_sse_integer(uint32_t work)
{
    static uint32_t words[N] __attribute__((aligned(16)));
    uint32_t seed = 41;
    for (int i = 0; i < N; i++)
        words[i] = next_random(&seed);
    __m128i total = _mm_setzero_si128();
    for (uint32_t round = 0; round < work; round++) {
        for (int pass = 0; pass < 4; pass++) {
            for (int i = 0; i < N; i += 4) {
                __m128i x = _mm_load_si128((const __m128i *)&words[i]);
                __m128i mask = _mm_cmpgt_epi32(x, total);
                __m128i low = _mm_unpacklo_epi8(x, total), high = _mm_unpackhi_epi16(x, total);
                x = _mm_xor_si128(_mm_slli_epi32(x, 5), _mm_srli_epi32(x, 27));
                x = _mm_add_epi32(_mm_shuffle_epi32(x, 0x39), _mm_and_si128(mask, low));
                x = _mm_sub_epi16(x, _mm_mullo_epi16(high, low));
                total = _mm_add_epi64(_mm_or_si128(total, _mm_cmpeq_epi8(x, low)), x);
                _mm_store_si128((__m128i *)&words[i], x);
            }
        }
    }
    return sum_of(sum_of(11, words, sizeof words), &total, sizeof total);
}
