#pragma once

#include <stdexcept>
#include <string_view>
#include <variant>

#include "data/document_reader.h"

namespace zebra::testing {

/// Reads `input` as a line of JSONL. Anything thrown is a finding, and so is a document that is not
/// UTF-8.
inline void try_json_line(std::string_view input) {
  const auto read = parse_json_line(input, "text");
  const auto* document = std::get_if<JsonDocument>(&read);
  if (document == nullptr) return;
  if (!is_valid_utf8(document->text) || !is_valid_utf8(document->prompt.value_or("")))
    throw std::logic_error("a text that is not UTF-8");
}

}  // namespace zebra::testing
