#include "data/token_dataset_format.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace zebra {

ChunkedFileWriter::ChunkedFileWriter(std::filesystem::path path, std::uint64_t chunk_bytes)
    : writer_(std::move(path)), chunk_bytes_(chunk_bytes) {}

void ChunkedFileWriter::write(const void* data, std::size_t bytes) {
  writer_.write(data, bytes);
  const auto* cursor = static_cast<const std::byte*>(data);
  while (bytes > 0) {
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(bytes, chunk_bytes_ - bytes_in_chunk_));
    hasher_.update(cursor, count);
    cursor += count;
    bytes -= count;
    bytes_in_chunk_ += count;
    if (bytes_in_chunk_ == chunk_bytes_) end_chunk();
  }
}

void ChunkedFileWriter::end_chunk() {
  chunk_hashes_.push_back(std::exchange(hasher_, Hasher()).digest());
  bytes_in_chunk_ = 0;
}

ChunkedFileContent ChunkedFileWriter::commit() {
  if (bytes_in_chunk_ > 0) end_chunk();
  writer_.commit();
  return {writer_.bytes_written(), chunk_hashes_};
}

ChunkedFile::ChunkedFile(const std::filesystem::path& path, ChunkedFileContent content,
                         std::uint64_t chunk_bytes, Inspection inspection)
    : ChunkedFile(path, content, {0, content.bytes}, chunk_bytes, std::move(inspection)) {}

ChunkedFile::ChunkedFile(const std::filesystem::path& path, ChunkedFileContent content,
                         FilePart part, std::uint64_t chunk_bytes, Inspection inspection)
    : path_(path),
      content_(std::move(content)),
      part_(part),
      chunk_bytes_(chunk_bytes),
      inspection_(std::move(inspection)),
      file_(path),
      descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)),
      is_verified_(std::make_unique<std::atomic<bool>[]>(content_.chunk_hashes.size())) {
  if (file_.size() == part_.file_bytes) {
    notice_change();
    has_changed_ = false;
    return;
  }
  ::close(descriptor_);  // the destructor will not run
  throw InputError(
      path.string() + (file_.size() < part_.file_bytes ? ": is truncated: " : ": is too long: ") +
      with_commas(static_cast<std::int64_t>(file_.size())) + " bytes where dataset.json says " +
      with_commas(static_cast<std::int64_t>(part_.file_bytes)) +
      "; copy it again or make the dataset anew");
}

ChunkedFile::~ChunkedFile() { ::close(descriptor_); }

void ChunkedFile::notice_change() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) {
    throw RunError(path_.string() + ": cannot be read any more: " + std::strerror(errno));
  }
  if (static_cast<std::uint64_t>(status.st_size) != part_.file_bytes) {
    throw RunError(
        path_.string() + ": has changed while it was in use: " + with_commas(status.st_size) +
        " bytes where there were " + with_commas(static_cast<std::int64_t>(part_.file_bytes)) +
        "; put the dataset back as it was and start again");
  }
  constexpr std::int64_t kNanoseconds = 1'000'000'000;
  const std::int64_t time = status.st_mtim.tv_sec * kNanoseconds + status.st_mtim.tv_nsec;
  if (time == time_) return;
  const std::lock_guard lock(mutex_);
  if (time_.exchange(time) == time) return;
  has_changed_ = true;
  for (std::size_t i = 0; i < content_.chunk_hashes.size(); ++i) is_verified_[i] = false;
}

std::span<const std::byte> ChunkedFile::verified(std::uint64_t begin, std::uint64_t count) const {
  notice_change();
  if (count > 0) {
    const std::uint64_t last = (begin + count - 1) / chunk_bytes_;
    for (std::uint64_t chunk = begin / chunk_bytes_; chunk <= last; ++chunk) {
      if (!is_verified_[chunk].load(std::memory_order_acquire)) verify_chunk(chunk);
    }
  }
  return file_.bytes().subspan(part_.first_byte + begin, count);
}

