#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace zebra {

/// What a SentencePiece model file says, as far as another implementation must know it. The library
/// runs models but does not tell how they normalize and segment.
struct SentencePieceModel {
  enum class Algorithm { unigram = 1, bpe = 2, word = 3, character = 4 };
  enum class PieceType { normal = 1, unknown, control, user_defined, unused, byte };

  struct Piece {
    std::string text;  ///< UTF-8, U+2581 for a space
    float score = 0;   ///< BPE: pairs whose piece has the highest score merge first
    PieceType type = PieceType::normal;
  };

  std::vector<Piece> pieces;  ///< by id
  Algorithm algorithm = Algorithm::unigram;
  bool byte_fallback = false;     ///< bytes stand for characters without a piece
  bool space_after_word = false;  ///< the mark of a space ends words instead of beginning them
  std::string character_map;      ///< compiled normalization rules; empty: text stays as it is
  bool add_dummy_prefix = true;   ///< text gets a space in front
  bool remove_extra_whitespaces = true;  ///< at both ends, and all but one of a run of spaces
  bool escape_whitespaces = true;        ///< spaces become U+2581
};

/// Reads the protocol buffer. Throws InputError when the file cannot be read or is none.
SentencePieceModel read_sentencepiece_model(const std::filesystem::path& path);

/// The tokens between which a document stands.
struct DocumentTokens {
  std::int32_t bos = 0, eos = 0;
};

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
/// empty when it does. Only BPE models without normalization rules are exact; user-defined pieces
/// are, where text gets no space in front and keeps its spaces.
std::string obstacle_to_tokenizer_json(const SentencePieceModel& model);

/// The text of tokenizer.json, for a model without obstacle: the ids of a text are BOS and those of
/// SentencePiece.
std::string tokenizer_json(const SentencePieceModel& model, DocumentTokens tokens);

/// The token that fills the rows of a batch up: a control piece "<pad>" where there is one, else
/// the unknown piece, which training never has to learn to write (the end of a document it has),
/// else EOS.
std::int32_t padding_token(const SentencePieceModel& model, DocumentTokens tokens);

/// The text of tokenizer_config.json, which lets AutoTokenizer take tokenizer.json as it is. Text
/// like "<s>" is text, as in Zebra (`split_special_tokens`), unless `names_are_tokens`, which what
/// chat templates render needs. `longest`: tokens that the model is declared for.
std::string tokenizer_config_json(const SentencePieceModel& model, DocumentTokens tokens,
                                  std::int64_t longest, bool names_are_tokens = false);

}  // namespace zebra
