#include "checkpoint/manifest.h"

#include "base/error.h"
#include "support/catch.h"

namespace zebra {
namespace {

Manifest example() {
  Manifest manifest;
  manifest.step = 200;
  manifest.files["weights-00000.safetensors"] = {1234567890123, "00112233445566778899aabbccddeeff"};
  manifest.tensors["model.norm.weight"] = {{64}, {{0, 0, 40}, {1, 40, 64}}};
  manifest.training = {{"seconds", 0.1}, {"hash", "not the manifest's own"}};
  return manifest;
}

TEST_CASE("a manifest reads back") {
  const auto manifest = Manifest::from_text(example().to_text(), "m");
  REQUIRE(manifest.step == 200);
  REQUIRE(manifest.files.at("weights-00000.safetensors").size == 1234567890123);
  REQUIRE(manifest.tensors.at("model.norm.weight").shape == std::vector<std::int64_t>{64});
  REQUIRE(manifest.tensors.at("model.norm.weight").fragments.at(1).begin == 40);
  REQUIRE(manifest.training.at("seconds").get<double>() == 0.1);
  REQUIRE(manifest.to_text() == example().to_text());
}

TEST_CASE("every changed byte and every truncation is noticed") {
  const std::string text = example().to_text();
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    REQUIRE_THROWS_AS(Manifest::from_text(changed, "m"), InputError);
    REQUIRE_THROWS_AS(Manifest::from_text(text.substr(0, i), "m"), InputError);
  }
  REQUIRE_THROWS_AS(Manifest::from_text(text + "\n", "m"), InputError);
}

TEST_CASE("names of parts and fragments") {
  REQUIRE(part_file_name("exp_avg", 12) == "exp_avg-00012.safetensors");
  REQUIRE(fragment_key("model.norm.weight", 64, 128) == "model.norm.weight@64:128");
}

}  // namespace
}  // namespace zebra
