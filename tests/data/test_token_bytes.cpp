#include "data/token_bytes.h"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "data/foreign_files.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

/// The bytes behind one more, so that no id is aligned.
std::span<const std::byte> behind_one(const std::string& bytes) {
  return std::span(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()).subspan(1);
}

}  // namespace

TEST_CASE("Ids of every width are read at any address", "[data][token_bytes]") {
  for (const int width : {2, 4, 8}) {
    const std::string bytes = "x" + id_bytes({5, 60000, 7, 60000, 0}, width);
    std::vector<std::int32_t> ids(5);
    copy_ids(behind_one(bytes), width, ids);
    CHECK(ids == std::vector<std::int32_t>{5, 60000, 7, 60000, 0});
    const auto largest = largest_id(behind_one(bytes), width);
    CHECK(largest.id == 60000);
    CHECK(largest.index == 1);
    CHECK(other_byte_order(other_byte_order(60000, width), width) == 60000);
  }
  CHECK(other_byte_order(0x0102, 2) == 0x0201);
  CHECK(other_byte_order(1, 8) == 0x0100000000000000);
}

TEST_CASE("Ids that were written with a sign are shown with it", "[data][token_bytes]") {
  CHECK(id_text(0xFFFF, 2) == "65535");
  CHECK(id_text(0xFFFFFFFF, 4) == "-1");
  CHECK(id_text(0xFFFFFFFE, 8) == "4294967294");
  CHECK(id_text(~std::uint64_t{0}, 8) == "-1");
}
