#include "base/log.h"

#include "base/error.h"
#include "base/file.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace zebra {
namespace {

TEST_CASE("lines go to the log file that was opened last") {
  const testing::TemporaryFolder folder;
  open_log_file(folder / "log");
  log_info("first");
  log_warning("second");
  open_log_file(folder / "next");
  log_info("third");
  const std::string text = read_file(folder / "log");
  REQUIRE(text.find(" first\n") != std::string::npos);
  REQUIRE(text.find(" warning: second\n") != std::string::npos);
  REQUIRE(text.find("third") == std::string::npos);
  REQUIRE(read_file(folder / "next").find(" third\n") != std::string::npos);
  REQUIRE_THROWS_AS(open_log_file(folder / "missing/log"), RunError);
}

TEST_CASE("the log file has dates, and nothing in it steers a terminal") {
  const testing::TemporaryFolder folder;
  open_log_file(folder / "log");
  log_info("a\x1b[2Jb\nc");
  const std::string text = read_file(folder / "log");
  INFO(text);
  REQUIRE_THAT(
      text, Catch::Matchers::Matches("[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} [^]*"));
  REQUIRE(text.ends_with(" a\\x1b[2Jb\nc\n"));
}

}  // namespace
}  // namespace zebra
