#include "bhar_ops/integer_graph_aggregate.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "bhar_ops/graph_aggregate.h"
#include "bhar_ops/integer_conv.h"
#include "bhar_ops/kernels.h"
#include "dispatch.h"

namespace bhar {
namespace {

constexpr std::int64_t kMostTerms = 1 << 17;

[[noreturn]] void refuse(const std::string& got, const std::string& expected) {
  throw std::invalid_argument("got " + got + ", expected " + expected);
}

std::int64_t rounded_up(std::int64_t count, std::int64_t whole) {
  return (count + whole - 1) / whole * whole;
}

void expect_small(const std::int8_t* a, std::int64_t count) {
  constexpr auto kMost = static_cast<std::uint8_t>(kMostInteger);
  std::uint8_t beyond = 0;  // in bytes alone, so that compilers make vectors of it
  for (std::int64_t i = 0; i < count; ++i) {
    const auto above = static_cast<std::uint8_t>(static_cast<std::uint8_t>(a[i]) + kMost);
    beyond |= static_cast<std::uint8_t>(above > 2 * kMost);
  }
  if (beyond == 0) return;
  const std::int8_t* wrong = std::find_if(
      a, a + count, [](int value) { return value < -kMostInteger || value > kMostInteger; });
  refuse("an a in integers of " + std::to_string(*wrong),
         std::to_string(-kMostInteger) + " to " + std::to_string(kMostInteger));
}

// Groups of rows that share an adjacency, as convolutions by one joint: the taps are partitions,
// the channels joints. The adjacency is packed for their kernel.
class Groups {
 public:
  Groups(const IntegerGraphAggregate& p, std::int64_t k, std::int64_t v, std::int64_t w, Isa isa)
      : v_(v),
        inputs_(rounded_up(v, kInputsAtOnce)),
        outputs_(rounded_up(w, kChannelBlock)),
        zero_(static_cast<double>(p.zero)),
        weight_(static_cast<std::size_t>(k * inputs_ * outputs_)),
        none_(static_cast<std::size_t>(w)),
        totals_(static_cast<std::size_t>(outputs_)),
        scale_(totals_.size()),
        bias_(totals_.size()),
        copies_(static_cast<std::size_t>(k * inputs_)),
        taps_(static_cast<std::size_t>(k)),
        kernel_(integer_kernels(isa).conv) {
    for (std::size_t o = 0; o < none_.size(); ++o) {
      scale_[o] = static_cast<float>(static_cast<double>(p.step) * p.scale[o]);
    }
    frame_.weight = weight_.data();
    frame_.totals = totals_.data();
    frame_.scale = scale_.data();
    frame_.bias = bias_.data();
    frame_.taps = taps_.data();
    frame_.k = k;
    frame_.inputs = inputs_;
    frame_.outputs = frame_.out_stride = w;
    frame_.out_block = kChannelBlock;
    frame_.x_stride = v;
    frame_.slope = 1.0f;
  }

  // a: [K, V, W], partitions a stride apart.
  void pack(const std::int8_t* a, std::int64_t a_k_stride) {
    std::fill(totals_.begin(), totals_.end(), 0);
    std::int8_t* to = weight_.data();
    for (std::int64_t k = 0; k < frame_.k; ++k, a += a_k_stride) {
      for (std::int64_t v = 0; v < v_; v += kInputsAtOnce, to += kInputsAtOnce * outputs_) {
        const std::int8_t* rows[kInputsAtOnce];
        for (std::int64_t i = 0; i < kInputsAtOnce; ++i) {
          rows[i] = v + i < v_ ? a + (v + i) * frame_.outputs : none_.data();
        }
        pack_four(rows[0], rows[1], rows[2], rows[3], to);
      }
    }
    for (std::size_t o = 0; o < none_.size(); ++o) {
      // (byte - zero) * a: what the zero adds is the same in every row.
      bias_[o] = static_cast<float>(-static_cast<double>(scale_[o]) * zero_ * totals_[o]);
    }
  }

