// What is packed comes back to within a 65534th of the greatest it shares a scale with; what is no
// finite number comes back as none; and packed again, nothing changes any more.

#include "bhar_ops/packed_floats.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "check.h"

namespace {

constexpr std::int64_t kShare = 32;

std::vector<float> there_and_back(const std::vector<float>& x) {
  const auto count = static_cast<std::int64_t>(x.size());
  std::vector<float> packed(static_cast<std::size_t>(bhar::packed_size(count))), back(x.size());
  bhar::pack_floats(x.data(), count, packed.data());
  bhar::unpack_floats(packed.data(), count, back.data());
  return back;
}

}  // namespace

bool check_packed_floats(bhar::Isa isa, std::mt19937& generator) {
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  bool good = true;
  for (const std::int64_t count : {0, 1, 31, 32, 33, 64, 97, 1000}) {
    for (const float size : {1.0f, 1e-20f, 1e30f, 0.0f}) {
      std::vector<float> x = random_values(count, generator);
      for (float& value : x) value *= size;
      const std::vector<float> back = there_and_back(x), again = there_and_back(back);
      for (std::int64_t i = 0; i < count; ++i) {
        const auto first = x.begin() + i / kShare * kShare;
        const auto last = x.begin() + std::min(count, i / kShare * kShare + kShare);
        float most = 0.0f;
        for (auto other = first; other != last; ++other) most = std::max(most, std::fabs(*other));
        const auto at = static_cast<std::size_t>(i);
        // A little for the rounding of the scale itself, and of what it multiplies.
        good &= near(back[at], x[at], most * (0.5 / 32767 + 3e-7), isa, "packed_floats", i);
        good &= near(again[at], back[at], most * 3e-7, isa, "packed_floats again", i);
      }
    }
  }
  for (const float odd : {kNone, -kNone, kInfinity, -kInfinity}) {
    std::vector<float> x = random_values(3 * kShare, generator);
    x[kShare + 5] = odd;
    const std::vector<float> back = there_and_back(x);
    for (std::int64_t i = 0; i < 3 * kShare; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const float expected = i / kShare == 1 ? kNone : x[at];
      good &= near(back[at], expected, 1e-3, isa, "packed_floats, no number", i);
    }
  }
  return good;
}
