#include "train/run_folder.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "support/catch.h"
#include "support/tiny_data.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("two processes cannot own one run folder") {
  const TemporaryFolder folder;
  {
    const RunFolder owner(folder / "run");
    REQUIRE_THROWS_WITH(RunFolder(folder / "run"), Catch::Matchers::Contains("another process"));
  }
  REQUIRE_NOTHROW(RunFolder(folder / "run"));
}

TEST_CASE("a run that was refused before it wrote anything leaves no folder") {
  const TemporaryFolder folder;
  { const RunFolder run(folder / "run"); }
  REQUIRE_FALSE(std::filesystem::exists(folder / "run"));
}

TEST_CASE("the folder describes itself") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const auto config = tiny_run(folder);
  RunFolder run(folder / "run");
  run.describe(config);
  run.set_status(RunState::stopped, 17, "stopped by SIGTERM",
                 folder / "run/checkpoints/step-00000017");
  REQUIRE(differences(resolve(load_run_file({folder / "run/config.yaml"}, {})), config).empty());
  REQUIRE(read_file(folder / "run/tokenizer.model") == read_file(folder / "tok.model"));
  REQUIRE(nlohmann::json::parse(read_file(folder / "run/build.json")).contains("commit"));
  const auto status = nlohmann::json::parse(read_file(folder / "run/status.json"));
  REQUIRE(status["state"] == "stopped");
  REQUIRE(status["step"] == 17);
  REQUIRE(status["reason"] == "stopped by SIGTERM");
}

TEST_CASE("a status that cannot be written is no error, and is tried again") {
  const TemporaryFolder folder;
  RunFolder run(folder / "run");
  const auto path = folder / "run/status.json";
  std::filesystem::create_directories(path / "in the way");
  run.set_status(RunState::running, 3, "", "caf\xe9");  // no UTF-8
  run.retry_status();
  std::filesystem::remove_all(path);
  run.retry_status();
  const auto status = nlohmann::json::parse(read_file(path));
  REQUIRE(status["step"] == 3);
  REQUIRE(status["checkpoint"] == "caf\xef\xbf\xbd");
}

}  // namespace
}  // namespace zebra
