#include "watch/chart.h"

#include <cmath>
#include <limits>

#include "support/catch.h"

namespace zebra {
namespace {

using Lines = std::vector<std::string>;

std::vector<StepFigure> line(double from, double to, std::int64_t steps) {
  std::vector<StepFigure> figures;
  for (std::int64_t step = 1; step <= steps; ++step) {
    const double share = static_cast<double>(step - 1) / static_cast<double>(steps - 1);
    figures.push_back({step, from + (to - from) * share});
  }
  return figures;
}

TEST_CASE("a falling line goes from the upper left to the lower right, between its values") {
  const auto lines = draw_chart(line(3.0, 1.0, 1000), {}, {29, 6, false});
  // Of 20 columns the second is the highest, as the first twentieth may lie above: its middle is
  // 1 / 19 of the way. The last one is half as wide, its middle 18.75 / 19 of the way.
  REQUIRE(lines.size() == 6);
  CHECK(lines.front().substr(0, 9) == "  2.8949 ");
  CHECK(lines[4].substr(0, 9) == "  1.0260 ");
  CHECK(lines.front().find('*') == 10);  // the first column lies above
  CHECK(lines[4].back() == '*');
  CHECK(lines.back() == "         step 1         1,000");
  for (std::size_t i = 1; i + 2 < lines.size(); ++i)
    CHECK(lines[i].find('*') > lines[i - 1].find('*'));
}

TEST_CASE("Braille patterns have eight dots a letter") {
  // Two places a letter: the means of the first two columns of dots lie at top and bottom.
  const auto lines = draw_chart(line(1.0, 0.0, 30), {}, {24, 3, true});
  REQUIRE(lines.size() == 3);
  CHECK(lines[0].find("\u2801") == std::string::npos);
  CHECK(lines[0].find("\xe2\xa0") != std::string::npos);
}

TEST_CASE("points are marked where they are") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto lines =
      draw_chart(line(2.0, 1.0, 100), {{1, 9.0}, {6, 2.5}, {50, nan}, {100, 1.0}}, {29, 6, false});
  CHECK(lines[0] == "  2.5000  o" + std::string(18, ' '));  // the first one lies above
  CHECK(lines[4].back() == 'o');
}

TEST_CASE("few values are joined by straight lines") {
  const auto lines = draw_chart({{1, 2.0}, {1000, 1.0}}, {}, {29, 6, false});
  REQUIRE(lines.size() == 6);
  for (std::size_t column = 10; column < 29; ++column) {  // the first lies above the chart
    std::size_t dots = 0;
    for (std::size_t i = 0; i < 5; ++i) dots += lines[i][column] == '*' ? 1 : 0;
    CHECK(dots >= 1);
  }
}

TEST_CASE("what is not finite is passed over, and no room or no value gives no chart") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(draw_chart({{1, nan}, {2, nan}}, {}, {80, 10, true}).empty());
  CHECK(draw_chart({}, {}, {80, 10, true}).empty());
  CHECK(draw_chart(line(1, 2, 10), {}, {10, 10, true}).empty());
  CHECK(draw_chart(line(1, 2, 10), {}, {80, 2, true}).empty());
  CHECK(draw_chart({{1, 1.0}, {2, nan}, {3, std::numeric_limits<double>::infinity()}, {4, 2.0}}, {},
                   {80, 10, true})
            .size() == 10);
  CHECK(draw_chart({{7, 1.5}}, {}, {80, 10, false}).size() == 10);
}

}  // namespace
}  // namespace zebra
