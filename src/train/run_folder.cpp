#include "train/run_folder.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/build_info.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json_reader.h"
#include "base/record_file.h"
#include "base/system.h"
#include "base/text.h"
#include "checkpoint/folder.h"
#include "config/load.h"
#include "data/tokenizer_files.h"
#include "train/tensorboard_log.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

const char* name_of(RunState state) {
  static constexpr const char* kNames[] = {"running", "stopped", "finished", "failed"};
  return kNames[static_cast<std::size_t>(state)];
}

constexpr const char* kLock = "lock";
constexpr const char *kOwner = "host ", *kProcess = ", process ";  // the text in it
constexpr std::size_t kNamesShown = 3;

// The files of a run folder that replace an earlier one as a whole.
constexpr std::array<std::string_view, 8> kWrittenWhole = {
    "config.yaml", kSentencePieceFile, kTokenizerJsonFile, kTokenizerConfigFile,
    "build.json",  "status.json",      "metrics.jsonl",    "metrics.jsonl.unreadable"};

// The file by which the ranks of a job that failed settled who reports (Job::claim_report).
bool is_claim(std::string_view name) {
  constexpr std::string_view kBegin = "status.json.partial-verdict-of-";
  if (!name.starts_with(kBegin)) return false;
  const auto attempt = name.substr(kBegin.size());
  return !attempt.empty() && attempt.find_first_not_of("0123456789-") == std::string_view::npos;
}

// Nothing of a run is hidden, so a .gitignore or the like does not count.
std::vector<std::string> names_in(const std::filesystem::path& folder, std::error_code& error) {
  std::vector<std::string> names;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const auto name = entry->path().filename().string();
    if (!name.starts_with('.')) names.push_back(name);
  }
  return names;
}

// Whether a run was begun in a folder that holds those names: it has a lock of ours, a status of
// ours or a whole checkpoint (a fork has nothing else yet). A process that was killed before it
// could write into the lock leaves an empty one alone.
bool has_traces_of_a_run(const std::filesystem::path& path, const std::vector<std::string>& names) {
  const auto text_of = [&](const char* name) {
    const auto file = path / name;
    const bool is_file = std::filesystem::is_regular_file(std::filesystem::symlink_status(file));
    return is_file ? read_file(file) : "";
  };
  const auto status = Json::parse(text_of("status.json"), nullptr, /*allow_exceptions=*/false);
  const auto lock = text_of(kLock);
  return (lock.starts_with(kOwner) && lock.find(kProcess) != std::string::npos) ||
         (names == std::vector<std::string>{kLock} && is_regular_file(path / kLock) &&
          lock.empty()) ||
         (status.is_object() && status.contains("state") && status.contains("step")) ||
         !list_checkpoints(path).empty();
}

// Makes the folder, and gives those that were made for it, the innermost first.
std::vector<std::filesystem::path> make_folders(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> made;
  for (auto folder = folder_path(path); !folder.empty() && !std::filesystem::exists(folder);
       folder = folder.parent_path())
    made.push_back(folder);
  std::filesystem::create_directories(path);
  return made;
}

}  // namespace

void RunFolder::require_usable(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) return;
  if (!std::filesystem::is_directory(status))
    throw InputError(path.string() + ": run.dir is no folder; set another one");
  auto foreign = names_in(path, error);
  if (error) throw InputError(path.string() + ": run.dir cannot be read: " + error.message());
  if (foreign.empty() || has_traces_of_a_run(path, foreign)) return;
  std::ranges::sort(foreign);
  const auto shown = std::min(foreign.size(), kNamesShown);
  const auto more = foreign.size() - shown;
  foreign.resize(shown);
  throw InputError(path.string() + ": run.dir is not empty, and no run folder: it holds " +
                   join(foreign, ", ") +
                   (more > 0 ? " and " + std::to_string(more) + " more" : "") +
                   ". A run would write over what lies there; set run.dir to a new folder");
}