void ChunkedFile::verify_chunk(std::size_t chunk) const {
  const std::lock_guard lock(mutex_);
  if (is_verified_[chunk].load(std::memory_order_relaxed)) return;
  const std::uint64_t begin = chunk * chunk_bytes_;
  const std::uint64_t end = std::min(begin + chunk_bytes_, content_.bytes);
  const auto bytes = file_.bytes().subspan(part_.first_byte + begin, end - begin);
  const std::string hash = hash_of({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  const std::string place = "the bytes from " + std::to_string(part_.first_byte + begin) + " to " +
                            std::to_string(part_.first_byte + end);
  if (hash != content_.chunk_hashes[chunk] && has_changed_) {
    throw RunError(path_.string() + ": was overwritten while it was in use: " + place +
                   " are other ones; put the dataset back as it was and start again");
  }
  inspection_(bytes, begin);
  if (hash != content_.chunk_hashes[chunk]) {
    throw InputError(path_.string() + ": is corrupt: " + place +
                     " are not those that were written; copy it again or make the dataset anew");
  }
  is_verified_[chunk].store(true, std::memory_order_release);
}

namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kFormatVersion = 1;
constexpr std::int64_t kLabelsOnlyVersion = 2;  // with a label_stand_in, which version 1 lacks
constexpr std::int64_t kPiecesVersion = 3;      // with token_files in the place of tokens.bin

std::int64_t format_version(const TokenDatasetDescription& description) {
  if (!description.pieces.empty()) return kPiecesVersion;
  return description.label_stand_in ? kLabelsOnlyVersion : kFormatVersion;
}

Json file_to_json(const ChunkedFileContent& content) {
  return {{"bytes", content.bytes}, {"chunk_hashes", content.chunk_hashes}};
}

ChunkedFileContent file_from_json(const Json& json) {
  return {json.at("bytes").get<std::uint64_t>(),
          json.at("chunk_hashes").get<std::vector<std::string>>()};
}

Json piece_to_json(const TokenPiece& piece) {
  return {{"first_byte", piece.part.first_byte},
          {"file_bytes", piece.part.file_bytes},
          {"token_bytes", piece.token_bytes},
          {"tokens", piece.tokens},
          {"chunk_hashes", piece.content.chunk_hashes}};
}

TokenPiece piece_from_json(const Json& json) {
  TokenPiece piece;
  piece.file = json.at("file").get<std::string>();
  piece.part = {json.at("first_byte").get<std::uint64_t>(),
                json.at("file_bytes").get<std::uint64_t>()};
  piece.token_bytes = json.at("token_bytes").get<std::int64_t>();
  piece.tokens = json.at("tokens").get<std::int64_t>();
  piece.content = {
      static_cast<std::uint64_t>(piece.tokens) * static_cast<std::uint64_t>(piece.token_bytes),
      json.at("chunk_hashes").get<std::vector<std::string>>()};
  return piece;
}

/// All but the fingerprint and the names of files.
Json content_to_json(const TokenDatasetDescription& description) {
  const bool has_pieces = !description.pieces.empty();
  Json files;
  if (!has_pieces) files[kTokensFile] = file_to_json(description.token_file);
  files[kDocumentsFile] = file_to_json(description.document_file);
  if (description.loss_mask_file) files[kLossMaskFile] = file_to_json(*description.loss_mask_file);
  Json json = {{"format_version", format_version(description)},
               {"tokens", description.tokens},
               {"documents", description.documents},
               {"text_bytes", description.text_bytes}};
  if (!has_pieces) json["token_bytes"] = description.token_bytes;
  json["vocab_size"] = description.vocab_size;
  json["tokenizer_hash"] = description.tokenizer_hash;
  json["chunk_bytes"] = description.chunk_bytes;
  json["files"] = std::move(files);
  for (const auto& piece : description.pieces) json["token_files"].push_back(piece_to_json(piece));
  if (description.label_stand_in) json["label_stand_in"] = *description.label_stand_in;
  return json;
}

TokenDatasetDescription content_from_json(const Json& json) {
  TokenDatasetDescription result;
  result.tokens = json.at("tokens").get<std::int64_t>();
  result.documents = json.at("documents").get<std::int64_t>();
  result.text_bytes = json.at("text_bytes").get<std::int64_t>();
  const auto version = json.at("format_version").get<std::int64_t>();
  const bool has_pieces = version == kPiecesVersion;
  if (!has_pieces) result.token_bytes = json.at("token_bytes").get<std::int64_t>();
  result.vocab_size = json.at("vocab_size").get<std::int64_t>();
  result.tokenizer_hash = json.at("tokenizer_hash").get<std::string>();
  result.chunk_bytes = json.at("chunk_bytes").get<std::uint64_t>();
  const Json& files = json.at("files");
  if (has_pieces) {
    for (const Json& piece : json.at("token_files"))
      result.pieces.push_back(piece_from_json(piece));
  } else {
    result.token_file = file_from_json(files.at(kTokensFile));
  }
  result.document_file = file_from_json(files.at(kDocumentsFile));
  if (files.contains(kLossMaskFile)) {
    result.loss_mask_file = file_from_json(files.at(kLossMaskFile));
  }
  if (version == kLabelsOnlyVersion || (has_pieces && json.contains("label_stand_in"))) {
    result.label_stand_in = json.at("label_stand_in").get<std::int32_t>();
  }
  return result;
}

bool file_fits(const ChunkedFileContent& file, std::uint64_t bytes, std::uint64_t chunk_bytes) {
  return file.bytes == bytes && file.chunk_hashes.size() == (bytes + chunk_bytes - 1) / chunk_bytes;
}

constexpr auto kMostTokens = std::int64_t{1} << 56;

/// What contradicts itself in the place of the tokens, or an empty string.
std::string contradiction_of_pieces(const TokenDatasetDescription& d) {
  std::int64_t tokens = 0;
  for (const auto& piece : d.pieces) {
    const auto& content = piece.content;
    const std::string name = piece.file.string();
    if (piece.token_bytes != 2 && piece.token_bytes != 4 && piece.token_bytes != 8)
      return "token_bytes of " + name + " is not 2, 4 or 8";
    if (piece.tokens < 1 || piece.tokens > d.tokens - tokens)
      return "the tokens of the token_files are not all tokens";
    if (!file_fits(content, content.bytes, d.chunk_bytes))
      return "the hashes of " + name + " do not fit its tokens";
    if (piece.part.first_byte > piece.part.file_bytes ||
        content.bytes > piece.part.file_bytes - piece.part.first_byte)
      return "the tokens of " + name + " do not fit into it";
    tokens += piece.tokens;
  }
  return tokens == d.tokens ? "" : "the tokens of the token_files are not all tokens";
}

std::string contradiction_of_token_file(const TokenDatasetDescription& d) {
  if (d.token_bytes != token_bytes_for(d.vocab_size)) return "token_bytes does not fit vocab_size";
  const auto bytes =
      static_cast<std::uint64_t>(d.tokens) * static_cast<std::uint64_t>(d.token_bytes);
  return file_fits(d.token_file, bytes, d.chunk_bytes)
             ? ""
             : "the size or the hashes of tokens.bin do not fit tokens";
}

/// What contradicts itself, or an empty string.
std::string contradiction(const TokenDatasetDescription& d) {
  if (d.tokens < 1 || d.tokens > kMostTokens) return "tokens is out of range";
  if (d.documents < 1 || d.documents > d.tokens) return "documents is out of range";
  if (d.text_bytes < 0) return "text_bytes is negative";
  if (d.vocab_size < 1) return "vocab_size is below 1";
  if (d.chunk_bytes == 0 || d.chunk_bytes % 8 != 0) return "chunk_bytes is no multiple of 8";
  const auto tokens = static_cast<std::uint64_t>(d.tokens);
  const auto documents = static_cast<std::uint64_t>(d.documents);
  const std::string of_tokens =
      d.pieces.empty() ? contradiction_of_token_file(d) : contradiction_of_pieces(d);
  if (!of_tokens.empty()) return of_tokens;
  if (!file_fits(d.document_file, (documents + 1) * sizeof(std::uint64_t), d.chunk_bytes)) {
    return "the size or the hashes of documents.bin do not fit documents";
  }
  if (d.loss_mask_file && !file_fits(*d.loss_mask_file, tokens, d.chunk_bytes)) {
    return "the size or the hashes of loss_mask.bin do not fit tokens";
  }
  if (d.label_stand_in) {
    if (!d.loss_mask_file) return "label_stand_in is there without loss_mask.bin";
    if (*d.label_stand_in < 0 || *d.label_stand_in >= d.vocab_size)
      return "label_stand_in is no id of the vocabulary";
  }
  return "";
}

[[noreturn]] void refuse(const std::string& origin, const std::string& reason) {
  throw InputError(origin + ": " + reason + "; copy the dataset again or pack it anew");
}

}  // namespace

std::int64_t token_bytes_for(std::int64_t vocab_size) { return vocab_size > 65536 ? 4 : 2; }

std::vector<TokenPiece> TokenDatasetDescription::all_pieces() const {
  if (!pieces.empty()) return pieces;
  return {{kTokensFile, {0, token_file.bytes}, token_bytes, tokens, token_file}};
}

std::string TokenDatasetDescription::fingerprint() const {
  return hash_of(content_to_json(*this).dump());
}

std::string TokenDatasetDescription::to_json() const {
  Json json = content_to_json(*this);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    Json named;
    named["file"] = pieces[i].file.string();
    named.update(json["token_files"][i]);
    json["token_files"][i] = std::move(named);
  }
  json["fingerprint"] = fingerprint();
  return json.dump(2) + "\n";
}

TokenDatasetDescription TokenDatasetDescription::from_json(const std::string& text,
                                                           const std::string& origin) {
  TokenDatasetDescription result;
  std::string fingerprint;
  try {
    const Json json = Json::parse(text);
    const auto version = json.at("format_version").get<std::int64_t>();
    if (version < kFormatVersion || version > kPiecesVersion) {
      throw InputError(origin + ": has format version " + std::to_string(version) +
                       ", this program reads versions " + std::to_string(kFormatVersion) + " to " +
                       std::to_string(kPiecesVersion) +
                       "; use the zebra that made it or pack it anew");
    }
    result = content_from_json(json);
    fingerprint = json.at("fingerprint").get<std::string>();
  } catch (const Json::parse_error& error) {
    refuse(origin, "is not valid JSON (at byte " + std::to_string(error.byte) + ")");
  } catch (const Json::exception& error) {
    refuse(origin, std::string("does not describe a token dataset (") + error.what() + ")");
  }
  const std::string problem = contradiction(result);
  if (!problem.empty()) refuse(origin, "contradicts itself: " + problem);
  if (result.fingerprint() != fingerprint) {
    refuse(origin, "was changed after the dataset was made (its fingerprint does not fit)");
  }
  return result;
}

}  // namespace zebra
