#include "base/line_file.h"

#include <sys/resource.h>

#include <csignal>

#include "base/error.h"
#include "base/file.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;

/// While it lives no file may grow beyond `bytes`: what a full disk looks like to a writer.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
};

TEST_CASE("lines that cannot be written are told once, kept, and written whole later") {
  const TemporaryFolder folder;
  LineFile file(folder / "lines");
  REQUIRE(file.append("first") == "");
  {
    const FileSizeLimit limit(8);  // the second line is cut in two
    REQUIRE_THAT(file.append("second"), Contains("lines: cannot be written") &&
                                            Contains("kept in memory and tried again"));
    REQUIRE(read_file(folder / "lines") == "first\nse");
    REQUIRE(file.append("third") == "");
    REQUIRE(file.lines_written() == 1);
  }
  REQUIRE_THAT(file.append("fourth"), Contains("can be written again; no line is lost"));
  REQUIRE(read_file(folder / "lines") == "first\nsecond\nthird\nfourth\n");
  REQUIRE(file.lines_written() == 4);
  REQUIRE(file.finish() == "");
}

TEST_CASE("lines beyond the bound are lost and counted") {
  const TemporaryFolder folder;
  LineFile file(folder / "lines");
  const std::string half(LineFile::kMostBytes / 2, 'x');
  {
    const FileSizeLimit limit(0);
    REQUIRE_THAT(file.append(half), Contains("cannot be written"));
    for (int i = 0; i < 3; ++i) REQUIRE(file.append(half) == "");
  }
  REQUIRE_THAT(file.append("last"), Contains("3 lines are lost"));
  REQUIRE(read_file(folder / "lines") == half + "\nlast\n");
  const FileSizeLimit limit(0);
  REQUIRE_FALSE(file.append("never").empty());
  REQUIRE_THAT(file.finish(), Contains("1 line is lost"));
}

TEST_CASE("a file that cannot be opened is an error at once") {
  const TemporaryFolder folder;
  REQUIRE_THROWS_AS(LineFile(folder / "nowhere/lines"), RunError);
}

}  // namespace
}  // namespace zebra
