#include "model/attention.h"

#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

// Of the whole buffers, of which keys and values are views.
std::size_t bytes_of(const KeyValueCache& cache) {
  return cache.keys().storage().nbytes() + cache.values().storage().nbytes();
}

TEST_CASE("the ring holds the last tokens, in whatever order") {
  const auto prompt = GENERATE(1, 3, 4, 5, 11);
  const auto all = torch::arange(20, torch::kFloat32).view({1, 20, 1, 1});
  KeyValueCache cache(4);
  REQUIRE(cache.empty());
  std::int64_t seen = prompt;
  cache.append(all.slice(1, 0, prompt), -all.slice(1, 0, prompt));
  for (; seen < 20; ++seen) {
    const auto expected = all.slice(1, std::max<std::int64_t>(0, seen - 4), seen).flatten();
    REQUIRE(same_bits(std::get<0>(cache.keys().flatten().sort()), expected));
    REQUIRE(same_bits(cache.values(), -cache.keys()));
    cache.append(all.narrow(1, seen, 1), -all.narrow(1, seen, 1));
  }
  REQUIRE(cache.keys().storage().nbytes() == 4 * 4);
}

TEST_CASE("the cache of a text takes memory as the text grows") {
  const auto all = torch::arange(5000, torch::kFloat32).view({1, 5000, 1, 1});
  KeyValueCache cache(std::int64_t{1} << 40);
  cache.append(all.slice(1, 0, 3), all.slice(1, 0, 3));
  CHECK(bytes_of(cache) < 16384);
  for (std::int64_t seen = 3; seen < 5000; ++seen)
    cache.append(all.narrow(1, seen, 1), all.narrow(1, seen, 1));
  CHECK(same_bits(cache.keys(), all));
  CHECK(bytes_of(cache) <= 2 * 2 * all.nbytes());
}

}  // namespace
}  // namespace zebra
