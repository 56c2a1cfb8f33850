#include "data/ordered_pipeline.h"

#include <atomic>
#include <chrono>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.h"

using namespace zebra;

namespace {

using Pipeline = OrderedPipeline<int, std::string>;

Pipeline::Produce numbers_below(int end) {
  return [end, next = 0]() mutable -> std::optional<int> {
    return next < end ? std::optional(next++) : std::nullopt;
  };
}

Pipeline::MakeWork uneven_work() {
  return [] {
    return [random = std::mt19937(1)](int item) mutable {
      if (random() % 3 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
      return std::to_string(item);
    };
  };
}

}  // namespace

TEST_CASE("Results come in the order of the items", "[data][pipeline]") {
  for (const int workers : {1, 2, 5}) {
    for (const int items : {0, 1, 3, 500}) {
      std::vector<std::string> results;
      Pipeline(workers).run(numbers_below(items), uneven_work(),
                            [&](std::string result) { results.push_back(std::move(result)); });
      REQUIRE(results.size() == static_cast<std::size_t>(items));
      for (int i = 0; i < items; ++i) {
        REQUIRE(results[static_cast<std::size_t>(i)] == std::to_string(i));
      }
    }
  }
}

TEST_CASE("A bounded number of items is under way", "[data][pipeline]") {
  std::atomic<int> produced = 0, consumed = 0, most = 0;
  Pipeline(2).run(
      [&]() -> std::optional<int> {
        if (produced == 200) return std::nullopt;
        most = std::max(most.load(), produced - consumed);
        return produced++;
      },
      uneven_work(),
      [&](const std::string&) {
        std::this_thread::sleep_for(std::chrono::microseconds(300));
        ++consumed;
      });
  CHECK(consumed == 200);
  CHECK(most <= 9);
  CHECK(most > 2);
}

TEST_CASE("An exception anywhere ends all and is thrown", "[data][pipeline]") {
  const auto ignore = [](const std::string&) {};
  const auto run = [&](const std::string& place) {
    Pipeline(3).run(
        [&, next = 0]() mutable -> std::optional<int> {
          if (place == "produce" && next == 50) throw std::runtime_error(place);
          return next++;  // never ends by itself
        },
        [&] {
          if (place == "make") throw std::runtime_error(place);
          return [&](int item) {
            if (place == "work" && item == 50) throw std::runtime_error(place);
            return std::to_string(item);
          };
        },
        [&](const std::string& result) {
          if (place == "consume" && result == "50") throw std::runtime_error(place);
          ignore(result);
        });
  };
  for (const std::string place : {"produce", "make", "work", "consume"}) {
    for (int time = 0; time < 20; ++time) CHECK_THROWS_WITH(run(place), place);
  }
}