RunFolder::RunFolder(std::filesystem::path path, Role role) : path_(std::move(path)) {
  if (role == Role::follower) return;
  require_usable(path_);
  try {
    made_folders_ = make_folders(path_);
    lock_.emplace(path_ / kLock);
  } catch (const std::exception& error) {
    remove_if_unused();
    throw InputError(path_.string() + ": run.dir cannot be used: " + error.what());
  }
  if (!lock_->try_to_take()) {
    throw InputError(path_.string() + ": another process trains in this run.dir (" +
                     read_file(path_ / kLock) + "); wait for it, stop it, or set another run.dir");
  }
  const std::string owner = kOwner + host_name() + kProcess + std::to_string(::getpid());
  const int lock = lock_->descriptor();
  if (::ftruncate(lock, 0) != 0 || ::pwrite(lock, owner.data(), owner.size(), 0) < 0) {
    const std::string reason = std::strerror(errno);
    remove_if_unused();
    throw RunError((path_ / kLock).string() + ": cannot write it: " + reason);
  }
}

RunFolder::~RunFolder() { remove_if_unused(); }

// A start that was refused before it wrote anything leaves what it found.
void RunFolder::remove_if_unused() {
  std::error_code ignored;
  if (lock_ && lock_->made_file()) {
    if (names_in(path_, ignored) != std::vector<std::string>{kLock}) return;
    std::filesystem::remove(path_ / kLock, ignored);
  }
  for (const auto& folder : made_folders_) std::filesystem::remove(folder, ignored);
}

void RunFolder::describe(const Config& config) const {
  write_file_atomically(path_ / "config.yaml", to_yaml(config));
  for (const auto& [name, bytes] : read_tokenizer_files(config.data.tokenizer))
    write_file_atomically(path_ / name, bytes);
  const Json build = {{"version", kVersion},      {"commit", kCommit},      {"compiler", kCompiler},
                      {"build_type", kBuildType}, {"torch", kTorchVersion}, {"cuda", kCudaEnabled}};
  write_file_atomically(path_ / "build.json", json_text(build, 2));
}

void RunFolder::add_start(const RunStart& start) const {
  const Json row = {{"date", utc_text(std::time(nullptr))},
                    {"step", start.step},
                    {"ranks", start.ranks},
                    {"host", host_name()},
                    {"machine", machine_name()},
                    {"version", kVersion},
                    {"commit", kCommit},
                    {"torch", kTorchVersion},
                    {"changes", start.changes}};
  BestEffort("starts.jsonl", "this start is not in it").attempt([&] {
    RecordFile file(path_ / "starts.jsonl");
    file.append(json_text(row) + "\n");
    if (const auto problem = file.finish(); !problem.empty()) throw RunError(problem);
  });
}

void RunFolder::remove_partial_files() const {
  const auto remove_from = [](const std::filesystem::path& folder, const auto& is_ours) {
    std::error_code error;
    for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error)) {
      const auto name = entry->path().filename().string();
      const auto whole = name_of_partial(name);
      const bool is_file = std::filesystem::is_regular_file(entry->symlink_status());
      if (is_file && (whole ? is_ours(*whole) : is_claim(name)))
        std::filesystem::remove(entry->path());
    }
  };
  remove_from(path_, [](const std::string& name) {
    return std::ranges::find(kWrittenWhole, name) != kWrittenWhole.end();
  });
  remove_from(path_ / "samples", [](const std::string& name) {
    const auto checkpoint = checkpoint_name(name);
    return checkpoint && checkpoint->ending == ".txt";
  });
  remove_from(path_ / kTensorboardFolder, is_event_file);
}

void RunFolder::set_status(RunState state, std::int64_t step, const std::string& reason,
                           const std::filesystem::path& checkpoint) {
  Json status = {{"state", name_of(state)}, {"step", step}, {"reason", reason}};
  status["checkpoint"] = checkpoint.empty() ? Json(nullptr) : Json(checkpoint.string());
  status["updated"] = utc_text(std::time(nullptr));
  unwritten_status_ = json_text(status, 2);
  retry_status();
}

void RunFolder::retry_status() {
  if (unwritten_status_.empty()) return;
  const auto write = [&] { write_file_atomically(path_ / "status.json", unwritten_status_); };
  if (status_writes_.attempt(write)) unwritten_status_.clear();
}

bool owner_is_gone(const std::filesystem::path& run) {
  std::ifstream file(run / kLock, std::ios::binary);
  const std::string owner{std::istreambuf_iterator<char>(file), {}};
  const auto process = owner.rfind(kProcess);
  if (process == std::string::npos || owner.substr(0, process) != kOwner + host_name())
    return false;
  const auto number = std::atoi(owner.c_str() + process + std::strlen(kProcess));
  return number > 0 && ::kill(number, 0) != 0 && errno == ESRCH;
}

}  // namespace zebra
