#include "data/chat_renderer.h"

#include "base/error.h"
#include "byte_tokenizer.h"

using namespace zebra;
using namespace zebra::test;

namespace {

const std::vector<ExtraToken> kMarks = {{"<|im_start|>"},        {"<|im_end|>"},
                                        {"<|start_header_id|>"}, {"<|end_header_id|>"},
                                        {"<|eot_id|>"},          {"<think>", false}};

Conversation chat(std::vector<ChatMessage> messages) { return {std::move(messages), false}; }

const Conversation kChat = chat({{"system", "S", {}},
                                 {"user", " U\n", {}},
                                 {"assistant", "A", {}},
                                 {"user", "V", {}},
                                 {"assistant", "B", false}});

/// The rendered text, control tokens in ⟦…⟧, what is trained in {…}.
std::string rendered(const ChatRenderer& renderer, const Conversation& conversation) {
  const auto result = renderer.render(conversation);
  if (const auto* problem = std::get_if<JsonLineProblem>(&result)) return problem->reason;
  std::string text;
  bool trained = false;
  for (const auto& piece : std::get<std::vector<ChatPiece>>(result)) {
    if (piece.text.empty()) continue;
    if (piece.trained != trained) text += piece.trained ? "{" : "}";
    trained = piece.trained;
    text += piece.control < 0 ? piece.text : "⟦" + piece.text + "⟧";
  }
  return text + (trained ? "}" : "");
}

}  // namespace

TEST_CASE("ChatML", "[data][chat]") {
  const TempFolder folder;
  const Tokenizer tokenizer(byte_tokenizer(folder, kMarks));
  const ChatRenderer renderer(open_chat_template("chatml"), tokenizer);
  CHECK(rendered(renderer, kChat) ==
        "⟦<s>⟧⟦<|im_start|>⟧system\nS⟦<|im_end|>⟧\n⟦<|im_start|>⟧user\n U\n⟦<|im_end|>⟧\n"
        "⟦<|im_start|>⟧assistant\n{A⟦<|im_end|>⟧}\n⟦<|im_start|>⟧user\nV⟦<|im_end|>⟧\n"
        "⟦<|im_start|>⟧assistant\nB⟦<|im_end|>⟧\n");
  CHECK(renderer.end_token() == 259);
}

TEST_CASE("Llama 3's template trims", "[data][chat]") {
  const TempFolder folder;
  const Tokenizer tokenizer(byte_tokenizer(folder, kMarks));
  const ChatRenderer renderer(open_chat_template("llama3"), tokenizer);
  CHECK(rendered(renderer, chat({{"user", " \tU\xC2\xA0\n", {}}, {"assistant", "A B ", {}}})) ==
        "⟦<s>⟧⟦<|start_header_id|>⟧user⟦<|end_header_id|>⟧\n\nU⟦<|eot_id|>⟧"
        "⟦<|start_header_id|>⟧assistant⟦<|end_header_id|>⟧\n\n{A B⟦<|eot_id|>⟧}");
}

TEST_CASE("Llama 2 has the system message within the first of the user", "[data][chat]") {
  const TempFolder folder;
  const Tokenizer tokenizer(byte_tokenizer(folder, {}));
  const ChatRenderer renderer(open_chat_template("llama2"), tokenizer);
  CHECK(rendered(renderer, kChat) ==
        "⟦<s>⟧[INST] <<SYS>>\nS\n<</SYS>>\n\nU [/INST]{ A ⟦</s>⟧}⟦<s>⟧[INST] V [/INST] B ⟦</s>⟧");
  CHECK(renderer.end_token() == 257);
  for (const auto& messages : {std::vector<ChatMessage>{{"user", "U", {}}, {"system", "S", {}}},
                               {{"system", "S", {}}, {"assistant", "A", {}}},
                               {{"system", "S", {}}, {"system", "T", {}}, {"user", "U", {}}}})
    CHECK(contains(rendered(renderer, chat(messages)), "no message of the user follows"));
}

TEST_CASE("Zephyr's marks are text where the tokenizer has no such tokens", "[data][chat]") {
  const TempFolder folder;
  const Tokenizer tokenizer(byte_tokenizer(folder, {}));
  const ChatRenderer renderer(open_chat_template("zephyr"), tokenizer);
  CHECK(rendered(renderer, chat({{"user", "U", {}}, {"assistant", "A", {}}})) ==
        "⟦<s>⟧<|user|>\nU⟦</s>⟧\n<|assistant|>\n{A⟦</s>⟧}\n");
}

