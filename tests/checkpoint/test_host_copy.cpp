#include "checkpoint/host_copy.h"

#include <bit>
#include <map>
#include <numeric>

#include "model/unit_spec.h"
#include "support/models.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

CheckpointContent content_with(const std::vector<torch::Tensor>& tensors) {
  CheckpointContent content{7, {}, {{kSentencePieceFile, "pieces"}}, {{"key", 1}}, {}};
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    content.groups.push_back(
        {"group" + std::to_string(i), {{{"name", {tensors[i].numel()}}, 0, tensors[i]}}});
  }
  return content;
}

const torch::Tensor& values(const CheckpointContent& content, std::size_t group) {
  return content.groups[group].second.front().values;
}

TEST_CASE("the copy keeps what the tensors held") {
  HostCopy copy;
  const auto a = torch::randn(1001), b = torch::randn({17});
  const auto a_before = a.clone(), b_before = b.clone();
  const auto copied = copy.of(content_with({a, b}));
  a.fill_(std::nan(""));
  b.zero_();
  REQUIRE(same_bits(values(copied, 0), a_before));
  REQUIRE(same_bits(values(copied, 1), b_before));
  REQUIRE(copied.step == 7);
  REQUIRE(copied.groups[1].first == "group1");
}

TEST_CASE("the same memory serves copies of the same size and less") {
  HostCopy copy;
  const auto first = copy.of(content_with({torch::ones(100), torch::ones(50)}));
  const void* memory = values(first, 0).const_data_ptr();
  REQUIRE(values(copy.of(content_with({torch::zeros(150)})), 0).const_data_ptr() == memory);
  REQUIRE(values(copy.of(content_with({torch::zeros(10)})), 0).const_data_ptr() == memory);
  const auto larger = copy.of(content_with({torch::full(151, 3.0)}));
  REQUIRE(values(larger, 0).eq(3.0).all().item<bool>());
}

TEST_CASE("nothing to copy") {
  HostCopy copy;
  REQUIRE(copy.of(content_with({})).groups.empty());
}

// What LibTorch takes for page-locked blocks, and whether each tensor has a place of its own.
std::int64_t page_locked_elements(const std::vector<std::int64_t>& tensors) {
  const auto blocks = host_blocks(tensors);
  REQUIRE(blocks.places.size() == tensors.size());
  std::vector<std::map<std::int64_t, std::int64_t>> taken(blocks.sizes.size());  // begin: end
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [block, begin] = blocks.places[i];
    REQUIRE(block < blocks.sizes.size());
    taken[block][begin] = begin + tensors[i];
  }
  std::int64_t elements = 0;
  for (std::size_t block = 0; block < taken.size(); ++block) {
    std::int64_t end = 0;
    for (const auto& [from, to] : taken[block]) {
      REQUIRE(from >= end);
      end = to;
    }
    REQUIRE(end <= blocks.sizes[block]);
    elements +=
        static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(blocks.sizes[block])));
  }
  return elements;
}

std::vector<std::int64_t> state_of(const ModelConfig& model) {
  std::vector<std::int64_t> tensors;
  for (int group = 0; group < 3; ++group) {  // masters and both moments
    for (const auto& unit : unit_specs(model)) {
      for (const auto& parameter : unit.parameters) {
        for (const auto& part : parameter.parts) tensors.push_back(part.numel());
      }
    }
  }
  return tensors;
}

TEST_CASE("page-locked memory is little larger than what lies in it") {
  auto large_vocabulary = llama_7b(4);
  large_vocabulary.vocab_size = 152064;
  large_vocabulary.hidden_size = 8192;  // an embedding of 5 GB, in float32
  for (const auto& model : {llama_7b(4), large_vocabulary}) {
    const auto tensors = state_of(model);
    const auto all = std::accumulate(tensors.begin(), tensors.end(), std::int64_t{0});
    REQUIRE(all > std::int64_t{15} << 30);
    REQUIRE(static_cast<double>(page_locked_elements(tensors)) < 1.1 * static_cast<double>(all));
  }
}

TEST_CASE("a state that fits into a block has one of its size") {
  const auto blocks = host_blocks({100, 0, 50});
  REQUIRE(blocks.sizes == std::vector<std::int64_t>{150});
  REQUIRE(page_locked_elements({100, 0, 50}) == 256);
  REQUIRE(host_blocks({}).sizes.empty());
  const std::int64_t block = 1 << 28;
  REQUIRE(host_blocks({block, 7}).sizes == std::vector<std::int64_t>{block, 7});
  REQUIRE(host_blocks({block - 7, 8, 7}).sizes == std::vector<std::int64_t>{block, 15});
  REQUIRE(host_blocks({block + 1, 7}).sizes == std::vector<std::int64_t>{2 * block});
}

}  // namespace
}  // namespace zebra
