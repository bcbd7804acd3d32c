// Constants of the layers of networks under test.
#pragma once

#include <random>

#include "bhar_ops/network.h"

bhar::Array constants(bhar::Shape shape, std::mt19937& generator);

// Every joint of every person of source 0, a row each, to features 0.
bhar::InputLayer all_joints(std::int64_t joints, std::int64_t persons, std::int64_t channels,
                            std::mt19937& generator);

// Of streams of `shown` channels in `heads` heads; window 0: over clips.
bhar::PooledAttentionLayer pooled_attention(bhar::Part x, bhar::Part context, std::int64_t shown,
                                            std::int64_t heads, std::int64_t random,
                                            std::int64_t classes, std::int64_t window,
                                            std::mt19937& generator);

// A weight [G, ..., O] as integers, and features as bytes of a sixteenth; takes its values.
bhar::Integers take_integers(bhar::Array& weight);