TEST_CASE("BOS is left out where EOS stands for it", "[data][chat]") {
  const TempFolder folder;
  const Tokenizer tokenizer(byte_tokenizer(folder, {}, /*composes=*/false, /*has_bos=*/false));
  const ChatRenderer renderer(open_chat_template("zephyr"), tokenizer);
  CHECK(rendered(renderer, chat({{"user", "U", {}}})) == "<|user|>\nU⟦</s>⟧\n");
}

TEST_CASE("A message says itself whether it is trained", "[data][chat]") {
  const TempFolder folder;
  const Tokenizer tokenizer(byte_tokenizer(folder, {}));
  const ChatRenderer renderer(open_chat_template("zephyr"), tokenizer);
  CHECK(rendered(renderer, chat({{"user", "U", true}, {"assistant", "A", false}})) ==
        "⟦<s>⟧<|user|>\n{U⟦</s>⟧}\n<|assistant|>\nA⟦</s>⟧\n");
}

TEST_CASE("Roles without a place are told", "[data][chat]") {
  const TempFolder folder;
  const Tokenizer tokenizer(byte_tokenizer(folder, {}));
  const ChatRenderer renderer(open_chat_template("zephyr"), tokenizer);
  CHECK(contains(rendered(renderer, chat({{"user", "U", {}}, {"tool", "T", {}}})),
                 "of the role \"tool\""));
}

TEST_CASE("Contents that spell a token are found, and are text", "[data][chat]") {
  const TempFolder folder;
  const Tokenizer tokenizer(byte_tokenizer(folder, kMarks));
  const ChatRenderer renderer(open_chat_template("zephyr"), tokenizer);
  const auto spelled = [&renderer](const std::string& content) {
    return renderer.spelled_token(chat({{"user", "", {}}, {"assistant", content, {}}}));
  };
  CHECK(spelled("a < b </s >").empty());
  CHECK(spelled("a <</s>") == "</s>");
  CHECK(spelled("<|im_end|>") == "<|im_end|>");
  CHECK(spelled("<think>").empty());  // no control token, and the template has no use for it
  CHECK(rendered(renderer, chat({{"user", "</s>{bos}", {}}})) ==
        "⟦<s>⟧<|user|>\n</s>{bos}⟦</s>⟧\n");

  const auto file =
      folder.write("t.yaml", "roles: {user: {prefix: '<think>'}, assistant: {suffix: '{eos}'}}");
  const ChatRenderer with_use(open_chat_template(file), tokenizer);
  CHECK(with_use.spelled_token(chat({{"user", "a<think>", {}}})) == "<think>");
}

TEST_CASE("A template of a file", "[data][chat]") {
  const TempFolder folder;
  const Tokenizer tokenizer(byte_tokenizer(folder, {}));
  const auto file = folder.write("t.yaml", R"(
roles:
  user: {prefix: "Q: ", after: "\n", trained: true}
  assistant: {prefix: "A:", opening: " ", suffix: "\n", after: "--\n", trained: false}
)");
  const ChatRenderer renderer(open_chat_template(file), tokenizer);
  CHECK(rendered(renderer,
                 chat({{"user", "U", {}}, {"assistant", "B", {}}, {"assistant", "C", true}})) ==
        "Q: {U}\nA: B\n--\nA:{ C\n}--\n");
  CHECK(renderer.end_token() == -1);
  CHECK(contains(rendered(renderer, chat({{"system", "S", {}}})), "of the role \"system\""));
}

TEST_CASE("Tokens with rules of their own are refused where a template has them", "[data][chat]") {
  const TempFolder folder;
  const Tokenizer tokenizer(byte_tokenizer(folder, {{"<|im_end|>", true, true}}));
  CHECK_NOTHROW(ChatRenderer(open_chat_template("zephyr"), tokenizer));
  const auto message =
      message_of<InputError>([&] { ChatRenderer(open_chat_template("chatml"), tokenizer); });
  CHECK(contains(message, "\"<|im_end|>\""));
  CHECK(contains(message, "scripts/chat_to_tokens.py"));
}
