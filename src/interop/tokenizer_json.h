#pragma once

#include <cstdint>
#include <string>

#include "interop/exported_config.h"
#include "interop/sentencepiece_model.h"

namespace zebra {

// A SentencePiece model in the format of HuggingFace's tokenizers library.
//
// SentencePiece's BPE joins any two neighbours whose text together is a piece, the pair whose piece
// has the highest score first, of equal scores the leftmost. tokenizers has a ranked list of pairs.
// So the list has every pair of pieces that make a piece, by the score of what they make. Pairs
// that make the same piece are equals in SentencePiece and follow each other here; that matters
// only where two of them overlap, as "ab" "a" "ba" would for "aba", which merging does not seem to
// leave behind: no text is known that comes out differently. Bytes, control and user-defined pieces
// are in no pair: they never come about by merging.

/// Why tokenizer.json would not segment every text as the model does, to be read after "because";
/// empty when it does. Only BPE models without normalisation rules are exact; user-defined pieces
/// are, where text gets no space in front and keeps its spaces.
std::string obstacle_to_tokenizer_json(const SentencePieceModel& model);

/// The text of tokenizer.json, for a model without obstacle: the ids of a text are BOS and those of
/// SentencePiece.
std::string tokenizer_json(const SentencePieceModel& model, DocumentTokens tokens);

/// The text of tokenizer_config.json, which lets AutoTokenizer take tokenizer.json as it is. Text
/// like "<s>" is text, as in Zebra (`split_special_tokens`). `longest`: tokens that the model is
/// declared for.
std::string tokenizer_config_json(const SentencePieceModel& model, DocumentTokens tokens,
                                  std::int64_t longest);

}  // namespace zebra
