#include "checkpoint/safetensors.h"

#include <cstring>
#include <optional>

#include "base/file.h"
#include "checkpoint/manifest.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

void write_file(const std::filesystem::path& path, const std::string& header,
                const std::string& data) {
  const std::uint64_t length = header.size();
  std::string text(sizeof length, '\0');
  std::memcpy(text.data(), &length, sizeof length);
  write_text(path, text + header + data);
}

TEST_CASE("tensors come back bit for bit, in every type and shape") {
  const TemporaryFolder folder;
  const auto path = folder / "t.safetensors";
  const std::vector<NamedValues> tensors = {{"float", torch::randn({3, 5})},
                                            {"odd", torch::randn({7}).to(torch::kBFloat16)},
                                            {"after odd", torch::randn({4}).to(torch::kBFloat16)},
                                            {"half", torch::randn({2, 3}).to(torch::kHalf)},
                                            {"empty", torch::empty({0, 4})},
                                            {"scalar", torch::randn({})},
                                            {"integers", torch::arange(6, torch::kInt64)},
                                            {"small", torch::arange(3, torch::kInt32)},
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

TEST_CASE("a tensor outlives the file that it came from") {
  const TemporaryFolder folder;
  const auto values = torch::randn({1000});
  write_safetensors(folder / "t.safetensors", {{"a", values}});
  std::optional<SafetensorsFile> file(folder / "t.safetensors");
  const auto view = file->tensor("a");
  file.reset();
  std::filesystem::remove(folder / "t.safetensors");
  REQUIRE(same_bits(view, values));
}

TEST_CASE("tensors that are not aligned, and types that are only read") {
  const TemporaryFolder folder;
  const auto path = folder / "t.safetensors";
  const double value = 0.1;
  const std::string bytes(reinterpret_cast<const char*>(&value), sizeof value);
  write_file(path,
             R"({"u8":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
             R"("f64":{"dtype":"F64","shape":[1],"data_offsets":[1,9]},)"
             R"("i16":{"dtype":"I16","shape":[1],"data_offsets":[9,11]},)"
             R"("i8":{"dtype":"I8","shape":[2],"data_offsets":[11,13]}})",
             "\xff" + bytes + std::string("\x01\x02\xff\x03", 4));
  const SafetensorsFile file(path);
  REQUIRE(file.tensor("u8").item<int>() == 255);
  REQUIRE(file.tensor("f64").item<double>() == 0.1);
  REQUIRE(file.tensor("i16").item<int>() == 0x201);
  REQUIRE(file.tensor("i8")[0].item<int>() == -1);
  REQUIRE(reinterpret_cast<std::uintptr_t>(file.tensor("f64").const_data_ptr()) % 8 == 0);
  REQUIRE(reinterpret_cast<std::uintptr_t>(file.tensor("i16").const_data_ptr()) % 2 == 0);
}

TEST_CASE("a file with types that LibTorch lacks opens; only asking for such a tensor fails") {
  const TemporaryFolder folder;
  const auto path = folder / "t.safetensors";
  write_file(path,
             R"({"ours":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
             R"("theirs":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[4,8]}})",
             std::string(8, '\0'));
  const SafetensorsFile file(path);
  REQUIRE(file.tensor("ours").item<float>() == 0.0F);
  REQUIRE_THROWS_WITH(file.tensor("theirs"), Catch::Matchers::Contains("t.safetensors") &&
                                                 Catch::Matchers::Contains("\"theirs\"") &&
                                                 Catch::Matchers::Contains("F8_E4M3"));
  REQUIRE_THROWS_AS(file.tensor("theirs"), InputError);
}

TEST_CASE("a file that does not describe itself is damage, and named") {
  const TemporaryFolder folder;
  const auto path = folder / "broken.safetensors";
  const auto require_refused = [&] {
    REQUIRE_THROWS_AS(SafetensorsFile(path), CheckpointDamage);
    REQUIRE_THROWS_WITH(SafetensorsFile(path), Catch::Matchers::Contains("broken.safetensors"));
  };
  write_text(path, "");
  require_refused();
  write_text(path, "short");
  require_refused();
  write_file(path, R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "1234567");
  require_refused();
  REQUIRE_THROWS_AS(SafetensorsFile(folder / "missing"), InputError);
}

}  // namespace
}  // namespace zebra
