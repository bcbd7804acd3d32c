// Constants of the layers of networks under test.
#pragma once

#include <random>

#include "bhar_ops/network.h"

bhar::Array constants(bhar::Shape shape, std::mt19937& generator);

// A weight [G, ..., O] as integers, and features as bytes of a sixteenth; takes its values.
bhar::Integers take_integers(bhar::Array& weight);
