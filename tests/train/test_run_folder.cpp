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
  { const RunFolder run(folder / "several/folders/deep/"); }
  REQUIRE_FALSE(std::filesystem::exists(folder / "several"));
}

TEST_CASE("a run that was refused leaves what it found") {
  namespace fs = std::filesystem;
  const TemporaryFolder folder;
  fs::create_directory(folder / "own");
  fs::permissions(folder / "own", fs::perms::owner_all | fs::perms::set_gid);
  const auto rights = fs::status(folder / "own").permissions();
  { const RunFolder run(folder / "own"); }
  REQUIRE(fs::is_empty(folder / "own"));
  REQUIRE(fs::status(folder / "own").permissions() == rights);
  fs::create_directory_symlink("own", folder / "link");
  { const RunFolder run(folder / "link"); }
  REQUIRE(fs::is_symlink(folder / "link"));
  REQUIRE(fs::is_empty(folder / "own"));
  write_text(folder / "own/lock", "host a, process 1");
  { const RunFolder run(folder / "own"); }
  REQUIRE(fs::exists(folder / "own/lock"));
}

TEST_CASE("a folder that is not a run's is refused before anything is written") {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& name, const std::string& text) {
    const TemporaryFolder theirs;
    write_text(theirs / name, text);
    REQUIRE_THROWS_WITH(RunFolder(theirs.path()),
                        Catch::Matchers::Contains("run.dir is not empty, and no run folder") &&
                            Catch::Matchers::Contains(name));
    REQUIRE(read_file(theirs / name) == text);
    REQUIRE(std::distance(std::filesystem::directory_iterator(theirs.path()), {}) == 1);
  };
  refused("config.yaml", "run: {dir: .}");
  refused("status.json", R"({"state": "solid"})");
  refused("lock", "theirs");
  refused("train.log", "");
  write_text(folder / "file", "");
  REQUIRE_THROWS_WITH(RunFolder(folder / "file"), Catch::Matchers::Contains("is no folder"));
}

TEST_CASE("a folder in which a run was begun is taken, whatever else is in it") {
  const auto taken = [](const std::string& name, const std::string& text) {
    const TemporaryFolder folder;
    write_text(folder / name, text);
    REQUIRE_NOTHROW(RunFolder(folder.path()));
    REQUIRE(std::filesystem::exists(folder / name));
  };
  taken(".gitignore", "*");
  taken("lock", "");  // killed before it could write into it
  taken("lock", "host a, process 1");
  taken("status.json", R"({"state": "stopped", "step": 5})");
  const TemporaryFolder folder;
  write_text(folder / "lock", "host a, process 1");
  write_text(folder / "notes.txt", "mine");
  REQUIRE_NOTHROW(RunFolder(folder.path()));
}

TEST_CASE("a lock that is a link is not followed") {
  const TemporaryFolder folder;
  write_text(folder / "theirs", "kept");
  std::filesystem::create_directory(folder / "run");
  write_text(folder / "run/status.json", R"({"state": "stopped", "step": 5})");
  std::filesystem::create_symlink("../theirs", folder / "run/lock");
  REQUIRE_THROWS_WITH(RunFolder(folder / "run"), Catch::Matchers::Contains("is a link"));
  REQUIRE(read_file(folder / "theirs") == "kept");
}

TEST_CASE("what interrupted writes left goes, and nothing else") {
  const TemporaryFolder folder;
  const RunFolder run(folder / "run");
  std::filesystem::create_directory(folder / "run/samples");
  const std::vector<std::string> ours = {"status.json.partial-77", "metrics.jsonl.partial-12345",
                                         "status.json.partial-verdict-of-1700000000-77",
                                         "samples/step-00000010.txt.partial-9"};
  const std::vector<std::string> theirs = {"thesis.partial-77", "status.json.partial-draft",
                                           "status.json.partial-verdict-of-the-jury",
                                           "samples/mine.txt.partial-9", "config.yaml.partial-"};
  for (const auto* names : {&ours, &theirs})
    for (const auto& name : *names) write_text(folder / "run" / name, "");
  run.remove_partial_files();
  for (const auto& name : ours) REQUIRE_FALSE(std::filesystem::exists(folder / "run" / name));
  for (const auto& name : theirs) REQUIRE(std::filesystem::exists(folder / "run" / name));
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
