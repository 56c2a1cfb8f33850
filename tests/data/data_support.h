#pragma once

#include <sentencepiece_trainer.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/token_dataset.h"
#include "data/tokenizer.h"
#include "data/tokenizer_training.h"
#include "support/catch.h"
#include "support/text.h"

namespace zebra::test {

using Tokens = std::vector<std::int32_t>;

/// A folder of its own that goes when the object does.
class TempFolder {
 public:
  TempFolder() {
    static int count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("zebra-data-" + std::to_string(::getpid()) + "-" + std::to_string(count++));
    std::filesystem::create_directories(path_);
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

  /// Writes a file, its folders included, and returns its path.
  std::string write(const std::string& name, std::string_view content) const {
    const auto file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream stream(file, std::ios::binary);
    stream.write(content.data(), static_cast<std::streamsize>(content.size()));
    return file.string();
  }

 private:
  std::filesystem::path path_;
};

/// The names in a folder, in order.
inline std::vector<std::string> entries(const std::filesystem::path& folder) {
  std::vector<std::string> result;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    result.push_back(entry.path().filename().string());
  }
  std::sort(result.begin(), result.end());
  return result;
}

inline std::string content_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

template <class Value>
std::vector<Value> values_of(const std::filesystem::path& file) {
  const std::string bytes = content_of(file);
  std::vector<Value> values(bytes.size() / sizeof(Value));
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(values.data()));
  return values;
}

inline std::string gzip(std::string_view text) {
  z_stream stream{};
  ::deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(::deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(::deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  ::deflateEnd(&stream);
  return out;
}

inline std::string zstandard(std::string_view text) {
  std::string out(::ZSTD_compressBound(text.size()), '\0');
  out.resize(::ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

/// Text like source code: indented by spaces and tabs, many repeated words, some rare characters.
inline std::string code_like_text(unsigned seed, int lines) {
  static const char* const kWords[] = {"return", "value", "self",  "index", "for",   "in",
                                       "range",  "print", "while", "break", "total", "number"};
  static const char* const kRare[] = {"naïve", "日本語", "🦓 zebra", "Ωmega", "x ≤ 3", "ﬁ"};
  std::mt19937 random(seed);
  std::string text;
  for (int line = 0; line < lines; ++line) {
    text += random() % 7 == 0 ? std::string(1 + random() % 2, '\t')
                              : std::string(4 * (random() % 4), ' ');
    for (unsigned word = 0; word < 1 + random() % 6; ++word) {
      if (word > 0) text += ' ';
      text += kWords[random() % std::size(kWords)];
      if (random() % 5 == 0) text += "_" + std::to_string(random() % 1000);
      if (random() % 4 == 0) text += "(" + std::string(kWords[random() % std::size(kWords)]) + ")";
    }
    if (random() % 25 == 0) text += std::string("  # ") + kRare[random() % std::size(kRare)];
    text += random() % 9 == 0 ? "\n\n" : "\n";
  }
  return text;
}

constexpr std::int64_t kTestVocabSize = 420;

/// A tokenizer of kTestVocabSize pieces, trained once.
inline const std::string& test_tokenizer() {
  static const TempFolder folder;
  static const std::string path = [] {
    TokenizerTrainingOptions options;
    options.input.inputs = {folder.write("corpus.txt", code_like_text(1, 3000))};
    options.output = folder / "tok.model";
    options.vocab_size = kTestVocabSize;
    train_tokenizer(options);
    return options.output.string();
  }();
  return path;
}

/// A dataset of test_tokenizer's tokens.
inline TokenDataset open_dataset(const std::filesystem::path& path) {
  return TokenDataset(path, Tokenizer(test_tokenizer()).hash(), kTestVocabSize);
}

/// A tokenizer as others train them, with some settings of our own.
inline std::string foreign_tokenizer(const TempFolder& folder,
                                     std::unordered_map<std::string, std::string> settings) {
  const std::string prefix = (folder / "foreign").string();
  settings.insert({{"input", folder.write("foreign.txt", code_like_text(2, 2000))},
                   {"model_prefix", prefix},
                   {"vocab_size", "500"},
                   {"byte_fallback", "true"},
                   {"hard_vocab_limit", "false"},
                   {"minloglevel", "2"}});
  REQUIRE(sentencepiece::SentencePieceTrainer::Train(settings).ok());
  return prefix + ".model";
}

/// Valid UTF-8 without U+2581 that mixes what is hard to keep: white space, controls, NUL, text
/// that looks like control pieces, characters of every length.
inline std::string random_text(std::mt19937& random) {
  static const std::string_view kParts[] = {" ",
                                            "  ",
                                            "\n",
                                            "\r\n",
                                            "\t",
                                            std::string_view("\0", 1),
                                            "a",
                                            "Z9",
                                            "<s>",
                                            "</s>",
                                            "<unk>",
                                            "<pad>",
                                            "<0x0A>",
                                            "\xC2\xA0",
                                            "\xE3\x80\x80",
                                            "\xEF\xBB\xBF",
                                            "é",
                                            "e\xCC\x81",
                                            "日本",
                                            "🦓",
                                            "👩‍💻",
                                            "\xF4\x8F\xBF\xBF",
                                            "\xEF\xBF\xBD",
                                            "\xE2\x96\x85",
                                            "return",
                                            "    ",
                                            "value_1",
                                            "\x7F",
                                            "\x1B[0m",
                                            "ﬁ",
                                            "\xE2\x81\x87",
                                            "\xC2\x80"};
  std::string text;
  const auto parts = random() % 40;
  for (unsigned i = 0; i < parts; ++i) text += kParts[random() % std::size(kParts)];
  return text;
}

/// The message of the exception of this type that `action` throws; a failure when it throws none.
template <class Exception>
std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Exception& exception) {
    return exception.what();
  }
  FAIL("no such exception was thrown");
  return "";
}

using testing::contains;

}  // namespace zebra::test
