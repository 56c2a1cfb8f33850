#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace zebra {

/// What a SentencePiece model file says, as far as another implementation must know it. The library
/// runs models but does not tell how they normalise and segment.
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
  std::string character_map;      ///< compiled normalisation rules; empty: text stays as it is
  bool add_dummy_prefix = true;   ///< text gets a space in front
  bool remove_extra_whitespaces = true;  ///< at both ends, and all but one of a run of spaces
  bool escape_whitespaces = true;        ///< spaces become U+2581
};

/// Reads the protocol buffer. Throws InputError when the file cannot be read or is none.
SentencePieceModel read_sentencepiece_model(const std::filesystem::path& path);

}  // namespace zebra
