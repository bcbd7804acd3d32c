#include "constants.h"

#include <cmath>
#include <utility>

#include "check.h"

bhar::Array constants(bhar::Shape shape, std::mt19937& g) {
  const std::vector<float> values = random_values(bhar::element_count(shape), g);
  bhar::Array array{std::move(shape), {values.begin(), values.end()}};
  for (float& value : array.values) value *= 0.3f;
  return array;
}

bhar::Integers take_integers(bhar::Array& weight) {
  bhar::Integers integers{{}, {}, 0.0625f, 128};
  integers.scale.assign(static_cast<std::size_t>(weight.shape.front() * weight.shape.back()),
                        0.02f);
  for (const float value : weight.values) {
    const float whole = std::nearbyint(value / 0.02f);
    integers.values.push_back(static_cast<std::int8_t>(std::fmax(-63.0f, std::fmin(whole, 63.0f))));
  }
  weight.values.clear();
  return integers;
}
