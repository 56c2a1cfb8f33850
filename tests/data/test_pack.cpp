#include "data/pack.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/tokenizer.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

PackOptions packing_options(const TempFolder& folder, const std::vector<std::string>& inputs,
                            const std::string& output = "out") {
  PackOptions options;
  options.input.inputs = inputs;
  options.tokenizer = test_tokenizer();
  options.output = folder / output;
  options.threads = 2;
  return options;
}

struct UnpackedDocument {
  std::string text;
  std::vector<std::uint8_t> mask;
};

/// The documents of a dataset, decoded; each must be BOS, text, EOS.
std::vector<UnpackedDocument> unpack(const std::filesystem::path& path) {
  const Tokenizer tokenizer(test_tokenizer());
  const TokenDataset dataset(path, tokenizer.hash(), tokenizer.vocab_size());
  std::vector<UnpackedDocument> documents;
  const auto offsets = dataset.document_offsets();
  for (std::size_t d = 0; d + 1 < offsets.size(); ++d) {
    std::vector<std::int32_t> tokens(offsets[d + 1] - offsets[d]);
    auto& document = documents.emplace_back();
    document.mask.resize(tokens.size());
    dataset.copy_tokens(static_cast<std::int64_t>(offsets[d]), tokens);
    dataset.copy_loss_mask(static_cast<std::int64_t>(offsets[d]), document.mask);
    REQUIRE(tokens.size() >= 2);
    CHECK(tokens.front() == tokenizer.bos());
    CHECK(tokens.back() == tokenizer.eos());
    document.text = tokenizer.decode(tokens);
  }
  return documents;
}

std::vector<std::string> texts(const std::filesystem::path& path) {
  std::vector<std::string> result;
  for (const auto& document : unpack(path)) result.push_back(document.text);
  return result;
}

std::map<std::string, std::string> files_in(const std::filesystem::path& folder) {
  std::map<std::string, std::string> result;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    result[entry.path().filename().string()] = content_of(entry.path());
  }
  return result;
}

std::string json_line(const std::string& text) {
  std::string line = "{\"text\": \"";
  for (const char c : text) {
    if (c == '\n') {
      line += "\\n";
    } else if (c == '\t') {
      line += "\\t";
    } else {
      line += c;
    }
  }
  return line + "\"}\n";
}

}  // namespace

TEST_CASE("Packing keeps every document", "[data][pack]") {
  const TempFolder folder;
  const std::string large = code_like_text(20, 60000);
  REQUIRE(large.size() > 1'500'000);
  const auto plain = folder.write("a.txt", "  one\r\n\ttwo <s>");
  const auto jsonl = folder.write("b.jsonl", json_line("three") + json_line("") + json_line("\n"));
  const auto compressed = folder.write("c.gz", gzip("four"));
  const auto report =
      pack(packing_options(folder, {plain, jsonl, compressed, folder.write("large", large)}));
  CHECK(texts(folder / "out") ==
        std::vector<std::string>{"  one\r\n\ttwo <s>", "three", "\n", "four", large});
  const Tokenizer tokenizer(test_tokenizer());
  const TokenDataset dataset(folder / "out", tokenizer.hash(), tokenizer.vocab_size());
  CHECK(report.dataset.documents == 5);
  CHECK(report.dataset.tokens == dataset.tokens());
  CHECK(report.dataset.text_bytes == static_cast<std::int64_t>(15 + 5 + 1 + 4 + large.size()));
  CHECK(dataset.text_bytes() == report.dataset.text_bytes);
  CHECK(report.dataset.fingerprint == dataset.fingerprint());
  CHECK(report.skipped.empty_documents == 1);
  CHECK_FALSE(report.holdout.has_value());
  CHECK_FALSE(std::filesystem::exists(folder / "out/loss_mask.bin"));

  std::vector<std::int32_t> tokens(static_cast<std::size_t>(
      dataset.tokens() - static_cast<std::int64_t>(dataset.document_offsets()[4])));
  dataset.copy_tokens(static_cast<std::int64_t>(dataset.document_offsets()[4]), tokens);
  auto whole = tokenizer.encode(large);
  whole.insert(whole.begin(), tokenizer.bos());
  whole.push_back(tokenizer.eos());
  CHECK(tokens == whole);
}

