#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "cli/command_line.h"
#include "config/load.h"
#include "support/catch.h"
#include "support/command_line.h"

using namespace zebra;
using Catch::Matchers::Contains;

namespace {

/// Runs `zebra config` with the arguments and returns what it prints.
std::string output_of(std::vector<std::string> arguments) {
  CLI::App app;
  add_config_command(app);
  arguments.insert(arguments.begin(), "config");
  return zebra::testing::printed_by(app, std::move(arguments));
}

/// A run file in a folder that is removed at the end.
class FileOnDisk {
 public:
  FileOnDisk() {
    std::string name = (std::filesystem::temp_directory_path() / "zebra-cli-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    folder_ = name;
    std::ofstream(folder_ / "run.yaml")
        << "run: {dir: r}\nmodel: {preset: zebra-tiny}\n"
           "data: {tokenizer: t, train: [{path: a}], sequence_length: 64}\n"
           "train: {max_steps: 5, global_batch_size: 6, micro_batch_size: 2}\n";
  }
  ~FileOnDisk() { std::filesystem::remove_all(folder_); }
  FileOnDisk(const FileOnDisk&) = delete;
  FileOnDisk& operator=(const FileOnDisk&) = delete;
  std::string path() const { return (folder_ / "run.yaml").string(); }

 private:
  std::filesystem::path folder_;
};

}  // namespace

TEST_CASE("zebra config prints the resolved configuration") {
  const FileOnDisk file;
  const std::string text = output_of({file.path(), "--set", "train.max_steps=7"});
  CHECK(text == to_yaml(load_run_file({file.path()}, {"train.max_steps=7"})));
  CHECK_THAT(text, Contains("\n  attention_pattern: GLLGLL\n") && Contains("\n  max_steps: 7\n"));
}

TEST_CASE("zebra config checks the batch for a number of ranks") {
  const FileOnDisk file;
  CHECK_NOTHROW(output_of({file.path(), "--ranks", "3"}));
  CHECK_THROWS_WITH(output_of({file.path(), "--ranks", "4"}), Contains("sizes that fit: 8, 16"));
  CHECK_THROWS_AS(output_of({file.path(), "--ranks", "0"}), CLI::ParseError);
}

TEST_CASE("The reference and the schema need no run file") {
  CHECK(output_of({"--reference"}) == config_reference());
  CHECK(output_of({"--schema"}) == config_schema());
  CHECK_THROWS_AS(output_of({"--schema", "--reference"}), CLI::ParseError);
  CHECK_THROWS_AS(output_of({}), InputError);
}
