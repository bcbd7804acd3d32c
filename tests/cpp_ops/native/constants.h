// Constants of the layers of networks under test.
#pragma once

#include <random>

#include "bhar_ops/network.h"

bhar::Array constants(bhar::Shape shape, std::mt19937& generator);

// Every joint of every person of source 0, a row each, to features 0.
bhar::InputLayer all_joints(std::int64_t joints, std::int64_t persons, std::int64_t channels,
                            std::mt19937& generator);

// A weight [G, ..., O] as integers, and features as bytes of a sixteenth; takes its values.
bhar::Integers take_integers(bhar::Array& weight);
