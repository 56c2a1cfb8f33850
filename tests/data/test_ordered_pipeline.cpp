#include "data/ordered_pipeline.h"

#include <atomic>
#include <chrono>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.h"

using namespace zebra;

namespace {

auto numbers_below(int end) {
  return [end, next = 0]() mutable { return next < end ? std::optional(next++) : std::nullopt; };
}

std::string uneven_work(int item, std::size_t) {
  if (std::mt19937(static_cast<unsigned>(item))() % 3 == 0) {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return std::to_string(item);
}

}  // namespace

TEST_CASE("Results come in the order of the items", "[data][pipeline]") {
  for (const int workers : {1, 2, 5}) {
    for (const int items : {0, 1, 3, 500}) {
      std::vector<std::string> results;
      run_in_order(workers, numbers_below(items), uneven_work,
                   [&](std::string result) { results.push_back(std::move(result)); });
      REQUIRE(results.size() == static_cast<std::size_t>(items));
      for (int i = 0; i < items; ++i) {
        REQUIRE(results[static_cast<std::size_t>(i)] == std::to_string(i));
      }
    }
  }
}

TEST_CASE("A worker has one item at a time", "[data][pipeline]") {
  std::vector<std::atomic<int>> busy(3);
  bool alone = true;
  run_in_order(
      3, numbers_below(200),
      [&](int item, std::size_t worker) {
        const bool is_first = ++busy.at(worker) == 1;
        uneven_work(item, worker);
        --busy[worker];
        return is_first;
      },
      [&](bool is_first) { alone = alone && is_first; });
  CHECK(alone);
}

TEST_CASE("A bounded number of items is under way", "[data][pipeline]") {
  int produced = 0, consumed = 0, most = 0;
  run_in_order(
      2,
      [&]() -> std::optional<int> {
        if (produced == 200) return std::nullopt;
        most = std::max(most, produced - consumed);
        return produced++;
      },
      uneven_work, [&](const std::string&) { ++consumed; });
  CHECK(consumed == 200);
  CHECK(most <= 9);
  CHECK(most > 2);
}

TEST_CASE("An exception anywhere ends all and is thrown", "[data][pipeline]") {
  const auto run = [](const std::string& place) {
    run_in_order(
        3,
        [&, next = 0]() mutable -> std::optional<int> {
          if (place == "produce" && next == 50) throw std::runtime_error(place);
          return next++;  // never ends by itself
        },
        [&](int item, std::size_t) {
          if (place == "work" && item == 50) throw std::runtime_error(place);
          return std::to_string(item);
        },
        [&](const std::string& result) {
          if (place == "consume" && result == "50") throw std::runtime_error(place);
        });
  };
  for (const std::string place : {"produce", "work", "consume"}) {
    for (int time = 0; time < 20; ++time) CHECK_THROWS_WITH(run(place), place);
  }
}
