#include "watch/chart.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "base/text.h"

namespace zebra {
namespace {

constexpr std::size_t kLabelWidth = 9;  // of the vertical axis: "  2.8312 "
constexpr std::size_t kFewestRows = 3, kFewestColumns = 24;
constexpr double kCutShare = 0.05;  // of the steps, whose values may lie above the chart

// A letter holds 2 x 4 dots, whose bits of U+2800 are these.
constexpr std::size_t kDotsAcross = 2, kDotsDown = 4;
constexpr unsigned kDotBits[kDotsDown][kDotsAcross] = {
    {0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};

std::string braille(unsigned bits) {
  return {static_cast<char>(0xe2), static_cast<char>(0xa0 | bits >> 6),
          static_cast<char>(0x80 | (bits & 0x3f))};
}

struct Steps {
  std::int64_t first, last;

  double share(std::int64_t step) const {
    return last == first ? 0.0
                         : static_cast<double>(step - first) / static_cast<double>(last - first);
  }
};

std::size_t place_of(double share, std::size_t places) {
  const auto place = std::llround(share * static_cast<double>(places - 1));
  return static_cast<std::size_t>(
      std::clamp<long long>(place, 0, static_cast<long long>(places) - 1));
}

// Straight lines between the places that have a value.
void join_places(std::vector<double>& values) {
  std::optional<std::size_t> before;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) continue;
    for (std::size_t gap = before.value_or(i) + 1; gap < i; ++gap) {
      const double share = static_cast<double>(gap - *before) / static_cast<double>(i - *before);
      values[gap] = values[*before] + share * (values[i] - values[*before]);
    }
    before = i;
  }
}

// Mean of the finite values that fall on each place.
std::vector<double> means(const std::vector<StepFigure>& curve, const Steps& steps,
                          std::size_t places) {
  std::vector<double> sums(places, 0.0), counts(places, 0.0);
  for (const auto& [step, value] : curve) {
    if (!std::isfinite(value)) continue;
    const auto place = place_of(steps.share(step), places);
    sums[place] += value;
    ++counts[place];
  }
  for (std::size_t i = 0; i < places; ++i) sums[i] /= counts[i];  // NaN where there is none
  join_places(sums);
  return sums;
}

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;

  void take(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  // 0 at the top.
  double share(double value) const {
    return high == low ? 0.5 : std::clamp((high - value) / (high - low), 0.0, 1.0);
  }
};

Range range_of(const std::vector<double>& values, const std::vector<StepFigure>& points,
               const Steps& steps) {
  Range all, later;
  for (std::size_t i = 0; i < values.size(); ++i) {
    all.take(values[i]);
    if (static_cast<double>(i) >= kCutShare * static_cast<double>(values.size()))
      later.take(values[i]);
  }
  for (const auto& [step, value] : points) {
    all.take(value);
    if (steps.share(step) >= kCutShare) later.take(value);
  }
  if (later.low > later.high) return all;
  later.low = std::min(later.low, all.low);
  return later;
}

class Canvas {
 public:
  Canvas(std::size_t columns, std::size_t rows, bool unicode)
      : columns_(columns),
        unicode_(unicode),
        bits_(rows, std::vector<unsigned>(columns, 0)),
        marks_(rows, std::vector<bool>(columns, false)) {}

  std::size_t dots_across() const { return columns_ * (unicode_ ? kDotsAcross : 1); }
  std::size_t dots_down() const { return bits_.size() * (unicode_ ? kDotsDown : 1); }

  void dot(std::size_t x, std::size_t y) {
    const auto across = unicode_ ? kDotsAcross : 1, down = unicode_ ? kDotsDown : 1;
    bits_[y / down][x / across] |= kDotBits[y % down][x % across];
  }
  void mark(double x, double y) { marks_[place_of(y, bits_.size())][place_of(x, columns_)] = true; }

  std::string row(std::size_t r) const {
    std::string text;
    for (std::size_t c = 0; c < columns_; ++c) {
      if (marks_[r][c]) {
        text += unicode_ ? "\u25cb" : "o";  // a circle
      } else if (bits_[r][c] == 0) {
        text += ' ';
      } else {
        text += unicode_ ? braille(bits_[r][c]) : "*";
      }
    }
    return text;
  }

 private:
  std::size_t columns_;
  bool unicode_;
  std::vector<std::vector<unsigned>> bits_;
  std::vector<std::vector<bool>> marks_;
};

// Dots from each mean to the next, so that a steep curve is a line. It comes in at the top where it
// has been above.
void draw_curve(Canvas& canvas, const std::vector<double>& values, const Range& range) {
  std::optional<std::size_t> before;
  for (std::size_t x = 0; x < values.size(); ++x) {
    if (!std::isfinite(values[x])) continue;
    if (values[x] > range.high) {
      before = 0;
      continue;
    }
    const auto y = place_of(range.share(values[x]), canvas.dots_down());
    const auto from = before.value_or(y);
    for (auto dot = std::min(from, y); dot <= std::max(from, y); ++dot) canvas.dot(x, dot);
    before = y;
  }
}

std::string padded(const std::string& text, std::size_t width) {
  return std::string(width - std::min(width, text.size()), ' ') + text;
}

std::string step_axis(const Steps& steps, std::size_t columns) {
  const auto first = "step " + with_commas(steps.first), last = with_commas(steps.last);
  return std::string(kLabelWidth, ' ') + first +
         padded(last, columns - kLabelWidth - std::min(columns - kLabelWidth, first.size()));
}

}  // namespace

std::vector<std::string> draw_chart(const std::vector<StepFigure>& curve,
                                    const std::vector<StepFigure>& points,
                                    const ChartOptions& options) {
  if (curve.empty() || options.columns < kFewestColumns || options.rows < kFewestRows) return {};
  const Steps steps = {curve.front().step, curve.back().step};
  Canvas canvas(options.columns - kLabelWidth, options.rows - 1, options.unicode);
  const auto values = means(curve, steps, canvas.dots_across());
  const auto range = range_of(values, points, steps);
  if (range.low > range.high) return {};
  draw_curve(canvas, values, range);
  for (const auto& [step, value] : points)
    if (value <= range.high) canvas.mark(steps.share(step), range.share(value));

  std::vector<std::string> lines;
  for (std::size_t r = 0; r + 1 < options.rows; ++r) {
    const bool is_labelled = r == 0 || r + 2 == options.rows;
    const auto label = is_labelled ? fixed(r == 0 ? range.high : range.low, 4) : "";
    lines.push_back(padded(label, kLabelWidth - 1) + " " + canvas.row(r));
  }
  lines.push_back(step_axis(steps, options.columns));
  return lines;
}

}  // namespace zebra
