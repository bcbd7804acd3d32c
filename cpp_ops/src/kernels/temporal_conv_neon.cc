// NEON: blocks of up to 6 rows x 16 channels, so 24 sums stay in registers over all of K and I.
// The loops of a block are unrolled by request: GCC alone keeps the sums on the stack (2x slower).
//
// NEON has no masked load. The last vector of a row is moved back to end at the last channel, so
// it overlaps its neighbour and gives the same sums again; fewer than 4 channels go one by one.

#include "bhar_ops/kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>

namespace bhar {
namespace {

constexpr int kLanes = 4;
constexpr int kBlockRows = 6;
constexpr int kBlockVectors = 4;

template <int Rows, int Vectors>
void block(const TemporalConvFrame& p, std::int64_t row, std::int64_t o) {
  float32x4_t sums[Rows][Vectors];
#pragma GCC unroll 4
  for (int i = 0; i < Vectors; ++i) {
    const float32x4_t bias = vld1q_f32(p.bias + o + i * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) sums[r][i] = bias;
  }
  const float* weight = p.weight + o;
  for (std::int64_t k = 0; k < p.k; ++k) {
    const float* x = p.taps[k] + row * p.inputs;
    for (std::int64_t c = 0; c < p.inputs; ++c, ++x, weight += p.outputs) {
      float32x4_t columns[Vectors];
#pragma GCC unroll 4
      for (int i = 0; i < Vectors; ++i) columns[i] = vld1q_f32(weight + i * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
        const float32x4_t joint = vld1q_dup_f32(x + r * p.inputs);
#pragma GCC unroll 4
        for (int i = 0; i < Vectors; ++i) sums[r][i] = vfmaq_f32(sums[r][i], joint, columns[i]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
    float* out = p.out + (row + r) * p.outputs + o;
#pragma GCC unroll 4
    for (int i = 0; i < Vectors; ++i) {
      const float32x4_t sum = sums[r][i];
      const uint32x4_t below = vcltq_f32(sum, vdupq_n_f32(0.0f));
      vst1q_f32(out + i * kLanes, vbslq_f32(below, vmulq_n_f32(sum, p.slope), sum));
    }
  }
}

// Rows in blocks of nearly the same size: 25 joints are 5 blocks of 5, never a block and a rest of
// one.
template <int Vectors>
void all_rows(const TemporalConvFrame& p, std::int64_t o) {
  const std::int64_t blocks = (p.rows + kBlockRows - 1) / kBlockRows;
  std::int64_t first = 0;
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t rows = p.rows / blocks + (b < p.rows % blocks ? 1 : 0);
    switch (rows) {
      case 6: block<6, Vectors>(p, first, o); break;
      case 5: block<5, Vectors>(p, first, o); break;
      case 4: block<4, Vectors>(p, first, o); break;
      case 3: block<3, Vectors>(p, first, o); break;
      case 2: block<2, Vectors>(p, first, o); break;
      case 1: block<1, Vectors>(p, first, o); break;
    }
    first += rows;
  }
}

void one_channel(const TemporalConvFrame& p, std::int64_t o) {
  for (std::int64_t r = 0; r < p.rows; ++r) {
    float sum = p.bias[o];
    const float* weight = p.weight + o;
    for (std::int64_t k = 0; k < p.k; ++k) {
      const float* x = p.taps[k] + r * p.inputs;
      for (std::int64_t c = 0; c < p.inputs; ++c, weight += p.outputs) sum += x[c] * *weight;
    }
    p.out[r * p.outputs + o] = sum < 0.0f ? p.slope * sum : sum;
  }
}

void run(const TemporalConvFrame& p) {
  std::int64_t o = 0;
  for (; o + kBlockVectors * kLanes <= p.outputs; o += kBlockVectors * kLanes) {
    all_rows<kBlockVectors>(p, o);
  }
  for (; o + kLanes <= p.outputs; o += kLanes) all_rows<1>(p, o);
  if (o == p.outputs) return;
  if (p.outputs >= kLanes) {
    all_rows<1>(p, p.outputs - kLanes);
  } else {
    for (; o < p.outputs; ++o) one_channel(p, o);
  }
}

}  // namespace

const TemporalConvFn temporal_conv_f32_neon = run;

}  // namespace bhar

#else

const bhar::TemporalConvFn bhar::temporal_conv_f32_neon = nullptr;

#endif
