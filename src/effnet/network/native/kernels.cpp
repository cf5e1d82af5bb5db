// What torch computes slowly when EfficientNet is trained on a CPU: depthwise convolution backward, batch
// normalisation with SiLU, squeeze-and-excitation. Compiled on first use by build.py; called from ops.py.
//
// Tensors are (N, H, W, C) in memory (channels_last), float or bfloat16; all sums are float. A vector holds the
// same pixel of L neighbouring channels. Sums are taken over a fixed number of pieces and added up in order, so
// that results do not depend on the number of threads.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <new>
#include <omp.h>
#include <vector>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

struct bf16 {
    uint16_t bits;
};

template <int L> struct Vector {
    typedef float f __attribute__((vector_size(4 * L)));
    typedef uint32_t u __attribute__((vector_size(4 * L)));
    typedef int32_t i __attribute__((vector_size(4 * L)));
    typedef uint16_t h __attribute__((vector_size(2 * L)));
};
template <int L> using vf = typename Vector<L>::f;

template <int L> static inline vf<L> load(const float *p) {
    vf<L> v;
    memcpy(&v, p, sizeof v);
    return v;
}
template <int L> static inline vf<L> load(const bf16 *p) {
    typename Vector<L>::h half;
    memcpy(&half, p, sizeof half);
    return (vf<L>)(__builtin_convertvector(half, typename Vector<L>::u) << 16);
}
template <int L> static inline void store(float *p, vf<L> v) { memcpy(p, &v, sizeof v); }
template <int L> static inline void store(bf16 *p, vf<L> v) { // to nearest, ties to even
    typename Vector<L>::u u = (typename Vector<L>::u)v;
    u = v == v ? u + 0x7FFFu + ((u >> 16) & 1u) : u | 0x400000u; // rounding could carry a NaN over to zero
    typename Vector<L>::h half = __builtin_convertvector(u >> 16, typename Vector<L>::h);
    memcpy(p, &half, sizeof half);
}
#ifdef __AVX512BF16__ // one instruction: normalisation is a fifth faster by it; below 1.2e-38 it stores zero
template <> inline void store<16>(bf16 *p, vf<16> v) {
    const __m256bh half = _mm512_cvtneps_pbh((__m512)v);
    memcpy(p, &half, sizeof half);
}
template <> inline void store<8>(bf16 *p, vf<8> v) {
    const __m128bh half = _mm256_cvtneps_pbh((__m256)v);
    memcpy(p, &half, sizeof half);
}
#endif

// exp(x) within 2 units in the last place; infinity from 88.4 on; NaN stays NaN.
// After Cephes: 2^n · polynomial(r), |r| <= ln(2) / 2.
template <int L> static inline vf<L> exponential(vf<L> x) {
    const vf<L> low = vf<L>{} - 87.0f, high = vf<L>{} + 88.8f; // n from -126 to 128, where 2^n is infinite
    x = x < low ? low : x;
    x = x > high ? high : x;
    const float magic = 12582912.0f; // 1.5 · 2^23: adding it rounds to an integer
    vf<L> shifted = x * 1.44269504f + magic, n = shifted - magic;
    vf<L> r = x - n * 0.693359375f + n * 2.12194440e-4f;
    vf<L> p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    typename Vector<L>::i bits = (typename Vector<L>::i)shifted << 23; // the low bits of `shifted` hold n
    return p * (vf<L>)(bits + 0x3F800000);
}
template <int L> static inline vf<L> sigmoid(vf<L> x) { return 1.0f / (1.0f + exponential<L>(-x)); }

// --- depthwise convolution ------------------------------------------------------------------------------------

struct Shape {
    int64_t n, h, w, c, out_h, out_w, pad, stride, dilate; // dilate: zeros between the input's pixels, plus one
};

// Whether row y of the padded and dilated image holds pixels; if not, all of it is zero.
static bool has_pixels(const Shape &s, int64_t y) { return y >= 0 && y % s.dilate == 0 && y / s.dilate < s.h; }

