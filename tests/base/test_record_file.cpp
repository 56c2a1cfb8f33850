#include "base/record_file.h"

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
  RecordFile file(folder / "lines");
  REQUIRE(file.append("first\n") == "");
  {
    const FileSizeLimit limit(8);  // the second line is cut in two
    REQUIRE_THAT(file.append("second\n"), Contains("lines: cannot be written") &&
                                              Contains("kept in memory and tried again"));
    REQUIRE(read_file(folder / "lines") == "first\nse");
    REQUIRE(file.append("third\n") == "");
    REQUIRE(file.records_written() == 1);
  }
  REQUIRE_THAT(file.append("fourth\n"), Contains("can be written again; no line is lost"));
  REQUIRE(read_file(folder / "lines") == "first\nsecond\nthird\nfourth\n");
  REQUIRE(file.records_written() == 4);
  REQUIRE(file.finish() == "");
}

TEST_CASE("lines beyond the bound are lost and counted") {
  const TemporaryFolder folder;
  RecordFile file(folder / "lines");
  const std::string half(RecordFile::kMostBytes / 2 - 1, 'x');
  const std::string line = half + "\n";
  {
    const FileSizeLimit limit(0);
    REQUIRE_THAT(file.append(line), Contains("cannot be written"));
    for (int i = 0; i < 3; ++i) REQUIRE(file.append(line) == "");
  }
  REQUIRE_THAT(file.append("last\n"), Contains("3 lines are lost"));
  REQUIRE(read_file(folder / "lines") == half + "\nlast\n");
  const FileSizeLimit limit(0);
  REQUIRE_FALSE(file.append("never\n").empty());
  REQUIRE_THAT(file.finish(), Contains("1 line is lost"));
}

TEST_CASE("records are counted as they were given, whatever bytes they hold") {
  const TemporaryFolder folder;
  RecordFile file(folder / "events", "event");
  {
    const FileSizeLimit limit(5);
    REQUIRE_THAT(file.append("a\n\nb"), Contains("") && !Contains("cannot"));
    REQUIRE_THAT(file.append("c\nd"), Contains("its events are kept"));
    REQUIRE(file.records_written() == 1);
  }
  REQUIRE_THAT(file.retry(), Contains("no event is lost"));
  REQUIRE(file.records_written() == 2);
  REQUIRE(read_file(folder / "events") == "a\n\nbc\nd");
}

TEST_CASE("a file that cannot be opened is an error at once") {
  const TemporaryFolder folder;
  REQUIRE_THROWS_AS(RecordFile(folder / "nowhere/lines"), RunError);
}

}  // namespace
}  // namespace zebra
