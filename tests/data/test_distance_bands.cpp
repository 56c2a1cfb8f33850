#include "data/distance_bands.h"

#include "support/catch.h"

using namespace zebra;

namespace {

constexpr DistanceRange kNone = {1, 0};

/// The distances of `possible` that band_of puts into the band, counted out.
DistanceRange counted_out(const DistanceBands& bands, DistanceBand band, DistanceRange possible) {
  DistanceRange range = kNone;
  for (auto distance = possible.first; distance <= possible.last; ++distance) {
    if (bands.band_of(distance) != band) continue;
    if (range.empty()) range.first = distance;
    range.last = distance;
  }
  return range;
}

}  // namespace

TEST_CASE("The edges of the bands", "[data][probes]") {
  const DistanceBands bands = {16, 6};
  CHECK(bands.reach() == 96);
  CHECK(bands.band_of(0) == DistanceBand::control);
  CHECK(bands.band_of(16) == DistanceBand::control);
  CHECK(bands.band_of(17) == DistanceBand::relay);
  CHECK(bands.band_of(96) == DistanceBand::relay);
  CHECK(bands.band_of(97) == DistanceBand::beyond);
}

TEST_CASE("The distances of a band are those that it holds", "[data][probes]") {
  for (const DistanceBands bands : {DistanceBands{16, 6}, {7, 1}, {1, 1}, {3, 5}, {200, 2}}) {
    for (const DistanceRange possible :
         {DistanceRange{1, 251}, {8, 30}, {8, 8}, {17, 96}, {4, 3}}) {
      for (const auto band : kAllDistanceBands) {
        CAPTURE(bands.window, bands.layers, possible.first, possible.last, name_of(band));
        const auto range = bands.distances(band, possible);
        const auto expected = counted_out(bands, band, possible);
        CHECK(range.empty() == expected.empty());
        if (!expected.empty()) CHECK(range == expected);
      }
    }
  }
}

TEST_CASE("Bands of any size do not overflow", "[data][probes]") {
  const DistanceBands bands = {std::int64_t{1} << 40, std::int64_t{1} << 40};
  CHECK(bands.band_of((std::int64_t{1} << 62)) == DistanceBand::relay);
  CHECK(bands.distances(DistanceBand::beyond, {1, 1000}).empty());
  CHECK(bands.distances(DistanceBand::relay, {1, 1000}).empty());
  CHECK(bands.distances(DistanceBand::control, {1, 1000}) == DistanceRange{1, 1000});
}

TEST_CASE("Bands without a window or layers are refused", "[data][probes]") {
  Problems problems;
  check_distance_bands({1, 1}, problems);
  CHECK(problems.empty());
  check_distance_bands({0, -2}, problems);
  REQUIRE(problems.all().size() == 2);
  CHECK(problems.all()[0].find("window is 0") != std::string::npos);
  CHECK(problems.all()[1].find("layers is -2") != std::string::npos);
}
