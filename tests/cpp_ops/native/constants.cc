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

bhar::InputLayer all_joints(std::int64_t joints, std::int64_t persons, std::int64_t channels,
                            std::mt19937& g) {
  bhar::InputLayer enter;
  enter.out = {0};
  for (std::int64_t row = 0; row < persons * joints; ++row) {
    enter.rows.push_back({0, row % joints, row / joints});
  }
  enter.scale = constants({persons * joints, channels}, g);
  enter.shift = constants({persons * joints, channels}, g);
  return enter;
}

bhar::PooledAttentionLayer pooled_attention(bhar::Part x, bhar::Part context, std::int64_t shown,
                                            std::int64_t heads, std::int64_t random,
                                            std::int64_t classes, std::int64_t window,
                                            std::mt19937& g) {
  return {x,
          context,
          constants({3, shown, shown}, g),
          constants({3, shown}, g),
          constants({3, shown, shown}, g),
          constants({3, shown}, g),
          constants({3, shown / heads, random}, g),
          constants({3, heads, shown, classes}, g),
          constants({classes}, g),
          window};
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
