#pragma once

#include <stdexcept>
#include <string_view>
#include <variant>

#include "data/document_reader.h"

namespace zebra::testing {

/// Reads `input` as a line of JSONL. Anything thrown is a finding, and so is a document where
/// nothing was read.
inline void try_json_line(std::string_view input) {
  const auto read = parse_json_line(input, "text");
  if (std::holds_alternative<JsonDocument>(read) && input.find('{') == input.npos)
    throw std::logic_error("a document without an object");
}

}  // namespace zebra::testing
