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
    : path_(path),
      content_(std::move(content)),
      chunk_bytes_(chunk_bytes),
      inspection_(std::move(inspection)),
      file_(path),
      descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)),
      is_verified_(std::make_unique<std::atomic<bool>[]>(content_.chunk_hashes.size())) {
  if (file_.size() == content_.bytes) {
    notice_change();
    has_changed_ = false;
    return;
  }
  ::close(descriptor_);  // the destructor will not run
  throw InputError(
      path.string() + (file_.size() < content_.bytes ? ": is truncated: " : ": is too long: ") +
      with_commas(static_cast<std::int64_t>(file_.size())) + " bytes where dataset.json says " +
      with_commas(static_cast<std::int64_t>(content_.bytes)) +
      "; copy the dataset again or pack it anew");
}

ChunkedFile::~ChunkedFile() { ::close(descriptor_); }

void ChunkedFile::notice_change() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) {
    throw RunError(path_.string() + ": cannot be read any more: " + std::strerror(errno));
  }
  if (static_cast<std::uint64_t>(status.st_size) != content_.bytes) {
    throw RunError(
        path_.string() + ": has changed while it was in use: " + with_commas(status.st_size) +
        " bytes where there were " + with_commas(static_cast<std::int64_t>(content_.bytes)) +
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
  return file_.bytes().subspan(begin, count);
}

void ChunkedFile::verify_chunk(std::size_t chunk) const {
  const std::lock_guard lock(mutex_);
  if (is_verified_[chunk].load(std::memory_order_relaxed)) return;
  const std::uint64_t begin = chunk * chunk_bytes_;
  const std::uint64_t end = std::min(begin + chunk_bytes_, content_.bytes);
  const auto bytes = file_.bytes().subspan(begin, end - begin);
  const std::string hash = hash_of({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (hash != content_.chunk_hashes[chunk] && has_changed_) {
    throw RunError(path_.string() + ": was overwritten while it was in use: the bytes from " +
                   std::to_string(begin) + " to " + std::to_string(end) +
                   " are other ones; put the dataset back as it was and start again");
  }
  inspection_(bytes, begin);
  if (hash != content_.chunk_hashes[chunk]) {
    throw InputError(path_.string() + ": is corrupt: the bytes from " + std::to_string(begin) +
                     " to " + std::to_string(end) +
                     " are not those that were written; copy the dataset again or pack it anew");
  }
  is_verified_[chunk].store(true, std::memory_order_release);
}

namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kFormatVersion = 1;
constexpr std::int64_t kLabelsOnlyVersion = 2;  // with a label_stand_in, which version 1 lacks

std::int64_t format_version(const TokenDatasetDescription& description) {
  return description.label_stand_in ? kLabelsOnlyVersion : kFormatVersion;
}

Json file_to_json(const ChunkedFileContent& content) {
  return {{"bytes", content.bytes}, {"chunk_hashes", content.chunk_hashes}};
}

ChunkedFileContent file_from_json(const Json& json) {
  return {json.at("bytes").get<std::uint64_t>(),
          json.at("chunk_hashes").get<std::vector<std::string>>()};
}

/// All but the fingerprint.
Json content_to_json(const TokenDatasetDescription& description) {
  Json files = {{kTokensFile, file_to_json(description.token_file)},
                {kDocumentsFile, file_to_json(description.document_file)}};
  if (description.loss_mask_file) files[kLossMaskFile] = file_to_json(*description.loss_mask_file);
  Json json = {{"format_version", format_version(description)},
               {"tokens", description.tokens},
               {"documents", description.documents},
               {"text_bytes", description.text_bytes},
               {"token_bytes", description.token_bytes},
               {"vocab_size", description.vocab_size},
               {"tokenizer_hash", description.tokenizer_hash},
               {"chunk_bytes", description.chunk_bytes},
               {"files", std::move(files)}};
  if (description.label_stand_in) json["label_stand_in"] = *description.label_stand_in;
  return json;
}

TokenDatasetDescription content_from_json(const Json& json) {
  TokenDatasetDescription result;
  result.tokens = json.at("tokens").get<std::int64_t>();
  result.documents = json.at("documents").get<std::int64_t>();
  result.text_bytes = json.at("text_bytes").get<std::int64_t>();
  result.token_bytes = json.at("token_bytes").get<std::int64_t>();
  result.vocab_size = json.at("vocab_size").get<std::int64_t>();
  result.tokenizer_hash = json.at("tokenizer_hash").get<std::string>();
  result.chunk_bytes = json.at("chunk_bytes").get<std::uint64_t>();
  const Json& files = json.at("files");
  result.token_file = file_from_json(files.at(kTokensFile));
  result.document_file = file_from_json(files.at(kDocumentsFile));
  if (files.contains(kLossMaskFile)) {
    result.loss_mask_file = file_from_json(files.at(kLossMaskFile));
  }
  if (json.at("format_version") == kLabelsOnlyVersion) {
    result.label_stand_in = json.at("label_stand_in").get<std::int32_t>();
  }
  return result;
}

bool file_fits(const ChunkedFileContent& file, std::uint64_t bytes, std::uint64_t chunk_bytes) {
  return file.bytes == bytes && file.chunk_hashes.size() == (bytes + chunk_bytes - 1) / chunk_bytes;
}

/// What contradicts itself, or an empty string.
std::string contradiction(const TokenDatasetDescription& d) {
  constexpr auto kMostTokens = std::int64_t{1} << 56;
  if (d.tokens < 1 || d.tokens > kMostTokens) return "tokens is out of range";
  if (d.documents < 1 || d.documents > d.tokens) return "documents is out of range";
  if (d.text_bytes < 0) return "text_bytes is negative";
  if (d.vocab_size < 1) return "vocab_size is below 1";
  if (d.token_bytes != token_bytes_for(d.vocab_size)) return "token_bytes does not fit vocab_size";
  if (d.chunk_bytes == 0 || d.chunk_bytes % 8 != 0) return "chunk_bytes is no multiple of 8";
  const auto tokens = static_cast<std::uint64_t>(d.tokens);
  const auto documents = static_cast<std::uint64_t>(d.documents);
  if (!file_fits(d.token_file, tokens * static_cast<std::uint64_t>(d.token_bytes), d.chunk_bytes)) {
    return "the size or the hashes of tokens.bin do not fit tokens";
  }
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

std::string TokenDatasetDescription::fingerprint() const {
  return hash_of(content_to_json(*this).dump());
}

std::string TokenDatasetDescription::to_json() const {
  Json json = content_to_json(*this);
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
    if (version != kFormatVersion && version != kLabelsOnlyVersion) {
      throw InputError(origin + ": has format version " + std::to_string(version) +
                       ", this program reads version " + std::to_string(kFormatVersion) + " and " +
                       std::to_string(kLabelsOnlyVersion) +
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
