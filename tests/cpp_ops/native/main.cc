// Every kernel that this CPU can run: built natively with sanitizers and for AArch64 under an
// emulator, where no Python is at hand. Prints one line for each kernel and instruction set.

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "check.h"

namespace {

struct Check {
  const char* kernel;
  bool (*is_right)(bhar::Isa, std::mt19937&);
};

constexpr Check kChecks[] = {
    {"gelu", check_gelu},
    {"graph_aggregate", check_graph_aggregate},
    {"integer_conv", check_integer_conv},
    {"integer_graph_aggregate", check_integer_graph_aggregate},
    {"network", check_network},
    {"packed_floats", check_packed_floats},
    {"pairwise_tanh", check_pairwise_tanh},
    {"pooled_attention", check_pooled_attention},
    {"random_features", check_random_features},
    {"refined_aggregate", check_refined_aggregate},
    {"streams", check_streams},
    {"temporal_conv", check_temporal_conv},
    {"wide_conv", check_wide_conv},
};

}  // namespace

std::vector<float> random_values(std::int64_t count, std::mt19937& generator) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = normal(generator);
  return values;
}

bool near(float got, double exact, double bound, bhar::Isa isa, const char* kernel,
          std::int64_t index) {
  const bool good = std::isnan(exact) ? std::isnan(got) : std::fabs(got - exact) <= bound;
  if (!good) {
    std::printf("%s %s: out[%lld] = %g, expected %g\n", bhar::isa_name(isa), kernel,
                static_cast<long long>(index), got, exact);
  }
  return good;
}

int main() {
  std::mt19937 generator(7);
  bool good = true;
  for (const bhar::Isa isa : bhar::available_isas()) {
    for (const Check& check : kChecks) {
      const bool right = check.is_right(isa, generator);
      std::printf("%s %s %s\n", bhar::isa_name(isa), check.kernel, right ? "ok" : "FAILED");
      good &= right;
    }
  }
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
