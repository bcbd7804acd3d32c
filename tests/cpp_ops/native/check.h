// What the checks of single kernels share. Each runs one kernel on one instruction set against sums
// in double, says what differs, and returns whether all was right.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "bhar_ops/isa.h"

// Exactly `count` floats, so that a sanitizer sees any read or write past the end.
std::vector<float> random_values(std::int64_t count, std::mt19937& generator);

// Within `bound` of the exact sum, or NaN where that is NaN; prints what differs.
bool near(float got, double exact, double bound, bhar::Isa isa, const char* kernel,
          std::int64_t index);

// Of the whole program, so far.
std::int64_t allocations();

bool check_gelu(bhar::Isa isa, std::mt19937& generator);
bool check_graph_aggregate(bhar::Isa isa, std::mt19937& generator);
bool check_integer_conv(bhar::Isa isa, std::mt19937& generator);
bool check_integer_graph_aggregate(bhar::Isa isa, std::mt19937& generator);
bool check_network(bhar::Isa isa, std::mt19937& generator);
bool check_packed_floats(bhar::Isa isa, std::mt19937& generator);
bool check_pairwise_tanh(bhar::Isa isa, std::mt19937& generator);
bool check_pooled_attention(bhar::Isa isa, std::mt19937& generator);
bool check_random_features(bhar::Isa isa, std::mt19937& generator);
bool check_refined_aggregate(bhar::Isa isa, std::mt19937& generator);
bool check_streams(bhar::Isa isa, std::mt19937& generator);
bool check_temporal_conv(bhar::Isa isa, std::mt19937& generator);
bool check_wide_conv(bhar::Isa isa, std::mt19937& generator);
