#include "watch/screen.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/message.h"
#include "base/text.h"
#include "watch/chart.h"

namespace zebra {
namespace {

constexpr std::size_t kRowsMeant = 20;
constexpr std::size_t kFewestChartRows = 5, kMostChartRows = 16;
constexpr std::size_t kMostHeadLines = 4;
constexpr std::size_t kFewestMessageLines = 3, kMostMessageLines = 8, kRowsOfAMessageLine = 8;
constexpr std::size_t kFewestColumnsWrapped = 16;  // text on less room is cut

using Lines = std::vector<std::string>;

// Letters of UTF-8: bytes that begin one.
std::size_t letters(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

// Its first `most` letters.
std::string cut(const std::string& text, std::size_t most) {
  std::size_t begun = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool begins = (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80;
    if (begins && begun++ == most) return text.substr(0, i);
  }
  return text;
}

// Lines of at most so many letters, broken at a space where one is near, all but the first
// indented.
Lines wrapped(std::string text, std::size_t columns) {
  if (columns < kFewestColumnsWrapped) return {cut(text, columns)};
  Lines lines;
  while (letters(text) > columns) {
    auto line = cut(text, columns + 1);
    const auto space = line.rfind(' ');
    const bool is_near = space != std::string::npos && space > columns / 2;
    line = is_near ? line.substr(0, space) : cut(text, columns);
    text = "  " + text.substr(line.size() + (is_near ? 1 : 0));
    lines.push_back(std::move(line));
  }
  lines.push_back(std::move(text));
  return lines;
}

Lines first_of(Lines lines, std::size_t most) {
  if (lines.size() > most) lines.resize(most);
  return lines;
}

std::string progress_bar(double share, std::size_t columns, bool unicode) {
  const auto done = static_cast<std::size_t>(std::llround(share * static_cast<double>(columns)));
  std::string bar;
  for (std::size_t i = 0; i < columns; ++i)
    bar += i < done ? (unicode ? "\u2501" : "=") : (unicode ? "\u2500" : "-");
  return bar;
}

double share_done(const RunView& run) {
  if (run.max_steps() == 0) return 0.0;
  return std::min(1.0, static_cast<double>(run.step()) / static_cast<double>(run.max_steps()));
}

double mean_of_newest(const std::vector<StepFigure>& figures) {
  const auto count = std::min(figures.size(), kRowsMeant);
  const auto begin = figures.end() - static_cast<std::ptrdiff_t>(count);
  const auto sum = std::accumulate(begin, figures.end(), 0.0, [](double total, const auto& figure) {
    return total + figure.value;
  });
  return sum / static_cast<double>(count);
}

std::string validation_text(const RunView& run) {
  const auto& all = run.validation_losses();
  const auto best = std::ranges::min_element(all, {}, &StepFigure::value);
  return fixed(all.back().value, 4) + " at step " + with_commas(all.back().step) + ", best " +
         fixed(best->value, 4) + " at step " + with_commas(best->step);
}

// Names and values of what is known, for one column.
std::vector<std::pair<std::string, std::string>> figures_of(const RunView& run) {
  std::vector<std::pair<std::string, std::string>> figures;
  const auto add = [&](const char* name, const char* key, const auto& text) {
    if (const auto value = run.newest(key)) figures.emplace_back(name, text(*value));
  };
  const auto decimals = [](int count) {
    return [count](double value) { return fixed(value, count); };
  };
  if (!run.losses().empty()) {
    figures.emplace_back("loss", fixed(run.losses().back().value, 4) + ", mean of the last rows " +
                                     fixed(mean_of_newest(run.losses()), 4));
  }
  if (!run.validation_losses().empty()) figures.emplace_back("validation", validation_text(run));
  add("gradient norm", "grad_norm", decimals(3));
  add("learning rate", "lr", [](double value) { return scientific(value); });
  if (const auto rate = run.tokens_per_second()) {
    figures.emplace_back("tokens", with_suffix(run.newest("tokens").value_or(0.0)) + ", " +
                                       with_suffix(*rate) + " a second");
  }
  add("memory", "memory_gib", [](double value) { return fixed(value, 2) + " GiB"; });
  add("window", "window", decimals(0));
  if (run.skipped_steps() > 0)
    figures.emplace_back("skipped steps", with_commas(run.skipped_steps()));
  return figures;
}

void add_figures(const RunView& run, Lines& lines) {
  std::vector<std::vector<std::string>> table;
  for (const auto& [name, text] : figures_of(run)) table.push_back({name, text});
  if (table.empty()) return;
  for (const auto& line : split(text_table(table, "l"), '\n'))
    if (!line.empty()) lines.push_back(line);
}

// The newest messages, whole as far as there is room for them.
Lines message_lines(const RunView& run, const ScreenSize& size) {
  const auto most =
      std::clamp(size.rows / kRowsOfAMessageLine, kFewestMessageLines, kMostMessageLines);
  const auto messages = run.messages(most);
  Lines lines;
  for (auto message = messages.rbegin(); message != messages.rend(); ++message) {
    const auto whole = first_of(wrapped(printable(*message), size.columns), most);
    if (lines.size() + whole.size() > most) break;
    lines.insert(lines.begin(), whole.begin(), whole.end());
  }
  return lines;
}

void add_block(Lines& lines, const std::string& title, const Lines& block) {
  if (block.empty()) return;
  lines.emplace_back();
  lines.push_back(title);
  lines.insert(lines.end(), block.begin(), block.end());
}

}  // namespace

std::string state_line(const RunView& run) {
  const auto step = "step " + with_commas(run.step()) + " of " + with_commas(run.max_steps());
  if (run.state().empty()) return "has not begun";
  if (run.is_abandoned())
    return "its process is gone, at " + step + " or later; start it again to go on";
  if (run.is_running()) return "running, " + step;
  return run.state() + " at " + step + (run.reason().empty() ? "" : ": " + run.reason());
}

std::string newest_line(const RunView& run) {
  std::string line = "step " + std::to_string(run.step()) + "/" + std::to_string(run.max_steps());
  for (const auto& [name, text] : figures_of(run))
    if (name != "memory" && name != "window") line += "  " + name + " " + text;
  if (const auto left = run.seconds_left(); left && run.is_running())
    line += "  " + duration_text(*left) + " left";
  return line;
}

std::vector<std::string> draw_screen(const RunView& run, const ScreenSize& size, bool unicode) {
  auto top = first_of(wrapped(printable(run.name() + ": " + state_line(run)), size.columns),
                      kMostHeadLines);
  std::string bar = progress_bar(share_done(run),
                                 size.columns - std::min<std::size_t>(size.columns, 24), unicode) +
                    " " + percent(share_done(run));
  if (const auto left = run.seconds_left(); left && run.is_running())
    bar += ", " + duration_text(*left) + " left";
  top.push_back(bar);
  top.emplace_back();
  add_figures(run, top);

  Lines bottom;
  add_block(bottom, "messages", message_lines(run, size));

  // The chart has what is left, less a blank line and its title.
  const auto used = top.size() + bottom.size() + 2;
  const auto left = size.rows > used ? size.rows - used : 0;
  if (left >= kFewestChartRows) {
    const auto title = std::string("loss") + (run.validation_losses().empty() ? ""
                                              : unicode ? ", \u25cb validation"
                                                        : ", o validation");
    add_block(top, title,
              draw_chart(run.losses(), run.validation_losses(),
                         {size.columns, std::min(left, kMostChartRows), unicode}));
  }
  top.insert(top.end(), bottom.begin(), bottom.end());
  if (top.size() > size.rows) top.resize(size.rows);
  for (auto& line : top) line = cut(line, size.columns);
  return top;
}

}  // namespace zebra
