#include "base/line_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace zebra {
namespace {

std::int64_t lines_in(std::string_view text) { return std::count(text.begin(), text.end(), '\n'); }

std::string lines_text(std::int64_t lines) {
  return lines == 1 ? "1 line" : std::to_string(lines) + " lines";
}

}  // namespace

LineFile::LineFile(std::filesystem::path path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (descriptor_ < 0)
    throw RunError(path_.string() + ": cannot open it to append to it: " + std::strerror(errno));
}

LineFile::~LineFile() { ::close(descriptor_); }

std::string LineFile::append(std::string_view line) {
  if (waiting_.size() + line.size() < kMostBytes) {
    waiting_.append(line) += '\n';
  } else {
    ++lost_;
  }
  return retry();
}

std::string LineFile::retry() {
  const std::string fault = drain();
  const bool was_failing = std::exchange(is_failing_, !fault.empty());
  if (is_failing_ == was_failing) return "";
  if (is_failing_) {
    return path_.string() + ": cannot be written: " + fault +
           "; its lines are kept in memory and tried again";
  }
  const auto lost = std::exchange(lost_, 0);
  return path_.string() + ": can be written again; " +
         (lost == 0 ? "no line is" : lines_text(lost) + (lost == 1 ? " is" : " are")) + " lost";
}

std::string LineFile::finish() {
  const std::string fault = drain();
  const auto lost = std::exchange(lost_, 0) + lines_in(waiting_);
  waiting_.clear();
  if (lost == 0) return "";
  return path_.string() + ": " + lines_text(lost) + (lost == 1 ? " is" : " are") + " lost" +
         (fault.empty() ? "" : ", it cannot be written: " + fault);
}

// Why something waits on; empty when all is written. What is written of a line is not written
// again: the rest of it follows.
std::string LineFile::drain() {
  std::size_t done = 0;
  std::string fault;
  while (fault.empty() && done < waiting_.size()) {
    const ssize_t count = ::write(descriptor_, waiting_.data() + done, waiting_.size() - done);
    if (count >= 0) {
      done += static_cast<std::size_t>(count);
    } else if (errno != EINTR) {
      fault = std::strerror(errno);
    }
  }
  lines_written_ += lines_in(std::string_view(waiting_).substr(0, done));
  waiting_.erase(0, done);
  return fault;
}

void LineFile::flush() const {
  if (::fsync(descriptor_) != 0)
    throw RunError(path_.string() + ": cannot flush it to the disk: " + std::strerror(errno));
}

}  // namespace zebra
