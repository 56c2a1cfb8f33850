#include "data/loss_mask_writer.h"

#include <string>
#include <vector>

#include "base/file.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

TEST_CASE("A mask is written from the first token on that does not count", "[data][loss_mask]") {
  const TempFolder folder;
  LossMaskWriter writer(folder / "mask", 4);
  writer.append(true, 3);
  writer.append(std::vector<std::uint8_t>{1, 7});
  CHECK(entries(folder.path()).empty());
  writer.append(std::vector<std::uint8_t>{1, 0, 2});
  writer.append(true, 1);
  writer.append(false, 2);
  const auto content = writer.commit();
  const std::string expected("\1\1\1\1\1\1\0\1\1\0\0", 11);
  REQUIRE(content);
  CHECK(content->bytes == 11);
  CHECK(content->chunk_hashes.size() == 3);
  CHECK(content->chunk_hashes[1] == hash_of(expected.substr(4, 4)));
  CHECK(content_of(folder / "mask") == expected);
}

TEST_CASE("No mask is written where all tokens count", "[data][loss_mask]") {
  const TempFolder folder;
  LossMaskWriter writer(folder / "mask", 4);
  writer.append(true, 9000);
  writer.append(std::vector<std::uint8_t>{1, 1});
  CHECK_FALSE(writer.commit());
  CHECK(entries(folder.path()).empty());
}
