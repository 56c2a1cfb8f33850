#include "checkpoint/safetensors_header.h"

#include <cstring>

#include "base/file.h"
#include "checkpoint/manifest.h"
#include "fuzz/safetensors_header_input.h"
#include "fuzz/seeds.h"
#include "support/catch.h"

namespace zebra {
namespace {

using namespace zebra::testing;

std::string file_with(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file + header + std::string(data_bytes, 'x');
}

SafetensorsEntries entries_of(const std::string& file) {
  return safetensors_entries(std::as_bytes(std::span(file)), "some/file");
}

TEST_CASE("entries say where in the file each tensor lies") {
  const std::string header = R"({"__metadata__":{"format":"pt"},)"
                             R"("b":{"dtype":"F32","shape":[2,3],"data_offsets":[6,30]},)"
                             R"("a":{"dtype":"BF16","shape":[3],"data_offsets":[0,6],"later":[1]},)"
                             R"("none":{"dtype":"I64","shape":[4,0],"data_offsets":[6,6]},)"
                             R"("scalar":{"dtype":"U8","shape":[],"data_offsets":[30,31]}}   )";
  const auto entries = entries_of(file_with(header, 31));
  const std::uint64_t data = 8 + header.size();
  REQUIRE(entries.size() == 4);
  REQUIRE(entries.at("a").type == "BF16");
  REQUIRE(entries.at("a").begin == data);
  REQUIRE(entries.at("b").shape == std::vector<std::int64_t>{2, 3});
  REQUIRE(entries.at("b").begin == data + 6);
  REQUIRE(entries.at("b").end == data + 30);
  REQUIRE(entries.at("none").begin == entries.at("none").end);
  REQUIRE(entries.at("scalar").shape.empty());
  REQUIRE(entries.at("scalar").end == data + 31);
  REQUIRE(entries_of(file_with("{}", 0)).empty());
}

TEST_CASE("every type of the format is read, with its size") {
  // Bytes of 8 elements, from the format's own documentation.
  const std::map<std::string, std::size_t> bytes = {
      {"BOOL", 8},    {"F4", 4},   {"F6_E2M3", 6},     {"F6_E3M2", 6},     {"U8", 8},   {"I8", 8},
      {"F8_E5M2", 8}, {"I16", 16}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"U16", 16}, {"F16", 16},
      {"F8_E4M3", 8}, {"F32", 32}, {"F8_E8M0", 8},     {"BF16", 16},       {"I32", 32}, {"U32", 32},
      {"C64", 64},    {"F64", 64}, {"I64", 64},        {"U64", 64}};
  REQUIRE(bytes.size() == 22);
  for (const auto& [name, size] : bytes) {
    INFO(name);
    const std::string header = R"({"a":{"dtype":")" + name +
                               R"(","shape":[2,4],"data_offsets":[0,)" + std::to_string(size) +
                               "]}}";
    const auto entries = entries_of(file_with(header, size));
    REQUIRE(entries.at("a").type == name);
  }
}

