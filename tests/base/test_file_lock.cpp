#include "base/file_lock.h"

#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("a lock is held until the last process that has its descriptor ends") {
  const TemporaryFolder folder;
  const auto path = folder / "lock";
  int pipe[2];
  REQUIRE(::pipe(pipe) == 0);
  pid_t child = -1;
  {
    FileLock lock(path);
    REQUIRE(lock.try_to_take());
    REQUIRE(lock.try_to_take());  // it is held already
    child = ::fork();
    if (child == 0) {
      char byte;
      ::close(pipe[1]);
      ::_exit(::read(pipe[0], &byte, 1) == 0 ? 0 : 1);  // until the parent closes its end
    }
  }
  FileLock other(path);
  REQUIRE_FALSE(other.try_to_take());
  ::close(pipe[1]);
  ::waitpid(child, nullptr, 0);
  REQUIRE(other.try_to_take());
  ::close(pipe[0]);
}

TEST_CASE("a lock tells whether it made its file, and follows no link") {
  const TemporaryFolder folder;
  REQUIRE(FileLock(folder / "lock").made_file());
  REQUIRE_FALSE(FileLock(folder / "lock").made_file());
  write_text(folder / "theirs", "kept");
  std::filesystem::create_symlink("theirs", folder / "link");
  REQUIRE_THROWS_WITH(FileLock(folder / "link"), Catch::Matchers::Contains("is a link"));
  std::filesystem::create_symlink("nothing", folder / "dangling");
  REQUIRE_THROWS_AS(FileLock(folder / "dangling"), RunError);
  REQUIRE_FALSE(std::filesystem::exists(folder / "nothing"));
}

TEST_CASE("a lock whose file was removed meanwhile is taken at the path") {
  const TemporaryFolder folder;
  const auto path = folder / "lock";
  FileLock waiting(path);
  std::filesystem::remove(path);
  FileLock holder(path);
  REQUIRE(holder.try_to_take());
  REQUIRE_FALSE(waiting.try_to_take());
}

}  // namespace
}  // namespace zebra