  // x: [K, rows, V], partitions a stride apart; `left` bytes from its begin to where the array
  // ends.
  void compute(const std::uint8_t* x, std::int64_t x_k_stride, std::int64_t left, std::int64_t rows,
               float* out) {
    for (std::size_t k = 0; k < taps_.size(); ++k) {
      taps_[k] = x + static_cast<std::int64_t>(k) * x_k_stride;
    }
    // Four joints are read at a time: with the last ones of a row what follows it, which counts
    // nothing. Where the array ends, so that nothing follows, rows are copied.
    const std::int64_t room = left - (frame_.k - 1) * x_k_stride - inputs_;
    std::int64_t whole = rows;
    if (!copies_.empty()) whole = room < 0 ? 0 : std::min(rows, room / v_ + 1);
    frame_.rows = whole;
    frame_.out = out;
    kernel_(frame_);
    frame_.rows = 1;
    for (std::int64_t row = whole; row < rows; ++row) {
      for (std::size_t k = 0; k < taps_.size(); ++k) {
        std::uint8_t* copy = copies_.data() + static_cast<std::int64_t>(k) * inputs_;
        const std::uint8_t* from = x + static_cast<std::int64_t>(k) * x_k_stride + row * v_;
        std::copy_n(from, v_, copy);
        taps_[k] = copy;
      }
      frame_.out = out + row * frame_.out_stride;
      kernel_(frame_);
    }
  }

 private:
  // Side by side what four joints give to one. Compilers make vectors of it.
  void pack_four(const std::int8_t* __restrict first, const std::int8_t* __restrict second,
                 const std::int8_t* __restrict third, const std::int8_t* __restrict fourth,
                 std::int8_t* __restrict to) {
    const std::int64_t count = frame_.outputs;
    std::int32_t* __restrict totals = totals_.data();
    for (std::int64_t o = 0; o < count; ++o) {
      to[kInputsAtOnce * o] = first[o];
      to[kInputsAtOnce * o + 1] = second[o];
      to[kInputsAtOnce * o + 2] = third[o];
      to[kInputsAtOnce * o + 3] = fourth[o];
    }
    for (std::int64_t o = 0; o < count; ++o) {
      totals[o] += first[o] + second[o] + third[o] + fourth[o];
    }
  }

  std::int64_t v_, inputs_, outputs_;
  double zero_;
  std::vector<std::int8_t> weight_, none_;
  std::vector<std::int32_t> totals_;
  std::vector<float> scale_, bias_;
  std::vector<std::uint8_t> copies_;
  std::vector<const std::uint8_t*> taps_;
  IntegerConvFn kernel_;
  IntegerConvFrame frame_{};
};

}  // namespace

std::array<std::int64_t, 4> integer_graph_aggregate_shape(const IntegerGraphAggregate& p) {
  const auto shape = graph_aggregate_shape(p.x_shape, p.a_shape);
  if (p.scale_shape != Shape{shape[3]}) {
    refuse("scale " + to_string(p.scale_shape), to_string({shape[3]}) + " to fit a");
  }
  const std::int64_t terms = p.x_shape[1] * rounded_up(p.x_shape[4], kInputsAtOnce);
  if (terms > kMostTerms) {
    refuse(std::to_string(terms) + " products of one sum in integers",
           "at most " + std::to_string(kMostTerms));
  }
  expect_bytes(p.step, p.zero);
  expect_small(p.a, element_count(p.a_shape));
  return shape;
}

void integer_graph_aggregate(const IntegerGraphAggregate& p, float* out, Isa isa) {
  const auto [n, c, t, w] = graph_aggregate_shape(p.x_shape, p.a_shape);
  const std::int64_t k = p.x_shape[1], v = p.x_shape[4];
  const bool channel_wise = p.a_shape.size() == 5;
  const std::int64_t inner = channel_wise ? c : 1, rows = channel_wise ? t : c * t;
  const std::int64_t partition = c * t * v, a_partition = (channel_wise ? c : 1) * v * w;
  if (n * c * t * w == 0) return;
  Groups groups(p, k, v, w, isa);
  if (!channel_wise) groups.pack(p.a, a_partition);
  for (std::int64_t g = 0; g < n * inner; ++g, out += rows * w) {
    const std::int64_t outer = g / inner * k, at = outer * partition + g % inner * t * v;
    if (channel_wise) groups.pack(p.a + outer * a_partition + g % inner * v * w, a_partition);
    groups.compute(p.x + at, partition, n * k * partition - at, rows, out);
  }
}

}  // namespace bhar
