#include "data/tokenizer_training.h"

#include <sentencepiece_processor.h>

#include <cmath>
#include <map>
#include <set>
#include <string>

#include "base/error.h"
#include "data/tokenizer.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

TokenizerTrainingOptions training_options(const TempFolder& folder, const std::string& text,
                                          std::int64_t vocab_size = 300) {
  TokenizerTrainingOptions options;
  options.input.inputs = {folder.write("corpus.txt", text)};
  options.input.format = InputFormat::text;  // some of the texts hold a byte 0
  options.output = folder / "tok.model";
  options.vocab_size = vocab_size;
  options.overwrite = true;
  return options;
}

/// The pieces of the model that is trained on `text`.
std::set<std::string> trained_pieces(const std::string& text, std::int64_t vocab_size = 300) {
  const TempFolder folder;
  train_tokenizer(training_options(folder, text, vocab_size));
  sentencepiece::SentencePieceProcessor processor;
  REQUIRE(processor.Load((folder / "tok.model").string()).ok());
  CHECK(processor.GetPieceSize() == vocab_size);
  CHECK(processor.IdToPiece(0) == "<unk>");
  CHECK(processor.IdToPiece(1) == "<s>");
  CHECK(processor.IdToPiece(2) == "</s>");
  CHECK(processor.IdToPiece(3) == "\n");
  CHECK(processor.IdToPiece(4) == "\t");
  CHECK(processor.pad_id() == -1);
  std::set<std::string> pieces;
  for (int id = 0; id < processor.GetPieceSize(); ++id) pieces.insert(processor.IdToPiece(id));
  return pieces;
}

/// U+2581 `count` times: a piece of so many spaces.
std::string spaces(int count) {
  std::string piece;
  for (int i = 0; i < count; ++i) piece += "\xE2\x96\x81";
  return piece;
}

std::string repeated(const std::string& text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

}  // namespace

TEST_CASE("Indentation becomes pieces of several spaces", "[data][tokenizer]") {
  const auto pieces = trained_pieces(code_like_text(1, 2000), 400);
  CHECK(pieces.contains(spaces(2)));
  CHECK(pieces.contains(spaces(4)));
  CHECK(pieces.contains(spaces(1) + "return"));
}

TEST_CASE("No line is lost to training: tabs, reserved characters, long lines",
          "[data][tokenizer]") {
  const std::string filler = repeated("abc def\n", 50);
  for (const std::string& line :
       {std::string("\tgiraffe\tgiraffe giraffe\n"), std::string("giraffe \xE2\x96\x85\n"),
        std::string("giraffe\xE2\x96\x81\n"), std::string("\0giraffe\n", 9),
        std::string("\xFFgiraffe\n")}) {
    CHECK(trained_pieces(filler + repeated(line, 300), 290).contains("giraffe"));
  }
  const std::string long_line = repeated("giraffe ", 20000) + "\n";
  CHECK(trained_pieces(filler + long_line, 290).contains(spaces(1) + "giraffe"));
  const std::string no_spaces = repeated("日本語giraffe。", 20000);
  CHECK(trained_pieces(filler + no_spaces, 290).contains("giraffe"));
}

TEST_CASE("Digits stay single", "[data][tokenizer]") {
  for (const auto& piece : trained_pieces(repeated("year 2024 and 1999\n", 500), 280)) {
    if (piece.starts_with("<0x")) continue;
    const bool has_digit = piece.find_first_of("0123456789") != std::string::npos;
    CHECK((!has_digit || piece.size() == 1));
  }
}

TEST_CASE("The same text gives the same model", "[data][tokenizer]") {
  const TempFolder folder;
  const auto options = training_options(folder, code_like_text(3, 1500), 400);
  const auto report = train_tokenizer(options);
  const std::string first = content_of(options.output);
  CHECK(train_tokenizer(options).tokenizer_hash == report.tokenizer_hash);
  CHECK(content_of(options.output) == first);
  CHECK(report.tokenizer_hash == Tokenizer(options.output).hash());
  CHECK(report.vocab_size == 400);
  CHECK(report.text_bytes == static_cast<std::int64_t>(code_like_text(3, 1500).size()));
  CHECK(report.sampled_bytes == report.text_bytes);
}

TEST_CASE("A large text is sampled evenly", "[data][tokenizer]") {
  const TempFolder folder;
  // 4,000 documents of one word each, 20 different words in runs of 200.
  std::string lines;
  for (int document = 0; document < 4000; ++document) {
    const std::string word = "word" + std::string(1, static_cast<char>('a' + document / 200));
    lines += "{\"text\": \"" + repeated(word + " ", 10) + "\"}\n";
  }
  TokenizerTrainingOptions options;
  options.input.inputs = {folder.write("corpus.jsonl", lines)};
  options.output = folder / "tok.model";
  options.vocab_size = 300;
  options.sample_bytes = 60000;
  const auto report = train_tokenizer(options);
  CHECK(report.text_bytes == 240000);
  CHECK(report.sampled_bytes <= 60000);
  CHECK(report.sampled_bytes > 20000);
  const Tokenizer tokenizer(options.output);
  for (char last = 'a'; last < 'a' + 20; ++last) {
    CHECK(tokenizer.encode(std::string(" word") + last).size() <= 3);
  }
}

