#include "data/chat_dataset.h"

#include <sstream>

#include "base/error.h"
#include "byte_tokenizer.h"

using namespace zebra;
using namespace zebra::test;

namespace {

std::string line(const std::string& question, const std::string& answer) {
  return R"({"messages": [{"role": "user", "content": ")" + question +
         R"("}, {"role": "assistant", "content": ")" + answer + "\"}]}\n";
}

const std::string kUntrained =
    R"({"messages": [{"role": "user", "content": "U"}, {"role": "assistant", "content": "A", "train": false}]})"
    "\n";

ChatOptions options_for(const TempFolder& folder, const std::string& content) {
  ChatOptions options;
  options.input.inputs = {folder.write("chats.jsonl", content)};
  options.tokenizer = byte_tokenizer(folder, {});
  options.chat_template = "zephyr";
  options.output = folder / "d";
  options.overwrite = true;
  return options;
}

}  // namespace

TEST_CASE("Conversations become documents with a loss mask", "[data][chat]") {
  const TempFolder folder;
  const auto report =
      write_chat_dataset(options_for(folder, line("U", "A") + "\n" + line("V", "BC")));
  CHECK(report.dataset.documents == 2);
  CHECK(report.targets == 5);
  CHECK(report.longest == 31);
  CHECK(report.has_end_token);
  CHECK(report.end_of_turn == "</s>");

  const auto tokens = values_of<std::uint16_t>(folder / "d/tokens.bin");
  const auto mask = values_of<std::uint8_t>(folder / "d/loss_mask.bin");
  CHECK(values_of<std::uint64_t>(folder / "d/documents.bin") ==
        std::vector<std::uint64_t>{0, 30, 61});
  std::string shown;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (mask[i] != 0) shown += '*';
    shown += tokens[i] == 256   ? "<s>"
             : tokens[i] == 257 ? "</s>"
                                : std::string(1, static_cast<char>(tokens[i]));
  }
  CHECK(shown ==
        "<s><|user|>\nU</s>\n<|assistant|>\n*A*</s>\n"
        "<s><|user|>\nV</s>\n<|assistant|>\n*B*C*</s>\n");
  CHECK(TokenDataset(folder / "d").text_bytes() == 61 - 6);
}

TEST_CASE("The dataset of conversations does not depend on the number of threads", "[data][chat]") {
  const TempFolder folder;
  std::string content;
  for (int i = 0; i < 5000; ++i) content += line("question " + std::to_string(i), "an answer");
  auto options = options_for(folder, content);
  options.threads = 1;
  const auto one = write_chat_dataset(options).dataset.fingerprint;
  options.threads = 3;
  CHECK(write_chat_dataset(options).dataset.fingerprint == one);
}

TEST_CASE("A conversation that cannot be trained on is refused by its line", "[data][chat]") {
  const TempFolder folder;
  const auto refusal = [&folder](const std::string& content) {
    auto options = options_for(folder, line("U", "A") + content);
    options.overwrite = false;
    const auto message = message_of<InputError>([&] { write_chat_dataset(options); });
    CHECK(contains(message, "chats.jsonl:2: the line"));
    CHECK_FALSE(std::filesystem::exists(folder / "d"));
    return message;
  };
  CHECK(contains(refusal(kUntrained), "nothing is trained"));
  CHECK(contains(refusal(line("U </s>", "A")), "spells the control token \"</s>\""));
  CHECK(contains(refusal("{\"text\": \"x\"}\n"), "holds no conversation"));
  CHECK(contains(refusal("{\n"), "not valid JSON"));
  CHECK(contains(refusal(R"({"messages": [{"role": "tool", "content": "x"}]})"), "role \"tool\""));
  CHECK(contains(refusal(R"({"messages": []})"), "nothing is trained"));
}

TEST_CASE("What cannot be trained on is left out and counted where that is asked for",
          "[data][chat]") {
  const TempFolder folder;
  auto options = options_for(folder, "{\n" + kUntrained + line("U", "<s>") + line("U", "A") +
                                         "{\"text\": \"x\"}\n" + line("\\ud800", "B"));
  options.input.skip_bad_lines = true;
  const auto report = write_chat_dataset(options);
  CHECK(report.dataset.documents == 2);
  CHECK(report.bad_lines == 2);
  CHECK(report.without_target == 1);
  CHECK(report.control_text == 1);
  CHECK(report.half_surrogates == 1);
}

TEST_CASE("Text that spells a control token can stay, as text", "[data][chat]") {
  const TempFolder folder;
  auto options = options_for(folder, line("U", "A</s>") + line("U", "A"));
  options.keep_control_text = true;
  const auto report = write_chat_dataset(options);
  CHECK(report.dataset.documents == 2);
  CHECK(report.control_text == 1);
  CHECK(report.targets == 6 + 2);
}

TEST_CASE("No dataset is made of no conversation, and no input is replaced", "[data][chat]") {
  const TempFolder folder;
  auto options = options_for(folder, "{\n");
  options.input.skip_bad_lines = true;
  CHECK(contains(message_of<InputError>([&] { write_chat_dataset(options); }), "no conversation"));
  options = options_for(folder, line("U", "A"));
  options.output = folder.path();
  CHECK(
      contains(message_of<InputError>([&] { write_chat_dataset(options); }), "would be replaced"));
}
