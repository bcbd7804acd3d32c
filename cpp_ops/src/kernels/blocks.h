// A range in blocks of nearly the same size: 25 joints in blocks of at most 9 are 9 + 8 + 8, never
// a block and a rest of one.
#pragma once

#include "bhar_ops/kernels.h"

namespace bhar {
namespace {

struct Blocks {
  std::int64_t total, count;

  constexpr Blocks(std::int64_t all, std::int64_t most)
      : total(all), count((all + most - 1) / most) {}
  constexpr std::int64_t size(std::int64_t i) const {
    return total / count + (i < total % count ? 1 : 0);
  }
};

}  // namespace
}  // namespace bhar
