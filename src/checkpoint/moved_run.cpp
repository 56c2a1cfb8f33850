#include "checkpoint/moved_run.h"

#include <algorithm>
#include <filesystem>

#include "checkpoint/checkpoint.h"
#include "checkpoint/folder.h"

namespace zebra {
namespace {

namespace fs = std::filesystem;

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

/// Where things were before a move and where they are now: the parents of what has the same name
/// in both places.
struct Move {
  fs::path before, now;

  Move(fs::path old_run, fs::path new_run) : before(std::move(old_run)), now(std::move(new_run)) {
    while (before.has_relative_path() && before.filename() == now.filename()) {
      before = before.parent_path();
      now = now.parent_path();
    }
  }

  /// Empty for a path that lay elsewhere.
  fs::path moved(const fs::path& path) const {
    const auto rest = path.lexically_relative(before);
    return rest.empty() || *rest.begin() == ".." ? fs::path() : now / rest;
  }
};

/// Replaces `path` by the first of `candidates` that exists, where it does not itself.
void follow(fs::path& path, const std::vector<fs::path>& candidates,
            std::vector<std::string>& notes) {
  if (is_there(path)) return;
  const auto found = std::ranges::find_if(
      candidates, [](const auto& candidate) { return !candidate.empty() && is_there(candidate); });
  if (found == candidates.end()) return;
  notes.push_back(path.string() + " is no longer there: " + found->string() + " is used");
  path = *found;
}

}  // namespace

std::vector<std::string> follow_moved_data(DataSection& data, const fs::path& old_run,
                                           const fs::path& run) {
  std::vector<std::string> notes;
  const auto now = fs::absolute(run).lexically_normal();
  const Move move(old_run.lexically_normal(), now);
  const auto places = list_checkpoints(now);
  const auto newest = places.empty() ? fs::path() : places.back().folder;
  follow(data.tokenizer,
         {move.moved(data.tokenizer), tokenizer_in(now),
          newest.empty() ? newest : tokenizer_in(newest)},
         notes);
  const auto follow_source = [&](DataSource& source) {
    follow(source.path, {move.moved(source.path)}, notes);
  };
  std::ranges::for_each(data.train, follow_source);
  for (auto& stage : data.stages) std::ranges::for_each(stage.train, follow_source);
  std::ranges::for_each(data.validation, follow_source);
  return notes;
}

std::vector<std::string> follow_moved_run(RunFile& file, const std::vector<std::string>& files,
                                          const std::vector<std::string>& overrides) {
  const auto config = fs::absolute(files.back()).lexically_normal();
  const auto run = config.parent_path();
  const bool is_named = std::ranges::any_of(overrides, [](const auto& text) {
    return text.starts_with("run.dir=") || text.starts_with("run=");
  });
  if (config.filename() != Checkpoint::kConfigFile || !is_there(run / "checkpoints") || is_named)
    return {};
  const auto old_run = file.run.dir;
  auto notes = follow_moved_data(file.data, old_run, run);
  if (std::error_code ignored; !fs::equivalent(old_run, run, ignored)) {
    notes.push_back("run.dir is " + run.string() + ", where this config.yaml lies, not " +
                    old_run.string());
    file.run.dir = run;
  }
  return notes;
}

}  // namespace zebra
