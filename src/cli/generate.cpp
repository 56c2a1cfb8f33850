#include <iostream>
#include <memory>

#include "checkpoint/load_model.h"
#include "cli/commands.h"
#include "eval/generate.h"

namespace zebra {
namespace {

struct GenerateOptions {
  std::string run_or_checkpoint, prompt;
  SamplingOptions sampling;
};

// Prints text as it grows. What the tokens so far decode to may end within a character; that end is
// held back.
class StreamedText {
 public:
  explicit StreamedText(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void add(std::int32_t token) {
    tokens_.push_back(token);
    const std::string text = tokenizer_.decode(tokens_);
    if (text.ends_with("\xEF\xBF\xBD")) return;  // U+FFFD: bytes of an unfinished character
    print_from(text);
  }

  void finish() {
    print_from(tokenizer_.decode(tokens_));
    std::cout << std::endl;
  }

 private:
  void print_from(const std::string& text) {
    if (text.size() > printed_) std::cout << text.substr(printed_) << std::flush;
    printed_ = text.size();
  }

  const Tokenizer& tokenizer_;
  std::vector<std::int32_t> tokens_;
  std::size_t printed_ = 0;
};

void run_generate(GenerateOptions options) {
  auto loaded = load_model(options.run_or_checkpoint);
  std::vector<std::int32_t> prompt = {loaded.tokenizer.bos()};
  for (const auto token : loaded.tokenizer.encode(options.prompt)) prompt.push_back(token);
  options.sampling.stop_token = loaded.tokenizer.eos();
  std::cout << options.prompt << std::flush;
  StreamedText text(loaded.tokenizer);
  generate(loaded.model, prompt, options.sampling, [&](std::int32_t token) { text.add(token); });
  text.finish();
}

}  // namespace

void add_generate_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("generate", "Continue a text");
  const auto options = std::make_shared<GenerateOptions>();
  auto& sampling = options->sampling;
  command
      ->add_option("RUN_OR_CHECKPOINT", options->run_or_checkpoint,
                   "Run folder (RUN, RUN@step, RUN@best) or checkpoint folder")
      ->required();
  command->add_option("--prompt", options->prompt, "Text to continue")
      ->required()
      ->type_name("TEXT");
  command->add_option("--max-new-tokens", sampling.max_new_tokens, "Stop after so many tokens")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--temperature", sampling.temperature, "0: always the likeliest token")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      ->add_option("--top-p", sampling.top_p,
                   "Sample from the fewest tokens that reach this probability")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--seed", sampling.seed, "The same seed gives the same text")
      ->capture_default_str();
  command->footer("Example: zebra generate runs/tiny --prompt 'def main' --temperature 0.7");
  command->callback([options] { run_generate(*options); });
}

}  // namespace zebra