// Copy row y of an image as float, padded and dilated by zeros, to `width` pixels of L channels.
template <typename T, int L>
static void fill_row(float *row, const T *image, const Shape &s, int64_t y, int64_t width) {
    memset(row, 0, width * L * sizeof(float));
    if (!has_pixels(s, y)) return;
    const T *source = image + y / s.dilate * s.w * s.c;
    for (int64_t x = 0, at = s.pad; x < s.w; ++x, at += s.dilate)
        if (at >= 0 && at < width) store<L>(row + at * L, load<L>(source + x * s.c));
}

// `out` (N, out_h, out_w, C) = `in` (N, H, W, C) correlated with `weight` (K, K, C), for L channels of one image.
template <typename T, int L, int K>
static void convolve_image(const T *in, const float *weight, T *out, const Shape &s, float *rows) {
    const int64_t width = (s.out_w + 3) * s.stride + K;
    int64_t next = 0;
    for (int64_t y = 0; y < s.out_h; ++y) {
        for (; next < y * s.stride + K; ++next) // the last K rows are kept
            fill_row<T, L>(rows + next % K * width * L, in, s, next - s.pad, width);
        for (int64_t x = 0; x < s.out_w; x += 4) {
            vf<L> sum[4] = {};
            for (int i = 0; i < K; ++i) {
                if (!has_pixels(s, y * s.stride + i - s.pad)) continue;
                const float *row = rows + ((y * s.stride + i) % K * width + x * s.stride) * L;
                for (int j = 0; j < K; ++j) {
                    const vf<L> w = load<L>(weight + (i * K + j) * s.c);
                    for (int t = 0; t < 4; ++t) sum[t] += w * load<L>(row + (t * s.stride + j) * L);
                }
            }
            for (int t = 0; t < 4 && x + t < s.out_w; ++t) store<L>(out + (y * s.out_w + x + t) * s.c, sum[t]);
        }
    }
}

// Add to `total` (K, K, C) the products of `grad` (out_h, out_w, C) with the pixels of `in` that it came from.
template <typename T, int L, int K>
static void weight_gradient_image(const T *in, const T *grad, float *total, const Shape &s, float *rows) {
    const int64_t width = (s.out_w - 1) * s.stride + K;
    float *grads = rows + K * width * L;
    int64_t next = 0;
    for (int64_t y = 0; y < s.out_h; ++y) {
        for (; next < y * s.stride + K; ++next)
            fill_row<T, L>(rows + next % K * width * L, in, s, next - s.pad, width);
        for (int64_t x = 0; x < s.out_w; ++x) store<L>(grads + x * L, load<L>(grad + (y * s.out_w + x) * s.c));
        for (int i = 0; i < K; ++i) {
            const float *row = rows + (y * s.stride + i) % K * width * L;
            vf<L> sum[K] = {}; // of a row, which keeps sums short and so exact
            for (int64_t x = 0; x < s.out_w; ++x) {
                const vf<L> g = load<L>(grads + x * L);
                for (int j = 0; j < K; ++j) sum[j] += g * load<L>(row + (x * s.stride + j) * L);
            }
            for (int j = 0; j < K; ++j) {
                float *at = total + (i * K + j) * s.c;
                store<L>(at, load<L>(at) + sum[j]);
            }
        }
    }
}

template <typename T, int L, int K> struct Depthwise {
    static int64_t buffer(const Shape &s) { return (K + 1) * ((s.out_w + 3) * s.stride + K) * L; }

    static void convolve(const T *in, const float *weight, T *out, const Shape &s) {
        std::vector<float> rows(buffer(s) * omp_get_max_threads());
#pragma omp parallel for
        for (int64_t n = 0; n < s.n; ++n)
            for (int64_t c = 0; c < s.c; c += L)
                convolve_image<T, L, K>(in + n * s.h * s.w * s.c + c, weight + c,
                                        out + n * s.out_h * s.out_w * s.c + c, s,
                                        rows.data() + buffer(s) * omp_get_thread_num());
    }

    // `partial` is (pieces, K, K, C), zero.
    static void weight_gradient(const T *in, const T *grad, float *partial, const Shape &s, int64_t pieces) {
        std::vector<float> rows(buffer(s) * omp_get_max_threads());
#pragma omp parallel for
        for (int64_t piece = 0; piece < pieces; ++piece)
            for (int64_t n = piece * s.n / pieces; n < (piece + 1) * s.n / pieces; ++n)
                for (int64_t c = 0; c < s.c; c += L)
                    weight_gradient_image<T, L, K>(in + n * s.h * s.w * s.c + c,
                                                   grad + n * s.out_h * s.out_w * s.c + c,
                                                   partial + piece * K * K * s.c + c, s,
                                                   rows.data() + buffer(s) * omp_get_thread_num());
    }
};

