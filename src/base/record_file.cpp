#include "base/record_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace zebra {

RecordFile::RecordFile(std::filesystem::path path, std::string noun)
    : path_(std::move(path)), noun_(std::move(noun)) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (descriptor_ < 0)
    throw RunError(path_.string() + ": cannot open it to append to it: " + std::strerror(errno));
}

RecordFile::~RecordFile() { ::close(descriptor_); }

std::string RecordFile::append(std::string_view record) {
  if (waiting_.size() + record.size() < kMostBytes) {
    waiting_.append(record);
    waiting_sizes_.push_back(record.size());
  } else {
    ++lost_;
  }
  return retry();
}

std::string RecordFile::retry() {
  const std::string fault = drain();
  const bool was_failing = std::exchange(is_failing_, !fault.empty());
  if (is_failing_ == was_failing) return "";
  if (is_failing_) {
    return path_.string() + ": cannot be written: " + fault + "; its " + noun_ +
           "s are kept in memory and tried again";
  }
  const auto lost = std::exchange(lost_, 0);
  return path_.string() + ": can be written again; " +
         (lost == 0 ? "no " + noun_ + " is" : count_text(lost) + (lost == 1 ? " is" : " are")) +
         " lost";
}

std::string RecordFile::finish() {
  const std::string fault = drain();
  const auto lost = std::exchange(lost_, 0) + static_cast<std::int64_t>(waiting_sizes_.size());
  waiting_.clear();
  waiting_sizes_.clear();
  if (lost == 0) return "";
  return path_.string() + ": " + count_text(lost) + (lost == 1 ? " is" : " are") + " lost" +
         (fault.empty() ? "" : ", it cannot be written: " + fault);
}

// Why something waits on; empty when all is written. What is written of a record is not written
// again: the rest of it follows.
std::string RecordFile::drain() {
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
  waiting_.erase(0, done);
  while (!waiting_sizes_.empty() && done >= waiting_sizes_.front()) {
    done -= waiting_sizes_.front();
    waiting_sizes_.pop_front();
    ++records_written_;
  }
  if (done > 0) waiting_sizes_.front() -= done;
  return fault;
}

std::string RecordFile::count_text(std::int64_t records) const {
  return std::to_string(records) + " " + noun_ + (records == 1 ? "" : "s");
}

void RecordFile::flush() const {
  if (::fsync(descriptor_) != 0)
    throw RunError(path_.string() + ": cannot flush it to the disk: " + std::strerror(errno));
}

}  // namespace zebra
