#include "checkpoint/host_copy.h"

#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

CheckpointContent content_of(const std::vector<torch::Tensor>& tensors) {
  CheckpointContent content{7, {}, "tok.model", {{"key", 1}}, {}};
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
  const auto copied = copy.of(content_of({a, b}));
  a.fill_(std::nan(""));
  b.zero_();
  REQUIRE(same_bits(values(copied, 0), a_before));
  REQUIRE(same_bits(values(copied, 1), b_before));
  REQUIRE(copied.step == 7);
  REQUIRE(copied.groups[1].first == "group1");
}

TEST_CASE("one buffer serves copies of the same size and less") {
  HostCopy copy;
  const auto first = copy.of(content_of({torch::ones(100), torch::ones(50)}));
  const void* memory = values(first, 0).const_data_ptr();
  REQUIRE(values(copy.of(content_of({torch::zeros(150)})), 0).const_data_ptr() == memory);
  REQUIRE(values(copy.of(content_of({torch::zeros(10)})), 0).const_data_ptr() == memory);
  const auto larger = copy.of(content_of({torch::full(151, 3.0)}));
  REQUIRE(values(larger, 0).eq(3.0).all().item<bool>());
}

TEST_CASE("nothing to copy") {
  HostCopy copy;
  REQUIRE(copy.of(content_of({})).groups.empty());
}

}  // namespace
}  // namespace zebra