TEST_CASE("Vocabulary sizes that do not fit the text are refused with one that does",
          "[data][tokenizer]") {
  const TempFolder folder;
  const std::string text = repeated("one two three four\n", 20);
  const auto too_large =
      message_of<InputError>([&] { train_tokenizer(training_options(folder, text, 5000)); });
  CHECK(contains(too_large, "5000"));
  const std::string marker = "at most ";
  const std::size_t at = too_large.find(marker);
  REQUIRE(at != std::string::npos);
  const auto largest = std::stoll(too_large.substr(at + marker.size()));
  CHECK(train_tokenizer(training_options(folder, text, largest)).vocab_size == largest);
  CHECK_THROWS_AS(train_tokenizer(training_options(folder, text, largest + 1)), InputError);

  CHECK(contains(
      message_of<InputError>([&] { train_tokenizer(training_options(folder, text, 261)); }),
      "261"));
}

TEST_CASE("Where the vocabulary has no room for all characters, rare ones are bytes",
          "[data][tokenizer]") {
  const TempFolder folder;
  std::string text;
  for (int i = 0; i < 2000; ++i) {
    const int code = 0x4E00 + i % 1000;  // a thousand Chinese characters, rarer than the letters
    text += {static_cast<char>(0xE0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 0x3F)),
             static_cast<char>(0x80 | (code & 0x3F)), '\n'};
  }
  text += code_like_text(3, 1500);
  const auto options = training_options(folder, text, 400);
  const auto report = train_tokenizer(options);
  CHECK(report.vocab_size == 400);
  CHECK(report.characters_as_bytes > 900);
  CHECK(report.characters_as_bytes < 1000);
  const Tokenizer tokenizer(options.output);
  CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
  CHECK(tokenizer.encode("return").size() <= 2);
  CHECK(
      train_tokenizer(training_options(folder, code_like_text(3, 1500), 400)).characters_as_bytes ==
      0);
}

TEST_CASE("The coverage of characters is an option", "[data][tokenizer]") {
  const TempFolder folder;
  auto options = training_options(folder, repeated("abc abd abe ", 500) + "z", 270);
  options.character_coverage = 1.0;
  train_tokenizer(options);
  CHECK(Tokenizer(options.output).encode("z").size() == 1);
  options.character_coverage = 0.99;
  options.vocab_size = 269;
  train_tokenizer(options);
  const Tokenizer without(options.output);
  CHECK(without.decode(without.encode("z")) == "z");
  CHECK(without.text_bytes(without.encode("z")[0]) == 1);
  for (const double wrong : {0.5, 1.01, std::nan("")}) {
    options.character_coverage = wrong;
    CHECK(contains(message_of<InputError>([&] { train_tokenizer(options); }), "coverage"));
  }
}

TEST_CASE("Only a tokenizer is replaced, and never an input", "[data][tokenizer]") {
  const TempFolder folder;
  auto options = training_options(folder, code_like_text(3, 500));
  options.output = folder.write("notes.txt", "precious");
  CHECK(contains(message_of<InputError>([&] { train_tokenizer(options); }), "is not a tokenizer"));
  CHECK(content_of(options.output) == "precious");
  options.output = options.input.inputs[0];
  CHECK(contains(message_of<InputError>([&] { train_tokenizer(options); }), "is an input"));
  CHECK(content_of(options.output) == code_like_text(3, 500));
  options.output = folder.write("empty", "");
  train_tokenizer(options);
  train_tokenizer(options);  // over a tokenizer
}

TEST_CASE("Bad inputs and outputs of training are refused", "[data][tokenizer]") {
  const TempFolder folder;
  auto options = training_options(folder, "some text\n");
  options.overwrite = false;
  options.output = folder.write("exists.model", "precious");
  CHECK(contains(message_of<InputError>([&] { train_tokenizer(options); }), "--overwrite"));
  CHECK(content_of(folder / "exists.model") == "precious");
  options.output = folder.path();
  CHECK(contains(message_of<InputError>([&] { train_tokenizer(options); }), "folder"));
  options.output = folder / "new.model";
  options.input.inputs = {(folder / "missing").string()};
  CHECK(contains(message_of<InputError>([&] { train_tokenizer(options); }), "missing"));
  for (const std::string nothing : {"\n\n\t\n", "\xE2\x96\x81"}) {
    options.input.inputs = {folder.write("nothing", nothing)};
    CHECK(contains(message_of<InputError>([&] { train_tokenizer(options); }), "no text"));
  }
  CHECK_FALSE(std::filesystem::exists(folder / "new.model"));
}

TEST_CASE("Texts without any pair of characters do not crash the trainer", "[data][tokenizer]") {
  const TempFolder folder;
  CHECK_THROWS_AS(train_tokenizer(training_options(folder, "a\nb\nc\n", 300)), InputError);
  CHECK(train_tokenizer(training_options(folder, "a\nb\nc\n", 264)).vocab_size == 264);
}