TEST_CASE("Documents stay whole for a tokenizer that looks beyond a line", "[data][pack]") {
  const TempFolder folder;
  const std::string text = code_like_text(31, 16000);
  REQUIRE(text.size() > 300'000);
  auto options = packing_options(folder, {folder.write("a.txt", text)});
  options.tokenizer =
      foreign_tokenizer(folder, {{"model_type", "bpe"}, {"normalization_rule_name", "identity"}});
  pack(options);
  const Tokenizer tokenizer(options.tokenizer);
  REQUIRE_FALSE(tokenizer.lines_are_independent());
  const TokenDataset dataset(folder / "out", tokenizer.hash(), tokenizer.vocab_size());
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(dataset.tokens()));
  dataset.copy_tokens(0, tokens);
  auto whole = tokenizer.encode(text);
  whole.insert(whole.begin(), tokenizer.bos());
  whole.push_back(tokenizer.eos());
  CHECK(tokens == whole);
}

TEST_CASE("The output does not depend on the number of threads", "[data][pack]") {
  const TempFolder folder;
  std::string lines;
  for (unsigned document = 0; document < 3000; ++document) {
    lines += json_line(code_like_text(document, 1 + static_cast<int>(document % 9)));
  }
  lines += R"({"prompt": "return", "completion": "value"})"
           "\n";
  folder.write("in/many.jsonl.zst", zstandard(lines));
  folder.write("in/long.txt", code_like_text(77, 40000));
  const std::vector<std::string> inputs = {(folder / "in").string()};
  std::map<std::string, std::string> first, first_holdout;
  for (const int threads : {1, 2, 5}) {
    auto options = packing_options(folder, inputs, "out" + std::to_string(threads));
    options.threads = threads;
    options.holdout = {{.fraction = 0.2, .output = options.output.string() + "-held", .seed = 4}};
    pack(options);
    const auto files = files_in(options.output), holdout = files_in(options.holdout->output);
    CHECK(files.contains("tokens.bin"));
    if (threads == 1) {
      first = files;
      first_holdout = holdout;
    }
    CHECK(files == first);
    CHECK(holdout == first_holdout);
  }
}

TEST_CASE("Packed from a stream or a file, plain or compressed, it is the same", "[data][pack]") {
  const TempFolder folder;
  std::string lines;
  for (unsigned i = 0; i < 500; ++i) lines += json_line(code_like_text(i, 4));
  pack(packing_options(folder, {folder.write("a.jsonl", lines)}, "plain"));
  const int saved = ::dup(STDIN_FILENO);
  const std::vector<std::string> contents = {"\n " + lines, gzip(lines), zstandard(lines)};
  for (std::size_t i = 0; i < contents.size(); ++i) {
    const auto path = folder.write("stdin", contents[i]);
    REQUIRE(std::freopen(path.c_str(), "rb", stdin) != nullptr);
    const std::string output = "stream" + std::to_string(i);
    pack(packing_options(folder, {"-"}, output));
    CHECK(files_in(folder / output) == files_in(folder / "plain"));
  }
  ::dup2(saved, STDIN_FILENO);
  ::close(saved);
}

TEST_CASE("Prompts do not count as targets", "[data][pack]") {
  const TempFolder folder;
  const auto file =
      folder.write("p.jsonl", json_line("plain text") +
                                  R"({"prompt": "for value in", "completion": " range"})"
                                  "\n" +
                                  R"({"prompt": "", "completion": "x"})"
                                  "\n");
  pack(packing_options(folder, {file}));
  CHECK(std::filesystem::exists(folder / "out/loss_mask.bin"));
  const auto documents = unpack(folder / "out");
  REQUIRE(documents.size() == 3);
  CHECK(std::ranges::count(documents[0].mask, 1) ==
        static_cast<std::ptrdiff_t>(documents[0].mask.size()));
  const Tokenizer tokenizer(test_tokenizer());
  std::vector<std::uint8_t> expected(1 + tokenizer.encode("for value in").size(), 0);
  expected.insert(expected.end(), tokenizer.encode(" range").size() + 1, 1);
  CHECK(documents[1].mask == expected);
  CHECK(documents[1].text == "for value in range");
  CHECK(documents[2].mask == std::vector<std::uint8_t>{0, 1, 1});
}

