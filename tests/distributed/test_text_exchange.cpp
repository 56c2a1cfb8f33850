#include "distributed/text_exchange.h"

#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <vector>

#include "support/catch.h"

namespace zebra {
namespace {

using Texts = std::vector<std::string>;

// What each of three ranks got from `share`, called on a thread for each.
template <class Share>
std::vector<Texts> on_three_ranks(const Share& share) {
  const c10::intrusive_ptr<c10d::Store> store = c10::make_intrusive<c10d::HashStore>();
  std::vector<Texts> got(3);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 3; ++rank) {
    threads.emplace_back([&, rank] {
      TextExchange texts(store, rank, 3);
      got[static_cast<std::size_t>(rank)] = share(texts);
    });
  }
  for (auto& thread : threads) thread.join();
  return got;
}

TEST_CASE("each rank gets what it is to get, time after time") {
  const auto got = on_three_ranks([](TextExchange& texts) {
    const std::string own(1, static_cast<char>('a' + texts.rank()));
    Texts all;
    for (int round = 0; round < 20; ++round) {
      const auto mark = std::to_string(round);
      for (const auto& text : texts.exchange(own + mark)) all.push_back(text);
      for (const auto& text : texts.gather(own + mark)) all.push_back(text);
      all.push_back(texts.from_first(own + mark));
    }
    return all;
  });
  for (int rank = 0; rank < 3; ++rank) {
    Texts expected;
    for (int round = 0; round < 20; ++round) {
      const auto mark = std::to_string(round);
      const Texts all = {"a" + mark, "b" + mark, "c" + mark};
      expected.insert(expected.end(), all.begin(), all.end());
      if (rank == 0) expected.insert(expected.end(), all.begin(), all.end());
      expected.push_back("a" + mark);
    }
    REQUIRE(got[static_cast<std::size_t>(rank)] == expected);
  }
}

TEST_CASE("texts that everybody has read are forgotten") {
  const c10::intrusive_ptr<c10d::Store> store = c10::make_intrusive<c10d::HashStore>();
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 2; ++rank) {
    threads.emplace_back([&, rank] {
      TextExchange texts(store, rank, 2);
      for (int round = 0; round < 50; ++round) {
        texts.gather("text");
        texts.from_first("text");
        texts.exchange("text");
      }
    });
  }
  for (auto& thread : threads) thread.join();
  REQUIRE(store->getNumKeys() == 2);  // those of the last exchange
}

TEST_CASE("a single rank hears itself") {
  TextExchange texts(nullptr, 0, 1);
  REQUIRE(texts.is_first());
  REQUIRE(texts.exchange("a") == Texts{"a"});
  REQUIRE(texts.gather("b") == Texts{"b"});
  REQUIRE(texts.from_first("c") == "c");
}

}  // namespace
}  // namespace zebra
