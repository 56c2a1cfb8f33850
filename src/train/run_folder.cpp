#include "train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/build_info.h"
#include "base/error.h"
#include "base/file.h"
#include "base/system.h"
#include "config/load.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

const char* name_of(RunState state) {
  static constexpr const char* kNames[] = {"running", "stopped", "finished", "failed"};
  return kNames[static_cast<std::size_t>(state)];
}

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

}  // namespace

RunFolder::RunFolder(std::filesystem::path path, Role role) : path_(std::move(path)) {
  if (role == Role::follower) return;
  std::error_code error;
  std::filesystem::create_directories(path_, error);
  if (error) throw InputError(path_.string() + ": run.dir cannot be created: " + error.message());
  const auto lock_path = path_ / "lock";
  lock_ = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0)
    throw InputError(path_.string() + ": run.dir is not writable: " + std::strerror(errno));
  // The kernel releases the lock when the process ends, however it ends; the text is only for the
  // message below.
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    const std::string owner = read_file(lock_path);
    ::close(lock_);
    throw InputError(path_.string() + ": another process trains in this run.dir (" + owner +
                     "); wait for it, stop it, or set another run.dir");
  }
  const std::string owner = "host " + host_name() + ", process " + std::to_string(::getpid());
  if (::ftruncate(lock_, 0) != 0 || ::pwrite(lock_, owner.data(), owner.size(), 0) < 0) {
    throw RunError(lock_path.string() + ": cannot write it: " + std::strerror(errno));
  }
}

RunFolder::~RunFolder() {
  if (lock_ < 0) return;
  // A run that was refused before it wrote anything leaves no folder behind.
  std::error_code ignored;
  const std::filesystem::directory_iterator entries(path_, ignored);
  if (!ignored && std::distance(begin(entries), end(entries)) == 1)
    std::filesystem::remove_all(path_, ignored);
  ::close(lock_);
}

void RunFolder::describe(const Config& config) const {
  write_file_atomically(path_ / "config.yaml", to_yaml(config));
  write_file_atomically(path_ / "tokenizer.model", read_file(config.data.tokenizer));
  const Json build = {{"version", kVersion},      {"commit", kCommit},      {"compiler", kCompiler},
                      {"build_type", kBuildType}, {"torch", kTorchVersion}, {"cuda", kCudaEnabled}};
  write_file_atomically(path_ / "build.json", build.dump(2) + "\n");
}

void RunFolder::remove_partial_files() const {
  for (const auto& entry : std::filesystem::directory_iterator(path_)) {
    const bool partial = entry.path().filename().string().find(".partial-") != std::string::npos;
    if (partial && entry.is_regular_file()) std::filesystem::remove(entry.path());
  }
}

void RunFolder::set_status(RunState state, std::int64_t step, const std::string& reason,
                           const std::filesystem::path& checkpoint) {
  Json status = {{"state", name_of(state)}, {"step", step}, {"reason", reason}};
  status["checkpoint"] = checkpoint.empty() ? Json(nullptr) : Json(checkpoint.string());
  status["updated"] = utc_text(std::time(nullptr));
  // A path need not be UTF-8, which JSON is.
  unwritten_status_ = status.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  retry_status();
}

void RunFolder::retry_status() {
  if (unwritten_status_.empty()) return;
  const auto write = [&] { write_file_atomically(path_ / "status.json", unwritten_status_); };
  if (status_writes_.attempt(write)) unwritten_status_.clear();
}

}  // namespace zebra
