#include "eval/prompts.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/json_reader.h"
#include "base/text.h"
#include "data/input_stream.h"
#include "data/utf8.h"

namespace zebra {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::int64_t kMostFaultsShown = 20;

/// All of an input, without a byte order mark.
std::string read_whole(const std::string& path, std::size_t most_bytes, const std::string& advice) {
  constexpr std::size_t kBlockBytes = std::size_t{1} << 20;
  InputStream stream(path);
  std::string text;
  while (stream.append_to(text, kBlockBytes) == kBlockBytes) {
    if (text.size() <= most_bytes) continue;
    throw InputError(input_name(path) + ": holds more than " +
                     with_byte_unit(static_cast<double>(most_bytes)) + "; " + advice);
  }
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  return text;
}

/// What an answer adds to the fields of its line.
nlohmann::ordered_json answer_fields(const PromptAnswer& answer) {
  return {{"completion", answer.completion},
          {"finish_reason", answer.finish_reason},
          {"prompt_tokens", answer.prompt_tokens},
          {"completion_tokens", answer.completion_tokens}};
}

/// What keeps a line from being a prompt, as the end of a sentence; nothing where `prompt` has been
/// filled with it.
std::string prompt_fault(const std::string& text, PromptLine& prompt) {
  if (const auto fault = json_object_fault(text); !fault.empty())
    return "is no JSON object such as {\"prompt\": \"Once\"}: " + fault;
  prompt.fields = nlohmann::ordered_json::parse(text);
  const auto* words = member_of(prompt.fields, "prompt");
  if (words == nullptr || !words->is_string())
    return words == nullptr ? "has no field \"prompt\" to continue"
                            : "has a \"prompt\" that is not a string";
  prompt.prompt = words->get<std::string>();
  if (const auto* seed = member_of(prompt.fields, "seed")) {
    const auto number = count_of<std::int64_t>(*seed);
    if (!number) return "has a \"seed\" that is not a whole number from 0";
    prompt.seed = number;
  }
  const auto answer = answer_fields({});
  for (const auto& [field, value] : answer.items()) {
    if (prompt.fields.contains(field))
      return std::string("has a field \"") + field + "\", which the answer is to have; rename it";
  }
  return "";
}

std::string trimmed(std::string_view line) {
  constexpr std::string_view kWhiteSpace = " \t\r";
  const auto begin = line.find_first_not_of(kWhiteSpace);
  if (begin == std::string_view::npos) return "";
  return std::string(line.substr(begin, line.find_last_not_of(kWhiteSpace) + 1 - begin));
}

}  // namespace

std::string read_prompt(const std::string& path) {
  std::string text = read_whole(path, kLongestPromptBytes, "a prompt is a text of some pages");
  if (text.empty())
    throw InputError(input_name(path) +
                     ": is empty; to begin a text from nothing give --prompt ''");
  if (!is_valid_utf8(text))
    throw InputError(input_name(path) + ": is no text in UTF-8; convert it, such as with iconv");
  if (text.ends_with('\n')) text.resize(text.size() - (text.ends_with("\r\n") ? 2 : 1));
  return text;
}

std::vector<PromptLine> read_prompts(const std::string& path) {
  const std::string text = read_whole(path, kLongestPromptsBytes, "split it, by lines");
  const std::string name = input_name(path);
  std::vector<PromptLine> prompts;
  Problems problems;
  std::int64_t number = 0, faults = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = trimmed(std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
    ++number;
    if (line.empty()) continue;
    PromptLine prompt = {.line = number, .prompt = "", .seed = {}, .fields = {}};
    const std::string fault = prompt_fault(line, prompt);
    if (fault.empty()) {
      prompts.push_back(std::move(prompt));
    } else if (++faults <= kMostFaultsShown) {
      problems.add(name + ":" + std::to_string(number) + ": the line " + fault);
    }
  }
  if (faults > kMostFaultsShown)
    problems.add(name + ": so are " + with_commas(faults - kMostFaultsShown) + " further lines");
  if (prompts.empty() && faults == 0)
    problems.add(name + ": holds no line with a prompt, such as {\"prompt\": \"Once\"}");
  problems.throw_if_any();
  return prompts;
}

std::string answered_line(const PromptLine& prompt, const PromptAnswer& answer) {
  auto fields = prompt.fields;
  fields.update(answer_fields(answer));
  return json_text(fields);
}

}  // namespace zebra
