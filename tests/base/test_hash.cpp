#include "base/hash.h"

#include "support/catch.h"
#include "support/temporary_folder.h"

namespace zebra {
namespace {

TEST_CASE("XXH3 128 of the empty input, as published") {
  REQUIRE(hash_of("") == "99aa06d3014798d86001c324468d497f");
}

TEST_CASE("pieces, the whole and a file hash alike") {
  std::string text;
  for (int i = 0; i < 100000; ++i) text += static_cast<char>(i * 31);
  Hasher hasher;
  hasher.update(text.substr(0, 777));
  hasher.update(text.substr(777));
  REQUIRE(hasher.digest() == hash_of(text));
  const testing::TemporaryFolder folder;
  testing::write_text(folder / "f", text);
  REQUIRE(hash_of_file(folder / "f") == hash_of(text));
  testing::flip_byte(folder / "f", 50000);
  REQUIRE(hash_of_file(folder / "f") != hash_of(text));
}

}  // namespace
}  // namespace zebra
