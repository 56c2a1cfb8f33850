#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "base/error.h"
#include "config/load.h"

namespace zebra::testing {

/// Reads `input` as a run file. Anything but an InputError that is thrown is a finding, and so is a
/// configuration that its own text does not bring back.
inline void try_run_file(std::string_view input) {
  std::string text;
  try {
    text = to_yaml(
        resolve(parse_run_file(std::string(input), "run.yaml"), /*tokenizer_vocabulary=*/300));
  } catch (const InputError&) {
    return;
  }
  try {
    if (to_yaml(resolve(parse_run_file(text, "again"))) == text) return;
  } catch (const InputError& error) {
    throw std::logic_error(std::string("its own text is refused: ") + error.what());
  }
  throw std::logic_error("its own text becomes another");
}

}  // namespace zebra::testing