TEST_CASE("The end of a single text is held out, at a line", "[data][pack]") {
  const TempFolder folder;
  const std::string large = code_like_text(20, 30000);
  const auto hold_out = [&](const std::vector<std::string>& inputs, const std::string& name) {
    auto options = packing_options(folder, inputs, name);
    options.holdout = {{.fraction = 0.1, .output = folder / (name + "-held"), .seed = 1}};
    return pack(options);
  };
  const auto file = folder.write("book.txt", large);
  hold_out({file}, "a");
  const auto kept = texts(folder / "a"), held = texts(folder / "a-held");
  REQUIRE(kept.size() == 1);
  REQUIRE(held.size() == 1);
  CHECK((kept[0] + held[0] == large));
  CHECK(kept[0].ends_with('\n'));
  CHECK(std::abs(static_cast<double>(held[0].size()) / static_cast<double>(large.size()) - 0.1) <
        0.001);
  hold_out({folder.write("book.gz", gzip(large))}, "b");
  CHECK(files_in(folder / "b-held") == files_in(folder / "a-held"));

  const auto line = folder.write("line.txt", "one line without an end");
  CHECK(contains(message_of<InputError>([&] { hold_out({line}, "c"); }), "no line end"));
  const auto json = folder.write("one.jsonl", json_line("one\ntwo"));
  CHECK(contains(message_of<InputError>([&] { hold_out({json}, "d"); }), "JSONL"));
}

TEST_CASE("Half surrogates are counted with invalid UTF-8", "[data][pack]") {
  const TempFolder folder;
  const auto file = folder.write("a.jsonl", R"({"text": "half \ud83d", "score": NaN})"
                                            "\n" +
                                                json_line("fine"));
  CHECK(pack(packing_options(folder, {file})).invalid_utf8_documents == 1);
  CHECK(texts(folder / "out")[0] == "half \xEF\xBF\xBD");
}

TEST_CASE("What is packed is never replaced by what is made of it", "[data][pack]") {
  const TempFolder folder;
  pack(packing_options(folder, {folder.write("a.txt", "text")}));
  const auto before = files_in(folder / "out");
  auto options = packing_options(folder, {(folder / "out").string()});
  options.overwrite = true;
  for (const std::string input : {"out", "out/", "x/../out", "out/dataset.json"}) {
    options.input.inputs = {(folder / input).string()};
    CHECK(contains(message_of<InputError>([&] { pack(options); }), "would be replaced"));
  }
  std::filesystem::create_directory_symlink(folder / "out", folder / "link");
  options.input.inputs = {(folder / "link").string()};
  CHECK(contains(message_of<InputError>([&] { pack(options); }), "would be replaced"));
  options.input.inputs = {(folder / "a.txt").string()};
  options.output = folder / "new";
  options.holdout = {{.fraction = 0.5, .output = folder / "new/held"}};
  CHECK(contains(message_of<InputError>([&] { pack(options); }), "within"));
  options.holdout = {{.fraction = 0.5, .output = folder / "out"}};
  options.input.inputs = {(folder / "out").string()};
  CHECK(contains(message_of<InputError>([&] { pack(options); }), "would be replaced"));
  CHECK(files_in(folder / "out") == before);
}

TEST_CASE("Holding out parts the documents in two", "[data][pack]") {
  const TempFolder folder;
  std::string lines;
  std::vector<std::string> all;
  for (int i = 0; i < 1000; ++i) {
    all.push_back("document " + std::to_string(i));
    lines += json_line(all.back());
  }
  const auto file = folder.write("a.jsonl", lines);
  const auto held_out = [&](const std::string& name, double fraction, std::uint64_t seed) {
    auto options = packing_options(folder, {file}, name);
    options.holdout = {{.fraction = fraction, .output = folder / (name + "-held"), .seed = seed}};
    const auto report = pack(options);
    auto kept = texts(folder / name), held = texts(folder / (name + "-held"));
    CHECK(report.dataset.documents == static_cast<std::int64_t>(kept.size()));
    CHECK(report.holdout->documents == static_cast<std::int64_t>(held.size()));
    std::vector<std::string> joined = kept;
    joined.insert(joined.end(), held.begin(), held.end());
    auto sorted = all;
    std::sort(joined.begin(), joined.end());
    std::sort(sorted.begin(), sorted.end());
    CHECK(joined == sorted);
    return held;
  };
  const auto tenth = held_out("a", 0.1, 1);
  CHECK(tenth.size() > 60);
  CHECK(tenth.size() < 140);
  CHECK(held_out("b", 0.1, 1) == tenth);
  CHECK(held_out("c", 0.1, 2) != tenth);
  const auto half = held_out("d", 0.5, 1);
  CHECK(std::includes(half.begin(), half.end(), tenth.begin(), tenth.end()) == false);
  for (const auto& document : tenth) {
    CHECK(std::find(half.begin(), half.end(), document) != half.end());
  }
}

