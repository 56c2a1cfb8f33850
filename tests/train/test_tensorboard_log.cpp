#include "train/tensorboard_log.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Json = nlohmann::ordered_json;

std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

TEST_CASE("figures are the numbers of a row, named by where they stand") {
  const auto figures = event_figures(Json::parse(R"({
    "step": 7, "loss": null, "tokens": 64, "skipped": true,
    "by_position": [{"begin": 0, "end": 1, "loss": 3.5}],
    "by_dataset": [{"name": "a/b", "loss": 2.0, "tokens": 5}],
    "sources": [{"samples": 3}, {"samples": 1}],
    "layers": {"grad_norm": [0.5, 0.25]}})"));
  std::string text;
  for (const auto& [tag, value] : figures)
    text += tag + "=" + (std::isnan(value) ? "nan" : Json(value).dump()) + " ";
  CHECK(text ==
        "loss=nan tokens=64.0 skipped=1.0 by_position/0-1/loss=3.5 by_dataset/a/b/loss=2.0 "
        "by_dataset/a/b/tokens=5.0 sources/0/samples=3.0 sources/1/samples=1.0 "
        "layers/grad_norm/0=0.5 layers/grad_norm/1=0.25 ");
}

TEST_CASE("a later start takes what lies beyond its step from the files of earlier ones") {
  const TemporaryFolder folder;
  write_text(folder / "note.txt", "mine");
  {
    TensorboardLog log(folder.path(), 0, "");
    log.add({{"step", 1}, {"loss", 2.5}});
    log.add({{"step", 2}, {"loss", 2.0}});
    log.add_sample(2, "text");
  }
  auto files = files_in(folder.path());
  REQUIRE(files.size() == 2);
  const auto before = read_file(files[0]);
  {
    TensorboardLog log(folder.path(), 1, R"({"step": 1, "loss": 2.5})");
    log.add({{"step", 2}, {"loss", 2.25}});
  }
  files = files_in(folder.path());
  REQUIRE(files.size() == 3);
  const auto kept = read_file(files[0]);
  CHECK(kept == events_up_to(before, 1));
  CHECK(kept.size() < before.size());
  CHECK(read_file(folder / "note.txt") == "mine");
}

// Which is how TensorBoard reads them.
TEST_CASE("the file of a later start comes after all others, whatever the clock says") {
  const TemporaryFolder folder;
  write_text(folder / "events.out.tfevents.7999999999.a.1.0", version_event(1.0));
  write_text(folder / "events.out.tfevents.12.zzz.1.0", version_event(1.0));
  {
    TensorboardLog log(folder.path(), 1, "");
    log.add({{"step", 2}});
  }
  const auto files = files_in(folder.path());
  REQUIRE(files.size() == 3);
  CHECK_THAT(files[2].filename().string(),
             Catch::Matchers::StartsWith("events.out.tfevents.8000000000."));
}

TEST_CASE("a start that adds nothing leaves no file") {
  const TemporaryFolder folder;
  { TensorboardLog log(folder.path(), 1, ""); }
  CHECK(files_in(folder.path()).empty());
}

TEST_CASE("rows from before there were events come first, at the times of their seconds") {
  const TemporaryFolder folder;
  {
    TensorboardLog log(folder / "tensorboard", 2,
                       "{\"step\": 1, \"x\": 1, \"seconds\": 10}\n{\"step\": 1, \"y\": 1}\n"
                       "{\"step\": 2, \"x\": 2, \"seconds\": 25}\n");
  }
  const auto content = read_file(files_in(folder / "tensorboard").at(0));
  // The version's record, then a row's: its wall time stands behind length, checksum and key.
  const auto time_at = [&](std::size_t record) {
    std::size_t at = 0;
    for (; record > 0; --record) at += 16 + static_cast<unsigned char>(content.at(at));
    double time = 0;
    std::memcpy(&time, content.data() + at + 13, sizeof time);
    return time;
  };
  CHECK(time_at(3) - time_at(1) == Approx(15.0).margin(1e-5));
  CHECK(time_at(2) == time_at(1));
  CHECK(time_at(0) - time_at(3) == Approx(0.0).margin(60.0));
}

}  // namespace
}  // namespace zebra
