#include "checkpoint/safetensors.h"

#include "base/error.h"
#include "base/hash.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("tensors come back bit for bit, in every type and shape") {
  const TemporaryFolder folder;
  const auto path = folder / "t.safetensors";
  const std::vector<NamedValues> tensors = {{"float", torch::randn({3, 5})},
                                            {"odd", torch::randn({7}).to(torch::kBFloat16)},
                                            {"after odd", torch::randn({4}).to(torch::kBFloat16)},
                                            {"empty", torch::empty({0, 4})},
                                            {"integers", torch::arange(6, torch::kInt64)},
                                            {"strided", torch::randn({4, 6}).t()}};
  const auto record = write_safetensors(path, tensors);
  REQUIRE(record.size == std::filesystem::file_size(path));
  REQUIRE(record.hash == hash_of_file(path));
  const SafetensorsFile file(path);
  REQUIRE(file.names().size() == tensors.size());
  for (const auto& [name, values] : tensors)
    REQUIRE(same_bits(file.tensor(name).clone(), values.contiguous()));
  REQUIRE_THROWS_AS(file.tensor("other"), InputError);
}

TEST_CASE("files that do not describe themselves are refused by name") {
  const TemporaryFolder folder;
  const auto path = folder / "broken.safetensors";
  const auto refused = [&](const std::string& header, std::size_t data_bytes) {
    const std::uint64_t length = header.size();
    write_text(path, std::string(reinterpret_cast<const char*>(&length), 8) + header +
                         std::string(data_bytes, 'x'));
    REQUIRE_THROWS_WITH(SafetensorsFile(path), Catch::Matchers::Contains("broken.safetensors"));
  };
  refused("", 0);
  refused("[1]", 0);
  refused(R"({"a": 3})", 0);
  refused(R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})", 4);
  refused(R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}})", 8);
  refused(R"({"a": {"dtype": "F31", "shape": [2], "data_offsets": [0, 8]}})", 8);
  refused(R"({"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}})", 8);
  refused(R"({"a": {"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 0]}})",
          8);
  refused(R"({"a": {"dtype": "F32", "shape": ["2"], "data_offsets": [0, 8]}})", 8);
  refused(R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}})", 8);
  write_text(path, "short");
  REQUIRE_THROWS_AS(SafetensorsFile(path), InputError);
  write_text(path, std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10));
  REQUIRE_THROWS_AS(SafetensorsFile(path), InputError);
}

}  // namespace
}  // namespace zebra