// --- batch normalisation with SiLU ------------------------------------------------------------------------------

constexpr int64_t BLOCK = 64; // rows or pixels that are summed before their sum is added: short sums are exact

struct Rows {
    int64_t rows, channels;
    // Of about 65,536 values, which stay in a core's cache, but of 48 rows at least: sums of fewer fill the memory.
    int64_t pieces() const { return std::max<int64_t>(1, std::min(rows * channels / 65536, rows / 48)); }
    int64_t first(int64_t piece) const { return piece * rows / pieces(); }
};

struct Stats { // per channel
    float *mean, *inverse, *scale, *shift; // inverse: 1 / standard deviation; x · scale + shift is normalised
};

// Per piece and channel: pivot (a value of the channel), mean - pivot, sum of (x - mean)²; (pieces, 3, C).
// The mean follows every few rows, at first every four: squares far from it would bury the spread in their rounding.
template <typename T, int L> static void moments(const T *x, float *partial, const Rows &s) {
#pragma omp parallel for
    for (int64_t piece = 0; piece < s.pieces(); ++piece) {
        const int64_t start = s.first(piece), end = s.first(piece + 1);
        float *result = partial + piece * 3 * s.channels;
        for (int64_t c = 0; c < s.channels; c += L) {
            const vf<L> pivot = load<L>(x + start * s.channels + c);
            vf<L> offset = {}, spread = {};
            for (int64_t r = start; r < end;) {
                vf<L> sum = {}, squares = {};
                const int64_t more = std::clamp<int64_t>(r - start, 4, BLOCK);
                for (const int64_t stop = std::min(r + more, end); r < stop; ++r) {
                    const vf<L> d = load<L>(x + r * s.channels + c) - pivot - offset;
                    sum += d;
                    squares += d * d;
                }
                const vf<L> shift = sum / float(r - start);
                spread += squares - sum * shift;
                offset += shift;
            }
            store<L>(result + c, pivot);
            store<L>(result + s.channels + c, offset);
            store<L>(result + 2 * s.channels + c, spread);
        }
    }
}

// Put the moments of all pieces together; follow them with the running statistics. There are at least two rows.
static void finish(const float *partial, const Rows &s, const float *weight, const float *bias, double eps,
                   double momentum, float *running_mean, float *running_var, const Stats &stats) {
    for (int64_t c = 0; c < s.channels; ++c) {
        double count = 0, mean = 0, spread = 0; // Chan et al. 1979
        for (int64_t piece = 0; piece < s.pieces(); ++piece) {
            const float *p = partial + piece * 3 * s.channels + c;
            const double more = s.first(piece + 1) - s.first(piece);
            const double delta = double(p[0]) + p[s.channels] - mean;
            spread += p[2 * s.channels] + delta * delta * count * more / (count + more);
            count += more;
            mean += delta * more / count;
        }
        const double var = spread / count;
        stats.mean[c] = mean;
        stats.inverse[c] = 1 / std::sqrt(var + eps);
        stats.scale[c] = weight[c] * stats.inverse[c];
        stats.shift[c] = bias[c] - mean * stats.scale[c];
        running_mean[c] = momentum * mean + (1 - momentum) * running_mean[c];
        running_var[c] = momentum * spread / (count - 1) + (1 - momentum) * running_var[c];
    }
}

// y = act(x · scale + shift), act being SiLU or nothing.
template <typename T, int L, bool SILU> static void normalise(const T *x, const Stats &stats, T *y, const Rows &s) {
#pragma omp parallel for
    for (int64_t r = 0; r < s.rows; ++r)
        for (int64_t c = 0, at = r * s.channels; c < s.channels; c += L, at += L) {
            const vf<L> z = load<L>(x + at) * load<L>(stats.scale + c) + load<L>(stats.shift + c);
            store<L>(y + at, SILU ? z * sigmoid<L>(z) : z);
        }
}

