#pragma once

#include "config/config.h"
#include "data/tokenizer.h"

namespace zebra {

/// model.vocab_size, or the tokenizer's where it is absent. Throws InputError when it is less than
/// the tokenizer's.
std::int64_t model_vocabulary(const ModelSection& model, const Tokenizer& tokenizer);

}  // namespace zebra
