#include "cli/model_vocabulary.h"

#include "base/error.h"

namespace zebra {

std::int64_t model_vocabulary(const ModelSection& model, const Tokenizer& tokenizer) {
  const auto needed = tokenizer.vocab_size();
  const auto given = model.vocab_size.value_or(needed);
  if (given < needed) {
    throw InputError("model.vocab_size: " + std::to_string(given) + " is less than the " +
                     std::to_string(needed) + " pieces of " + tokenizer.path().string() +
                     "; leave it out, or set at least " + std::to_string(needed));
  }
  return given;
}

}  // namespace zebra
