#include "base/bus_error.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/file.h"
#include "support/catch.h"

using namespace zebra;

TEST_CASE("A mapped file that is truncated ends the process with a message", "[base][file]") {
  const auto path =
      std::filesystem::temp_directory_path() / ("zebra-bus-error-" + std::to_string(::getpid()));
  std::ofstream(path, std::ios::binary) << std::string(100'000, 'x');
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    const MappedFile file(path);
    std::filesystem::resize_file(path, 10);
    volatile auto byte = file.data()[50'000];
    ::_exit(byte == std::byte{'x'} ? 9 : 8);
  }
  ::close(ends[1]);
  std::string said;
  char block[512];
  for (ssize_t count = 0; (count = ::read(ends[0], block, sizeof block)) > 0;) {
    said.append(block, static_cast<std::size_t>(count));
  }
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  std::filesystem::remove(path);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 1);
  CHECK(said.find(path.string() + ": can no longer be read") != std::string::npos);
}
