#include "train/event_file.h"

#include "support/catch.h"

namespace zebra {
namespace {

// The vectors of RFC 3720, B.4.
TEST_CASE("crc32c is that of iSCSI") {
  CHECK(crc32c("") == 0);
  CHECK(crc32c("123456789") == 0xe3069283U);
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aaU);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43U);
}

// Written out by hand from the descriptions of protocol buffers and of TFRecord; the checksums are
// those that the `tensorboard` package computes.
TEST_CASE("an event is a record of a length, a message and two checksums") {
  const std::string bytes = figures_event(1.5, 300, {{"a/b", 0.5}});
  const std::string message(
      "\x09\x00\x00\x00\x00\x00\x00\xf8\x3f"  // 1, double: wall time
      "\x10\xac\x02"                          // 2, varint: step
      "\x2a\x0c\x0a\x0a"                      // 5: summary, 1: value
      "\x0a\x03\x61/b\x15\x00\x00\x00\x3f",   // 1: tag, 2: float
      26);
  REQUIRE(bytes.size() == 8 + 4 + message.size() + 4);
  CHECK(bytes.substr(0, 8) == std::string("\x1a\0\0\0\0\0\0\0", 8));
  CHECK(bytes.substr(12, message.size()) == message);
}

TEST_CASE("events up to a step are kept byte for byte, whatever follows") {
  const std::string first = version_event(1.0) + start_event(1.0, 1);
  const std::string low = figures_event(2.0, 127, {{"x", 1.0}}) + text_event(2.0, 128, "t", "a\nb");
  const std::string high = figures_event(3.0, 129, {{"x", 2.0}});
  const std::string last = figures_event(4.0, 12, {});
  CHECK(events_up_to(first + low + high + last, 128) == first + low + last);
  CHECK(events_up_to(first + low + high, 1000) == first + low + high);
  CHECK(events_up_to("", 5).empty());
  SECTION("a record that is cut short ends them, wherever it is cut") {
    for (std::size_t size = 0; size < high.size(); ++size)
      CHECK(events_up_to(first + low + high.substr(0, size), 1000) == first + low);
  }
  SECTION("so does one that is damaged, wherever it is") {
    for (std::size_t i = 0; i < high.size(); ++i) {
      auto damaged = high;
      damaged[i] = static_cast<char>(damaged[i] ^ 0x20);
      CHECK(events_up_to(low + damaged + last, 1000) == low);
    }
  }
}

}  // namespace
}  // namespace zebra