TEST_CASE("Text that does not survive is counted", "[data][pack]") {
  const TempFolder folder;
  folder.write("in/1", "fine");
  folder.write("in/2", "bad \xFF byte");
  folder.write("in/3",
               std::string(300'000, 'x') + "\n\xC3(\n" + std::string(300'000, 'y') + "\xFF");
  folder.write("in/4",
               "a\xE2\x96\x81"
               "b \xE2\x96\x81");
  folder.write("in/5", std::string("nul\0", 4));
  const auto report = pack(packing_options(folder, {(folder / "in").string()}));
  CHECK(report.invalid_utf8_documents == 2);
  CHECK(report.space_mark_documents == 1);
  CHECK(report.skipped.binary_files == 1);
  CHECK(report.dataset.documents == 4);
  CHECK(texts(folder / "out")[1] == "bad \xEF\xBF\xBD byte");
}

TEST_CASE("Failures leave no output", "[data][pack]") {
  const TempFolder folder;
  const auto good = folder.write("good.txt", code_like_text(1, 20000));
  const auto bad = folder.write("bad.jsonl", json_line("a") + "oops\n");
  const auto cut = folder.write("cut.gz", gzip(code_like_text(2, 20000)).substr(0, 20000));
  const auto failure = [&](const std::vector<std::string>& inputs) {
    const auto message = message_of<InputError>([&] { pack(packing_options(folder, inputs)); });
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
      CHECK_FALSE(entry.path().filename().string().starts_with("out"));
    }
    return message;
  };
  CHECK(contains(failure({good, bad}), bad + ":2: "));
  CHECK(contains(failure({good, cut}), "truncated"));
  const auto missing = failure({good, (folder / "gone1").string(), (folder / "gone2").string()});
  CHECK(contains(missing, "gone1"));
  CHECK(contains(missing, "gone2"));
  CHECK(contains(failure({folder.write("empty.jsonl", json_line(""))}), "no text"));

  auto options = packing_options(folder, {bad});
  options.input.skip_bad_lines = true;
  CHECK(pack(options).skipped.bad_lines == 1);
  CHECK(contains(message_of<InputError>([&] { pack(options); }), "--overwrite"));
  options.overwrite = true;
  options.input.inputs = {good};
  CHECK(pack(options).dataset.documents == 1);
  CHECK(texts(folder / "out") == std::vector<std::string>{content_of(good)});
}

TEST_CASE("Options that make no sense are refused", "[data][pack]") {
  const TempFolder folder;
  const auto input = folder.write("a.jsonl", json_line("a") + json_line("b"));
  auto options = packing_options(folder, {input});
  for (const double fraction : {0.0, 1.0, -0.5, std::nan("")}) {
    options.holdout = {{.fraction = fraction, .output = folder / "held"}};
    CHECK(contains(message_of<InputError>([&] { pack(options); }), "between 0 and 1"));
  }
  options.holdout = {{.fraction = 0.5, .output = folder / "x/../out"}};
  CHECK(contains(message_of<InputError>([&] { pack(options); }), "output itself"));
  options.holdout = {{.fraction = 1e-9, .output = folder / "held"}};
  CHECK(contains(message_of<InputError>([&] { pack(options); }), "takes none of them"));
  options.holdout = {{.fraction = 1.0 - 1e-9, .output = folder / "held"}};
  CHECK(contains(message_of<InputError>([&] { pack(options); }), "takes all of them"));
  CHECK_FALSE(std::filesystem::exists(folder / "out"));
  CHECK_FALSE(std::filesystem::exists(folder / "held"));
  options.holdout.reset();
  options.threads = -1;
  CHECK(contains(message_of<InputError>([&] { pack(options); }), "threads"));
  options.threads = 0;
  options.tokenizer = input;
  CHECK(contains(message_of<InputError>([&] { pack(options); }), "not a SentencePiece model"));
  options.tokenizer = test_tokenizer();
  CHECK(pack(options).dataset.documents == 2);
}