TEST_CASE(
    "a header that does not describe its file exactly is damage, and the message says where") {
  const auto entry = [](const std::string& members) { return "{\"a\":{" + members + "}}"; };
  const auto one = [](const std::string& name, const std::string& offsets) {
    return "\"" + name + R"(":{"dtype":"U8","shape":[2],"data_offsets":)" + offsets + "}";
  };
  const std::string whole = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";
  const auto [header, data_bytes, what] = GENERATE_COPY(table<std::string, int, std::string>(
      {{"", 0, "does not begin with {"},
       {"[1]", 0, "does not begin with {"},
       {"{\"a\":3}", 0, "\"a\" is not described by an object"},
       {"{" + one("a", "[0,2]") + "," + one("a", "[0,2]") + "}", 2, "\"a\" twice"},
       {entry(whole) + std::string(1, '\0') + "}", 8, "is 0"},
       {entry(whole), 4, "8 bytes of data, but 4 follow"},
       {entry(whole), 9, "8 bytes of data, but 9 follow"},
       {"{}", 1, "0 bytes of data, but 1 follow"},
       {"{" + one("a", "[0,2]") + "," + one("b", "[1,3]") + "}", 3, "\"b\" leaves a gap"},
       {"{" + one("a", "[0,2]") + "," + one("b", "[3,5]") + "}", 5, "\"b\" leaves a gap"},
       {"{" + one("a", "[1,3]") + "}", 3, "\"a\" leaves a gap"},
       {"{" + one("a", "[0,2]") + "," + one("b", "[0,2]") + "}", 2, "overlaps"},
       {entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), 4, "do not fit its type"},
       {entry(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), 8, "do not fit its type"},
       {entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,8,8])"), 8, "do not fit its type"},
       {entry(R"("dtype":"F31","shape":[2],"data_offsets":[0,8])"), 8, "unknown type \"F31\""},
       {entry(R"("dtype":32,"shape":[2],"data_offsets":[0,8])"), 8, "dtype that is not a string"},
       {entry(R"("shape":[2],"data_offsets":[0,8])"), 8, "has no dtype"},
       {entry(R"("dtype":"F32","data_offsets":[0,8])"), 8, "has no shape"},
       {entry(R"("dtype":"F32","shape":[2])"), 8, "has no data_offsets"},
       {entry(R"("dtype":"F32","shape":2,"data_offsets":[0,8])"), 8, "shape that is not a list"},
       {entry(R"("dtype":"F32","shape":["2"],"data_offsets":[0,8])"), 8, "unsigned integers"},
       {entry(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), 8, "unsigned integers"},
       {entry(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])"), 8, "unsigned integers"},
       {entry(R"("dtype":"U8","shape":[-0],"data_offsets":[0,0])"), 0, "unsigned integers"},
       {entry(R"("dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,0])"), 0,
        "unsigned integers"},
       {entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,8.0])"), 8, "unsigned integers"},
       {entry(R"("dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0])"), 0,
        "too many bytes"},
       {entry(R"("dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,0])"), 0,
        "too many bytes"},
       {entry(R"("dtype":"U8","shape":[0,4611686018427387904,4],"data_offsets":[0,0])"), 0,
        "too many bytes"},
       {entry(R"("dtype":"F64","shape":[1152921504606846976],"data_offsets":[0,0])"), 0,
        "too many bytes"},  // 2^60 times 64 bits
       {entry(R"("dtype":"F4","shape":[3],"data_offsets":[0,2])"), 2, "a broken one"},
       {R"({"__metadata__":{"a":1}})", 0, "__metadata__ is not a map of strings"},
       {R"({"__metadata__":null})", 0, "__metadata__ is not a map of strings"},
       {R"({"__metadata__":["a"]})", 0, "__metadata__ is not a map of strings"}}));
  INFO(header);
  const std::string file = file_with(header, static_cast<std::size_t>(data_bytes));
  REQUIRE_THROWS_AS(entries_of(file), CheckpointDamage);
  REQUIRE_THROWS_WITH(entries_of(file), Catch::Matchers::StartsWith("some/file: ") &&
                                            Catch::Matchers::Contains(what));
}

TEST_CASE("a header that cannot be there") {
  REQUIRE_THROWS_WITH(entries_of("short"), Catch::Matchers::Contains("shorter than 8 bytes"));
  REQUIRE_THROWS_WITH(entries_of("\x03" + std::string(7, '\0') + "{}"),
                      Catch::Matchers::Contains("reaches beyond its end"));
  REQUIRE_THROWS_WITH(entries_of(std::string(8, '\xff') + "{}"),
                      Catch::Matchers::Contains("reaches beyond its end"));
  REQUIRE_THROWS_WITH(safetensors_entries(std::string(100'000'001, ' '), 0, "f"),
                      Catch::Matchers::Contains("longer than 100000000 bytes"));
}

TEST_CASE("ranges that would run past 2^64 and around are refused") {
  constexpr std::uint64_t kSize = std::uint64_t{1} << 59;
  std::string header = "{";
  for (std::uint64_t i = 0; i < 32; ++i) {
    const std::uint64_t size = i < 31 ? kSize : kSize + 3;
    header += (i > 0 ? ",\"t" : "\"t") + std::to_string(i) + R"(":{"dtype":"U8","shape":[)" +
              std::to_string(size) + R"(],"data_offsets":[)" + std::to_string(i * kSize) + "," +
              std::to_string(i * kSize + size) + "]}";  // the last ends at 3
  }
  REQUIRE_THROWS_WITH(safetensors_entries(header + "}", 3, "f"),
                      Catch::Matchers::Contains("\"t31\" has data_offsets that do not fit"));
}

TEST_CASE("every truncation of a file is noticed") {
  const std::string header = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  const std::string file = file_with(header, 8);
  REQUIRE_NOTHROW(entries_of(file));
  for (std::size_t size = 0; size < file.size(); ++size)
    REQUIRE_THROWS_AS(entries_of(file.substr(0, size)), CheckpointDamage);
}

TEST_CASE("a header of very many tensors is read in no time") {
  std::string header = "{";
  constexpr int kTensors = 100'000;  // a minute, were the time quadratic
  for (int i = 0; i < kTensors; ++i) {
    header += (i > 0 ? ",\"t" : "\"t") + std::to_string(i) +
              R"(":{"dtype":"U8","shape":[1],"data_offsets":[)" + std::to_string(i) + "," +
              std::to_string(i + 1) + "]}";
  }
  REQUIRE(safetensors_entries(header + "}", kTensors, "f").size() == kTensors);
}

TEST_CASE("the seeds of the fuzzer, as safetensors files") {
  require_seeds_pass("safetensors_header", 20, try_safetensors_header);
}

}  // namespace
}  // namespace zebra
