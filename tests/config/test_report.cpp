#include "config/report.h"

#include "base/error.h"
#include "support/catch.h"

using namespace zebra;

TEST_CASE("Problems come in the order of files and lines, overrides last") {
  Report report({"b.yaml", "a.yaml"});
  report.locate("x", {"--set x=1", 0});
  report.locate("y", {"a.yaml", 3});
  report.locate("z", {"b.yaml", 10});
  report.locate("w", {"b.yaml", 9});
  for (const char* key : {"x", "y", "z", "w"}) report.problem(key, "bad");
  CHECK_THROWS_WITH(report.throw_if_any(),
                    "b.yaml:9: w: bad\nb.yaml:10: z: bad\na.yaml:3: y: bad\n--set x=1: x: bad");
}

TEST_CASE("A key that was not written stands where its section stands, else in the files") {
  Report report({"a.yaml", "b.yaml"});
  report.locate("model", {"a.yaml", 4});
  report.problem("model.rope_scaling.factor", "missing");
  CHECK_THROWS_WITH(report.throw_if_any(), "a.yaml:4: model.rope_scaling.factor: missing");
  Report other({"a.yaml", "b.yaml"});
  other.problem("run.dir", "missing");
  CHECK_THROWS_WITH(other.throw_if_any(), "a.yaml, b.yaml: run.dir: missing");
}

TEST_CASE("A key is sound until it, or a section around it, has a problem") {
  Report report({"a.yaml"});
  CHECK(report.sound({"model.a", "model.b"}));
  report.problem("model.a", "bad");
  CHECK_FALSE(report.sound({"model.b", "model.a"}));
  CHECK(report.sound({"model.b", "model"}));
  report.mark_unsound("data");
  CHECK_FALSE(report.sound({"data.train"}));
  CHECK_FALSE(report.sound({"data.train[0].path"}));
  CHECK(report.sound({"database"}));
}

TEST_CASE("No problem, no exception") { CHECK_NOTHROW(Report({"a.yaml"}).throw_if_any()); }
