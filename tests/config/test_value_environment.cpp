#include "config/value.h"

#include <cstdlib>

#include "base/error.h"
#include "support/catch.h"

using namespace zebra;
using Catch::Matchers::Contains;

TEST_CASE("Variables are expanded wherever they stand in a text") {
  ::setenv("ZEBRA_TEST_A", "one", 1);
  ::setenv("ZEBRA_TEST_B2", "", 1);
  CHECK(expand_variables("${ZEBRA_TEST_A}") == "one");
  CHECK(expand_variables("/x/${ZEBRA_TEST_A}/${ZEBRA_TEST_A}${ZEBRA_TEST_B2}y") == "/x/one/oney");
  CHECK(expand_variables("$ZEBRA_TEST_A costs 3$ {} $") == "$ZEBRA_TEST_A costs 3$ {} $");
}

TEST_CASE("What a variable holds is not expanded again") {
  ::setenv("ZEBRA_TEST_NESTED", "${ZEBRA_TEST_UNSET}", 1);
  CHECK(expand_variables("${ZEBRA_TEST_NESTED}") == "${ZEBRA_TEST_UNSET}");
}

TEST_CASE("Two dollars keep a variable as it is written, and escaping is undone by expanding") {
  CHECK(expand_variables("$${HOME}") == "${HOME}");
  for (const std::string text : {"${HOME}", "$${HOME}", "$$${A}${", "no", "$", "{}"}) {
    CHECK(expand_variables(escape_variables(text)) == text);
  }
}

TEST_CASE("A variable that is not set, or no name at all, is refused") {
  ::unsetenv("ZEBRA_TEST_UNSET");
  CHECK_THROWS_WITH(expand_variables("a${ZEBRA_TEST_UNSET}"),
                    Contains("environment variable ZEBRA_TEST_UNSET is not set; export it"));
  CHECK_THROWS_WITH(expand_variables("${}"), Contains("${} names no environment variable"));
  CHECK_THROWS_WITH(expand_variables("${HOME:-/x}"),
                    Contains("${HOME:-/x} names no environment variable"));
  CHECK_THROWS_WITH(expand_variables("${9}"), Contains("${9} names no environment variable"));
  CHECK_THROWS_WITH(expand_variables("a${HOME"), Contains("${ without }"));
  CHECK_THROWS_AS(expand_variables("${"), InputError);
}
