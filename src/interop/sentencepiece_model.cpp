#include "interop/sentencepiece_model.h"

#include <bit>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "base/file.h"

namespace zebra {
namespace {

// A message of protocol buffers on the wire: fields of a number and a value, in any order
// (https://protobuf.dev/programming-guides/encoding).
class Message {
 public:
  explicit Message(std::string_view bytes) : rest_(bytes) {}

  /// Reads the next field; false at the end.
  bool next() {
    if (rest_.empty()) return false;
    const std::uint64_t tag = varint();
    field_ = tag >> 3U;
    switch (tag & 7U) {
      case 0:
        number_ = varint();
        break;
      case 1:
        number_ = fixed(8);
        break;
      case 2:
        bytes_ = take(varint());
        break;
      case 5:
        number_ = fixed(4);
        break;
      default:
        throw InputError("a field of an unknown kind");
    }
    return true;
  }

  std::uint64_t field() const { return field_; }
  std::string_view bytes() const { return bytes_; }
  bool flag() const { return number_ != 0; }
  int choice() const { return static_cast<int>(number_); }
  float real() const { return std::bit_cast<float>(static_cast<std::uint32_t>(number_)); }

 private:
  std::string_view take(std::uint64_t size) {
    if (size > rest_.size()) throw InputError("it ends within a field");
    const auto taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1).front());
      value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
      if (byte < 0x80U) return value;
    }
    throw InputError("a number of more than ten bytes");
  }

  std::uint64_t fixed(unsigned size) {
    std::uint64_t value = 0;
    const auto bytes = take(size);
    for (unsigned i = 0; i < size; ++i) {
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
    }
    return value;
  }

  std::string_view rest_, bytes_;
  std::uint64_t field_ = 0, number_ = 0;
};

// Numbers of the fields in sentencepiece_model.proto of SentencePiece 0.1.97.
SentencePieceModel::Piece read_piece(Message message) {
  SentencePieceModel::Piece piece;
  while (message.next()) {
    if (message.field() == 1) piece.text = message.bytes();
    if (message.field() == 2) piece.score = message.real();
    if (message.field() == 3) {
      piece.type = static_cast<SentencePieceModel::PieceType>(message.choice());
    }
  }
  return piece;
}

void read_training(Message message, SentencePieceModel& model) {
  while (message.next()) {
    if (message.field() == 3) {
      model.algorithm = static_cast<SentencePieceModel::Algorithm>(message.choice());
    }
    if (message.field() == 24) model.space_after_word = message.flag();
    if (message.field() == 35) model.byte_fallback = message.flag();
  }
}

void read_normalization(Message message, SentencePieceModel& model) {
  while (message.next()) {
    if (message.field() == 2) model.character_map = message.bytes();
    if (message.field() == 3) model.add_dummy_prefix = message.flag();
    if (message.field() == 4) model.remove_extra_whitespaces = message.flag();
    if (message.field() == 5) model.escape_whitespaces = message.flag();
  }
}

}  // namespace

SentencePieceModel read_sentencepiece_model(const std::filesystem::path& path) {
  const std::string content = read_file(path);
  SentencePieceModel model;
  try {
    Message message(content);
    while (message.next()) {
      if (message.field() == 1) model.pieces.push_back(read_piece(Message(message.bytes())));
      if (message.field() == 2) read_training(Message(message.bytes()), model);
      if (message.field() == 3) read_normalization(Message(message.bytes()), model);
    }
  } catch (const InputError& error) {
    throw InputError(path.string() + ": not a SentencePiece model: " + error.what());
  }
  if (model.pieces.empty())
    throw InputError(path.string() + ": not a SentencePiece model: it has no pieces");
  return model;
}

}  // namespace zebra
