#include "config/names.h"

#include <set>

#include "support/catch.h"

using namespace zebra;

namespace {

template <NamedEnum E>
void check_table(const std::vector<std::string>& expected) {
  CHECK(names_of<E>() == expected);
  std::set<E> values;
  for (const std::string& name : expected) {
    const auto value = value_named<E>(name);
    REQUIRE(value.has_value());
    CHECK(name_of(*value) == name);
    values.insert(*value);
  }
  CHECK(values.size() == expected.size());
  CHECK_FALSE(value_named<E>("").has_value());
  CHECK_FALSE(value_named<E>("None").has_value());
}

}  // namespace

TEST_CASE("Every choice has the name that the run file uses") {
  check_table<Device>({"auto", "cpu", "cuda"});
  check_table<SelfAttention>({"mix", "full", "local"});
  check_table<GlobalLayer>({"first", "last"});
  check_table<AlwaysGlobal>({"none", "first", "last", "both"});
  check_table<ScaledLayers>({"all", "global"});
  check_table<RopeScaling>({"none", "linear", "dynamic", "yarn", "llama3"});
  check_table<NormPlacement>({"pre", "reordered"});
  check_table<QkNorm>({"false", "true", "projection"});
  check_table<AttentionSink>({"false", "true", "all"});
  check_table<ScheduleType>({"cosine", "wsd", "constant"});
  check_table<Precision>({"fp32", "bf16"});
  check_table<ActivationCheckpointing>({"none", "full", "selective", "every_2"});
  check_table<Sharding>({"none", "optimizer", "gradients", "full"});
  check_table<WhenBusy>({"wait", "skip"});
  CHECK(value_named<RopeScaling>("yarn") == RopeScaling::yarn);
  CHECK(value_named<Device>("auto") == Device::automatic);
}
