#include "cli/shared_options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json_reader.h"
#include "config/load.h"
#include "config/value.h"
#include "data/document_reader.h"

namespace zebra {
namespace {

// What is wrong with the text of a number; nothing when it is empty.

std::string check_decimal(const std::string& text, const Rules& rules) {
  const auto number = number_from(text);
  if (!number) return "\"" + text + "\" is not a finite number";
  return rules.violation(*number, text).value_or("");
}

/// Leaves plain digits ("1e6") where nothing is wrong.
std::string check_integer(std::string& text, const Rules& rules, std::int64_t most) {
  const auto number = integer_from(text);
  if (!number) return "\"" + text + "\" is not an integer";
  if (std::abs(*number) > most) return text + " is too large";
  if (const auto fault = rules.violation(static_cast<double>(*number), text)) return *fault;
  text = std::to_string(*number);
  return "";
}

}  // namespace

void RunFileOptions::add_to(CLI::App& command) {
  command.add_option("RUN.yaml", files, "Run files; keys of later ones win");
  add_override_option(command, overrides, "train.max_steps=100");
}

void add_override_option(CLI::App& command, std::vector<std::string>& overrides,
                         const std::string& example) {
  command
      .add_option("--set", overrides,
                  "Override one key, for example --set " + example + " (repeatable)")
      ->type_name("section.key=VALUE")
      ->allow_extra_args(false);
}

RunFile RunFileOptions::load(int ranks) const {
  if (files.empty()) {
    throw InputError(
        "no run file was given; name one, for example run.yaml (`zebra config --reference` lists "
        "its keys)");
  }
  return load_run_file({files.begin(), files.end()}, overrides, ranks);
}

void add_checkpoint_argument(CLI::App& command, std::string& value) {
  command
      .add_option("RUN_OR_CHECKPOINT", value,
                  "Run folder (RUN, RUN@step, RUN@best) or checkpoint folder")
      ->required();
}

CLI::Option* add_number(CLI::App& command, const std::string& name, NumberTarget target,
                        const Rules& rules, const std::string& help, const std::string& type_name) {
  return std::visit(
      [&]<class Numbers>(Numbers* numbers) {
        auto* option = command.add_option(name, *numbers, help)->type_name(type_name);
        option->transform(CLI::Validator(
            [rules](std::string& text) {
              if constexpr (std::is_same_v<Numbers, double>) return check_decimal(text, rules);
              constexpr auto most =
                  std::is_same_v<Numbers, int> ? std::numeric_limits<int>::max() : INT64_MAX;
              return check_integer(text, rules, most);
            },
            ""));
        if constexpr (std::is_arithmetic_v<Numbers>) {
          if (!rules.violation(static_cast<double>(*numbers), "")) option->capture_default_str();
        } else if constexpr (!std::is_same_v<Numbers, std::optional<std::int64_t>>) {
          option->delimiter(',');
        }
        return option;
      },
      target);
}

namespace {

InputFormat format_named(const std::string& name) {
  if (name == "text") return InputFormat::text;
  return name == "jsonl" ? InputFormat::jsonl : InputFormat::automatic;
}

}  // namespace

std::vector<CLI::Option*> add_document_options(CLI::App& command, DocumentReaderOptions& options) {
  return {
      command
          .add_option_function<std::string>(
              "--format",
              [&options](const std::string& name) { options.format = format_named(name); },
              "auto: JSON by name (.jsonl, .ndjson, .json.gz, .json.zst) or because the first "
              "line, or the first element of an array, is a document (in a stream: by a leading "
              "{ or [{), else text; text: a file is a document; jsonl: a line is one, or an "
              "element of an array")
          ->check(CLI::IsMember({"auto", "text", "jsonl"}))
          ->type_name("")
          ->default_str("auto"),
      command
          .add_option("--field", options.field,
                      "JSONL field that holds the text; a.b is field b of the object in field a. A "
                      "line without it may hold \"prompt\" and \"completion\": then only the "
                      "completion's tokens count as targets")
          ->type_name("NAME")
          ->capture_default_str(),
      command.add_flag("--skip-bad-lines", options.skip_bad_lines,
                       "Count and leave out bad lines of JSONL instead of ending with an error"),
      command
          .add_option("--max-line-bytes", options.max_line_bytes,
                      "A longer line of JSONL is a bad one; such as 200MB. Four times as much "
                      "memory may be needed")
          ->transform(CLI::AsSizeValue(/*kb_is_1000=*/true))
          ->type_name("BYTES")
          ->capture_default_str()};
}

void add_json_flag(CLI::App& command, bool& value) {
  command.add_flag("--json", value, "Print JSON");
}

namespace {

// /dev/stdout and the like stand for a descriptor, whatever that is.
bool is_device(const std::filesystem::path& path) {
  const auto text = path.lexically_normal().string();
  return text.starts_with("/dev/") || text.starts_with("/proc/");
}

// Whether `mark` stands near the beginning of the file, where ours have it.
bool holds_mark(const std::filesystem::path& path, std::string_view mark) {
  std::string begin(std::size_t{1} << 16, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(begin.data(), static_cast<std::streamsize>(begin.size()));
  begin.resize(static_cast<std::size_t>(file.gcount()));
  return begin.empty() || begin.find(mark) != std::string::npos;
}

}  // namespace

void check_output_path(const std::filesystem::path& path, std::string_view mark,
                       Problems& problems) {
  if (path.empty()) return;
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) {
    problems.add(path.string() +
                 ": is to be written into a folder that does not exist; make it first");
  }
  if (is_device(path)) return;
  if (std::filesystem::is_symlink(path, ignored)) {
    problems.add(path.string() + ": is a link, through which nothing is written; name the file");
  } else if (std::filesystem::is_directory(path, ignored)) {
    problems.add(path.string() + ": is a folder; name a file");
  } else if (std::filesystem::is_regular_file(path, ignored) && !holds_mark(path, mark)) {
    problems.add(path.string() +
                 ": exists and is none of this command's results, so it is not written over; name "
                 "another file, or remove it");
  }
}

void write_json(const std::filesystem::path& path, const nlohmann::ordered_json& json) {
  const std::string text = json_text(json, 2);
  std::error_code ignored;
  const bool is_new = !std::filesystem::exists(path, ignored);
  if (is_device(path) || (!is_new && !std::filesystem::is_regular_file(path, ignored))) {
    // A pipe or /dev/stdout has nothing beside it to rename; where it is a file, it goes on
    // there.
    std::ofstream(path, std::ios::app) << text;
  } else {
    write_file_atomically(path, text);
  }
}

void ProgressBars::update(const std::string& part, std::uint64_t done, std::uint64_t total) {
  if (part != part_) finish();
  part_ = part;
  done_ = done;
  if (total < least_) return;
  if (!bar_) bar_.emplace(part, total, unit_);
  bar_->update(done);
}

void ProgressBars::finish() {
  if (bar_) bar_->finish(done_);
  bar_.reset();
}

std::string list_default(const std::vector<std::string>& values) {
  return "[" + join(values, ",") + "]";
}

}  // namespace zebra