// grad_z = grad_y · act'(z), and per piece and channel the sums of grad_z and of grad_z · (x - mean): (pieces, 2, C).
template <typename T, int L, bool SILU>
static void gradient_sums(const T *x, const T *grad, const Stats &stats, T *grad_z, float *partial, const Rows &s) {
#pragma omp parallel for
    for (int64_t piece = 0; piece < s.pieces(); ++piece)
        for (int64_t c = 0; c < s.channels; c += L) {
            const vf<L> mean = load<L>(stats.mean + c);
            const vf<L> scale = load<L>(stats.scale + c), shift = load<L>(stats.shift + c);
            vf<L> sum = {}, products = {};
            for (int64_t r = s.first(piece), at = r * s.channels + c; r < s.first(piece + 1); ++r, at += s.channels) {
                const vf<L> v = load<L>(x + at);
                vf<L> g = load<L>(grad + at);
                if (SILU) {
                    const vf<L> z = v * scale + shift, gate = sigmoid<L>(z);
                    g *= gate * (1.0f + z * (1.0f - gate));
                    store<L>(grad_z + at, g);
                }
                sum += g;
                products += g * (v - mean);
            }
            store<L>(partial + piece * 2 * s.channels + c, sum);
            store<L>(partial + (piece * 2 + 1) * s.channels + c, products);
        }
}

// grad_x = grad_z · scale + x · slope + offset per channel; `grad_x` may be `grad_z`.
template <typename T, int L>
static void gradient_input(const T *x, const T *grad_z, const float *scale, const float *slope, const float *offset,
                           T *grad_x, const Rows &s) {
#pragma omp parallel for
    for (int64_t r = 0; r < s.rows; ++r)
        for (int64_t c = 0, at = r * s.channels; c < s.channels; c += L, at += L)
            store<L>(grad_x + at, load<L>(grad_z + at) * load<L>(scale + c) + load<L>(x + at) * load<L>(slope + c) +
                                      load<L>(offset + c));
}

template <typename T, int L, bool SILU>
static void norm_backward(const T *x, const T *grad, const Stats &stats, T *grad_x, float *grad_weight,
                          float *grad_bias, const Rows &s) {
    std::vector<float> partial(s.pieces() * 2 * s.channels), slope(s.channels), offset(s.channels);
    gradient_sums<T, L, SILU>(x, grad, stats, grad_x, partial.data(), s);
    for (int64_t c = 0; c < s.channels; ++c) {
        double sum = 0, products = 0;
        for (int64_t piece = 0; piece < s.pieces(); ++piece) {
            sum += partial[piece * 2 * s.channels + c];
            products += partial[(piece * 2 + 1) * s.channels + c];
        }
        const double inverse = stats.inverse[c], scale = stats.scale[c];
        grad_bias[c] = sum;
        grad_weight[c] = products * inverse;
        slope[c] = -scale * inverse * inverse * products / s.rows;
        offset[c] = -scale * sum / s.rows - slope[c] * stats.mean[c];
    }
    gradient_input<T, L>(x, SILU ? grad_x : grad, stats.scale, slope.data(), offset.data(), grad_x, s);
}

// --- squeeze-and-excitation: x is (N, pixels, C), gates are (N, C) ----------------------------------------------

// Sum over the pixels of x, or of x · grad: (N, C).
template <typename T, int L>
static void pool(const T *x, const T *grad, float *sums, int64_t images, int64_t pixels, int64_t channels) {
#pragma omp parallel for
    for (int64_t n = 0; n < images; ++n)
        for (int64_t c = 0; c < channels; c += L) {
            vf<L> sum = {};
            for (int64_t i = 0, at = n * pixels * channels + c; i < pixels;) {
                vf<L> part = {};
                for (const int64_t stop = std::min(i + BLOCK, pixels); i < stop; ++i, at += channels)
                    part += grad ? load<L>(x + at) * load<L>(grad + at) : load<L>(x + at);
                sum += part;
            }
            store<L>(sums + n * channels + c, sum);
        }
}

// out = x · gate + offset.
template <typename T, int L>
static void excite(const T *x, const float *gate, const float *offset, T *out, int64_t images, int64_t pixels,
                   int64_t channels) {
#pragma omp parallel for
    for (int64_t n = 0; n < images; ++n)
        for (int64_t i = 0, at = n * pixels * channels; i < pixels; ++i)
            for (int64_t c = 0; c < channels; c += L, at += L)
                store<L>(out + at, load<L>(x + at) * load<L>(gate + n * channels + c) +
                                       load<L>(offset + n * channels + c));
}

