#include "checkpoint/manifest.h"

#include "base/file.h"
#include "fuzz/manifest_input.h"
#include "fuzz/seeds.h"
#include "support/catch.h"

namespace zebra {
namespace {

using namespace zebra::testing;

constexpr const char* kHash = "00112233445566778899aabbccddeeff";

Manifest example_manifest() {
  Manifest manifest;
  manifest.step = 200;
  for (const std::string file : {"weights-00000", "weights-00001", "exp_avg-00000", "exp_avg-00001",
                                 "exp_avg_sq-00000", "exp_avg_sq-00001"})
    manifest.files[file + ".safetensors"] = {1234567890123, kHash};
  manifest.files["config.yaml"] = {17, kHash};
  manifest.tensors["model.norm.weight"] = {{64}, {{0, 0, 40}, {1, 40, 64}}};
  manifest.tensors["model.embed_tokens.weight"] = {{3, 64}, {{1, 0, 192}}};
  manifest.training = {{"seconds", 0.1}, {"hash", "not the manifest's own"}};
  return manifest;
}

/// The example as JSON, to be changed, and read again with a hash that fits.
nlohmann::ordered_json example_json() {
  auto json = nlohmann::ordered_json::parse(example_manifest().to_text());
  json.erase("hash");
  return json;
}

std::string manifest_text(const nlohmann::ordered_json& json) {
  const std::string text = json.dump(1);
  return with_hash(std::string_view(text).substr(0, text.size() - 2));
}

std::string refusal_of_manifest(const nlohmann::ordered_json& json) {
  try {
    Manifest::from_text(manifest_text(json), "some/manifest.json");
  } catch (const CheckpointDamage& damage) {
    return damage.what();
  }
  return "accepted";
}

TEST_CASE("a manifest reads back") {
  const auto manifest = Manifest::from_text(example_manifest().to_text(), "m");
  REQUIRE(manifest.step == 200);
  REQUIRE(manifest.files.at("weights-00000.safetensors").size == 1234567890123);
  REQUIRE(manifest.files.at("config.yaml").hash == kHash);
  REQUIRE(manifest.tensors.at("model.embed_tokens.weight").shape ==
          std::vector<std::int64_t>{3, 64});
  REQUIRE(manifest.tensors.at("model.norm.weight").fragments.at(1).begin == 40);
  REQUIRE(manifest.training.at("seconds").get<double>() == 0.1);
  REQUIRE(manifest.to_text() == example_manifest().to_text());
  REQUIRE(manifest_text(example_json()) ==
          example_manifest().to_text());  // the tests' own way to write one
}

TEST_CASE("every changed byte and every truncation is noticed") {
  const std::string text = example_manifest().to_text();
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    REQUIRE_THROWS_AS(Manifest::from_text(changed, "m"), CheckpointDamage);
    REQUIRE_THROWS_AS(Manifest::from_text(text.substr(0, i), "m"), CheckpointDamage);
  }
  REQUIRE_THROWS_AS(Manifest::from_text(text + "\n", "m"), CheckpointDamage);
}

TEST_CASE("members that this version does not know are ignored") {
  auto json = example_json();
  json["later"] = {{"x", {1, nullptr}}};
  json["files"]["later.bin"] = {{"size", 1}, {"hash", kHash}, {"compressed", true}};
  json["tensors"]["model.norm.weight"]["type"] = "F32";
  REQUIRE(Manifest::from_text(manifest_text(json), "m").files.size() == 8);
}

TEST_CASE("a newer format is told apart from damage, whatever else it changed") {
  const auto json = nlohmann::ordered_json{{"format", "zebra-checkpoint"},
                                           {"format_version", 2},
                                           {"step", "two hundred"},
                                           {"files", nullptr}};
  const std::string text = manifest_text(json);
  try {
    Manifest::from_text(text, "some/manifest.json");
    FAIL("accepted");
  } catch (const CheckpointDamage&) {
    FAIL("taken for damage");
  } catch (const InputError& error) {
    REQUIRE_THAT(error.what(), Catch::Matchers::Contains("some/manifest.json") &&
                                   Catch::Matchers::Contains("format version 2") &&
                                   Catch::Matchers::Contains("use a newer build"));
  }
  // A digit of the version that turned over is damage.
  std::string flipped = example_manifest().to_text();
  flipped[flipped.find("\"format_version\": 1") + 18] = '3';
  REQUIRE_THROWS_AS(Manifest::from_text(flipped, "m"), CheckpointDamage);
}

TEST_CASE("a JSON file of something else is refused, but is no damage") {
  auto json = example_json();
  json["format"] = "zip";
  REQUIRE_THROWS_AS(refusal_of_manifest(json), InputError);
  json.erase("format");
  REQUIRE_THROWS_WITH(refusal_of_manifest(json),
                      Catch::Matchers::Contains("not the manifest of a Zebra"));
}

TEST_CASE("members that are missing or of another kind are damage") {
  const std::string name = GENERATE("format_version", "step", "training", "files", "tensors");
  auto json = example_json();
  json.erase(name);
  REQUIRE_THAT(refusal_of_manifest(json),
               Catch::Matchers::StartsWith("some/manifest.json: is damaged: ") &&
                   Catch::Matchers::Contains(name));
  json[name] = "text";
  REQUIRE_THAT(refusal_of_manifest(json), Catch::Matchers::Contains(name));
  json[name] = -1;
  REQUIRE_THAT(refusal_of_manifest(json), Catch::Matchers::Contains(name));
  json[name] = 1.5;
  REQUIRE_THAT(refusal_of_manifest(json), Catch::Matchers::Contains(name));
}

TEST_CASE("files are named by a name, a size and a hash") {
  const auto [name, record, what] = GENERATE(table<std::string, std::string, std::string>(
      {{"", R"({"size":1,"hash":"00112233445566778899aabbccddeeff"})", "not the name of a file"},
       {"..", R"({"size":1,"hash":"00112233445566778899aabbccddeeff"})", "not the name of a file"},
       {".", R"({"size":1,"hash":"00112233445566778899aabbccddeeff"})", "not the name of a file"},
       {"a/b", R"({"size":1,"hash":"00112233445566778899aabbccddeeff"})", "not the name of a file"},
       {"/etc", R"({"size":1,"hash":"00112233445566778899aabbccddeeff"})", "not the name of"},
       {std::string("a\0b", 3), R"({"size":1,"hash":"00112233445566778899aabbccddeeff"})",
        "not the name of a file"},
       {std::string(256, 'a'), R"({"size":1,"hash":"00112233445566778899aabbccddeeff"})",
        "not the name of a file"},
       {"manifest.json", R"({"size":1,"hash":"00112233445566778899aabbccddeeff"})",
        "\"manifest.json\" is not the name"},
       {"f", R"({"hash":"00112233445566778899aabbccddeeff"})", "\"f\" has no size"},
       {"f", R"({"size":-1,"hash":"00112233445566778899aabbccddeeff"})", "has no size"},
       {"f", R"({"size":1.0,"hash":"00112233445566778899aabbccddeeff"})", "has no size"},
       {"f", R"({"size":9223372036854775808,"hash":"00112233445566778899aabbccddeeff"})",
        "has no size"},
       {"f", R"({"size":1})", "has no hash"},
       {"f", R"({"size":1,"hash":7})", "has no hash"},
       {"f", R"({"size":1,"hash":"0112233445566778899aabbccddeeff"})", "has no hash"},
       {"f", R"({"size":1,"hash":"0011223344556677889Aaabbccddeeff"})", "has no hash"},
       {"f", "[1]", "has no size"}}));
  auto json = example_json();
  json["files"][name] = nlohmann::ordered_json::parse(record);
  INFO(json["files"].dump(1));
  REQUIRE_THAT(refusal_of_manifest(json), Catch::Matchers::Contains(what));
}

TEST_CASE("fragments tile their tensor") {
  const auto [record, is_whole, is_part] = GENERATE(table<std::string, bool, bool>(
      {{R"({"shape":[2,5],"fragments":[[0,0,4],[1,4,10]]})", true, true},
       {R"({"shape":[],"fragments":[[0,0,1]]})", true, true},
       {R"({"shape":[3,0],"fragments":[]})", true, true},
       {R"({"shape":[10],"fragments":[[0,0,4],[1,5,10]]})", false, true},
       {R"({"shape":[10],"fragments":[[1,5,9]]})", false, true},
       {R"({"shape":[10],"fragments":[]})", false, true},
       {R"({"shape":[10],"fragments":[[0,0,5],[1,4,10]]})", false, false},
       {R"({"shape":[10],"fragments":[[1,4,10],[0,0,4]]})", false, false},
       {R"({"shape":[10],"fragments":[[0,0,11]]})", false, false},
       {R"({"shape":[10],"fragments":[[0,0,0],[0,0,10]]})", false, false},
       {R"({"shape":[3,0],"fragments":[[0,0,1]]})", false, false},
       {R"({"shape":[10],"fragments":[[-1,0,10]]})", false, false},
       {R"({"shape":[10],"fragments":[[0,0]]})", false, false},
       {R"({"shape":[10],"fragments":[[0,0,10,10]]})", false, false},
       {R"({"shape":[10],"fragments":[[0,0,10.0]]})", false, false},
       {R"({"shape":[10],"fragments":{"a":1}})", false, false},
       {R"({"shape":[10]})", false, false},
       {R"({"shape":[-10],"fragments":[[0,0,10]]})", false, false},
       {R"({"shape":10,"fragments":[[0,0,10]]})", false, false},
       {R"({"shape":[4294967296,4294967296],"fragments":[]})", false, false},
       {R"({"shape":[4294967296,4294967296,0],"fragments":[]})", false, false},
       {R"({"fragments":[[0,0,10]]})", false, false},
       {R"([10])", false, false}}));
  auto json = example_json();
  json["tensors"]["odd"] = nlohmann::ordered_json::parse(record);
  INFO(record);
  if (is_whole)
    REQUIRE(refusal_of_manifest(json) == "accepted");
  else
    REQUIRE_THAT(refusal_of_manifest(json), Catch::Matchers::Contains("tensor \"odd\" has"));
  if (is_part)
    REQUIRE_NOTHROW(Manifest::from_text_of_shard(manifest_text(json), "m"));
  else
    REQUIRE_THROWS_AS(Manifest::from_text_of_shard(manifest_text(json), "m"), CheckpointDamage);
}

TEST_CASE("every part of the weights is there, and all or none of another group") {
  const auto without = [](const std::string& beginning) {
    auto json = example_json();
    for (const auto& [name, record] : example_manifest().files) {
      if (name.starts_with(beginning)) json["files"].erase(name);
    }
    return refusal_of_manifest(json);
  };
  REQUIRE_THAT(without("weights-00001"), Catch::Matchers::Contains("weights-00001.safetensors"));
  REQUIRE_THAT(without("exp_avg-00000"), Catch::Matchers::Contains("exp_avg-00000.safetensors"));
  REQUIRE_THAT(without("exp_avg_sq-00001"), Catch::Matchers::Contains("exp_avg_sq-00001"));
  REQUIRE_THAT(without("weights"), Catch::Matchers::Contains("weights-00000.safetensors"));
  REQUIRE(without("exp_avg") == "accepted");  // a model that was imported
}

TEST_CASE("groups and their parts follow from the names of files") {
  Manifest manifest;
  for (const char* name :
       {"weights-00000.safetensors", "weights-00012.safetensors", "exp_avg_sq-100000.safetensors",
        "config.yaml", "model.safetensors", "weights-1.safetensors", "weights-00001.safetensorx"})
    manifest.files[name] = {};
  REQUIRE(shards_by_group(manifest) == std::map<std::string, std::set<std::int64_t>>{
                                           {"weights", {0, 12}}, {"exp_avg_sq", {100000}}});
}

TEST_CASE("all faults are reported at once") {
  auto json = example_json();
  json["step"] = -1;
  json["files"]["a/b"] = {{"size", 1}, {"hash", kHash}};
  json["tensors"]["odd"] = 1;
  REQUIRE_THAT(refusal_of_manifest(json), Catch::Matchers::Contains("step") &&
                                              Catch::Matchers::Contains("a/b") &&
                                              Catch::Matchers::Contains("odd"));
}

TEST_CASE("names of parts and fragments") {
  REQUIRE(shard_file_name("exp_avg", 12) == "exp_avg-00012.safetensors");
  REQUIRE(shard_file_name("weights", 123456) == "weights-123456.safetensors");
  REQUIRE(fragment_key("model.norm.weight", 64, 128) == "model.norm.weight@64:128");
}

TEST_CASE("the seeds of the fuzzer, as manifests") {
  require_seeds_pass("manifest", 15, try_manifest);
}

}  // namespace
}  // namespace zebra
