#include "base/machine.h"

#include <thread>

#include "support/catch.h"

namespace zebra {
namespace {

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

}  // namespace
}  // namespace zebra
