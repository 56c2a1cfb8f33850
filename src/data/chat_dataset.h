#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "data/document_reader.h"
#include "data/pack.h"

namespace zebra {

struct ChatOptions {
  DocumentReaderOptions input;  ///< JSONL; skip_bad_lines also leaves out bad conversations
  std::filesystem::path tokenizer;
  std::string chat_template;  ///< see open_chat_template
  std::filesystem::path output;
  bool keep_control_text = false;  ///< text that spells a control token stays, as text
  int threads = 0;                 ///< that encode; 0: one for each core
  bool overwrite = false;
};

/// Tokens are those of the conversations as they were written.
struct ChatReport {
  PackedDataset dataset;  ///< its documents are the conversations
  std::int64_t targets = 0;
  std::int64_t longest = 0;          ///< conversation, in tokens
  std::int64_t bad_lines = 0;        ///< left out: they hold no conversation that fits the template
  std::int64_t without_target = 0;   ///< left out: nothing in them is trained
  std::int64_t control_text = 0;     ///< left out, or with keep_control_text kept
  std::int64_t half_surrogates = 0;  ///< conversations in which some became U+FFFD
  std::string end_of_turn;           ///< what an answer ends with
  bool has_end_token = false;        ///< whether a control token is in that
  double seconds = 0.0;
};

/// Renders conversations, one a line, by a template and encodes them: each becomes a document whose
/// loss mask says what is trained. The output depends on the inputs, their order, the tokenizer and
/// the template, not on the number of threads. On any failure no output is left.
/// Throws InputError for bad options and, unless they are to be left out, for lines that hold no
/// conversation, conversations of which nothing is trained, and those whose text spells a control
/// token; RunError when the output cannot be written.
ChatReport write_chat_dataset(const ChatOptions& options);

}  // namespace zebra
