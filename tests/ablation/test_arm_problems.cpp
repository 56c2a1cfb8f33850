#include "ablation/arm_problems.h"

#include "support/catch.h"

using namespace zebra;

TEST_CASE("A problem of several arms is said once") {
  ArmProblems found;
  CHECK(found.empty());
  found.add("a", "f:1: first\nf:2: second");
  found.add("b", "f:2: second");
  found.add("c", "f:3: third\nf:2: second");
  CHECK_FALSE(found.empty());
  Problems problems;
  found.add_to(problems);
  CHECK(problems.all() == std::vector<std::string>{"arm a: f:1: first",
                                                   "arm a: f:2: second (and 2 more arms)",
                                                   "arm c: f:3: third"});
}

TEST_CASE("One more arm is in the singular") {
  ArmProblems found;
  found.add("a", "x");
  found.add("b", "x");
  Problems problems;
  found.add_to(problems);
  CHECK(problems.all() == std::vector<std::string>{"arm a: x (and 1 more arm)"});
}