// --- what Python calls: `half` says bfloat16, `silu` that the activation follows; 0 is success ------------------

// Run CALL with T and L bound: bfloat16 or float, 16 channels a vector where they divide evenly, else 8.
#define DISPATCH(half, channels, CALL)                                                                               \
    if (half && channels % 16 == 0) { typedef bf16 T; constexpr int L = 16; CALL; }                                  \
    else if (half) { typedef bf16 T; constexpr int L = 8; CALL; }                                                    \
    else if (channels % 16 == 0) { typedef float T; constexpr int L = 16; CALL; }                                    \
    else { typedef float T; constexpr int L = 8; CALL; }

typedef const void *In;
typedef void *Out;

// Run what may allocate; return 1 if there is no memory for it.
template <typename Run> static int guarded(Run run) {
    try {
        run();
    } catch (const std::bad_alloc &) {
        return 1;
    }
    return 0;
}

extern "C" {

int depthwise(int half, In in, const float *weight, Out out, const Shape *s, int64_t kernel) {
    return guarded([=] {
        if (kernel == 3) { DISPATCH(half, s->c, (Depthwise<T, L, 3>::convolve((const T *)in, weight, (T *)out, *s))) }
        else { DISPATCH(half, s->c, (Depthwise<T, L, 5>::convolve((const T *)in, weight, (T *)out, *s))) }
    });
}

int depthwise_weight(int half, In x, In grad, float *partial, const Shape *s, int64_t kernel, int64_t pieces) {
    return guarded([=] {
        if (kernel == 3) {
            DISPATCH(half, s->c,
                     (Depthwise<T, L, 3>::weight_gradient((const T *)x, (const T *)grad, partial, *s, pieces)))
        } else {
            DISPATCH(half, s->c,
                     (Depthwise<T, L, 5>::weight_gradient((const T *)x, (const T *)grad, partial, *s, pieces)))
        }
    });
}

int norm_forward(int half, int silu, In x, const float *weight, const float *bias, double eps, double momentum,
                 float *running_mean, float *running_var, Out y, float *stats_, int64_t rows, int64_t channels) {
    return guarded([=] {
        const Rows s{rows, channels};
        const Stats stats{stats_, stats_ + channels, stats_ + 2 * channels, stats_ + 3 * channels};
        std::vector<float> partial(s.pieces() * 3 * channels);
        DISPATCH(half, channels, (moments<T, L>((const T *)x, partial.data(), s)))
        finish(partial.data(), s, weight, bias, eps, momentum, running_mean, running_var, stats);
        if (silu) { DISPATCH(half, channels, (normalise<T, L, true>((const T *)x, stats, (T *)y, s))) }
        else { DISPATCH(half, channels, (normalise<T, L, false>((const T *)x, stats, (T *)y, s))) }
    });
}

int norm_backward(int half, int silu, In x, In grad, float *stats_, Out grad_x, float *grad_weight, float *grad_bias,
                  int64_t rows, int64_t channels) {
    return guarded([=] {
        const Rows s{rows, channels};
        const Stats stats{stats_, stats_ + channels, stats_ + 2 * channels, stats_ + 3 * channels};
        if (silu) {
            DISPATCH(half, channels, (norm_backward<T, L, true>((const T *)x, (const T *)grad, stats, (T *)grad_x,
                                                                grad_weight, grad_bias, s)))
        } else {
            DISPATCH(half, channels, (norm_backward<T, L, false>((const T *)x, (const T *)grad, stats, (T *)grad_x,
                                                                 grad_weight, grad_bias, s)))
        }
    });
}

int se_pool(int half, In x, In grad, float *sums, int64_t images, int64_t pixels, int64_t channels) {
    DISPATCH(half, channels, (pool<T, L>((const T *)x, (const T *)grad, sums, images, pixels, channels)))
    return 0;
}

int se_excite(int half, In x, const float *gate, const float *offset, Out out, int64_t images, int64_t pixels,
              int64_t channels) {
    DISPATCH(half, channels, (excite<T, L>((const T *)x, gate, offset, (T *)out, images, pixels, channels)))
    return 0;
}

} // extern "C"
