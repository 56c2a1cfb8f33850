#include "base/system.h"

#include <cstdlib>
#include <fstream>
#include <thread>

#include "base/error.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("the machine has a name with the number of its processors") {
  const auto name = machine_name();
  REQUIRE(name.starts_with(std::to_string(std::thread::hardware_concurrency()) + " x "));
  REQUIRE(name.ends_with(processor_name()));
  REQUIRE_FALSE(processor_name().empty());
  REQUIRE(name.find('\n') == std::string::npos);
}

TEST_CASE("the machine has memory, and no more than a machine can have") {
  REQUIRE(memory_of_machine() > std::int64_t{1} << 26);
  REQUIRE(memory_of_machine() < std::int64_t{1} << 50);
}

TEST_CASE("a script runs with the Python that the environment names") {
  const TemporaryFolder folder;
  const auto python = folder.path() / "python";
  std::ofstream(python) << "#!/bin/sh\necho \"$@\" > " << (folder.path() / "seen").string()
                        << "\n[ \"$2\" != fail ]\n";
  std::filesystem::permissions(python, std::filesystem::perms::owner_all);
  ::setenv("ZEBRA_PYTHON", python.c_str(), 1);
  const auto command = python_command("report", {"a", "b c"});
  REQUIRE(command.size() == 4);
  REQUIRE(command[0] == python);
  REQUIRE(std::filesystem::path(command[1]).filename() == "report");
  REQUIRE(command[3] == "b c");

  run_python_script("report", {"a", "b c"});
  std::string seen;
  std::getline(std::ifstream(folder.path() / "seen"), seen);
  REQUIRE(seen == command[1] + " a b c");
  REQUIRE_THROWS_AS(run_python_script("report", {"fail"}), RunError);
  ::setenv("ZEBRA_PYTHON", (folder.path() / "none").c_str(), 1);
  REQUIRE_THROWS_AS(run_python_script("report", {}), RunError);
  ::unsetenv("ZEBRA_PYTHON");
  REQUIRE_FALSE(python_command("report", {}).front().empty());
}

}  // namespace
}  // namespace zebra
