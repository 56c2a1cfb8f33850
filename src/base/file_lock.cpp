#include "base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/log.h"

namespace zebra {

FileLock::FileLock(std::filesystem::path path) : path_(std::move(path)) { open(); }

FileLock::~FileLock() { ::close(descriptor_); }

void FileLock::open() {
  constexpr int kFlags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
  descriptor_ = ::open(path_.c_str(), kFlags | O_EXCL, 0644);
  made_file_ = descriptor_ >= 0;
  if (!made_file_ && errno == EEXIST) descriptor_ = ::open(path_.c_str(), kFlags, 0644);
  if (descriptor_ >= 0) return;
  throw RunError(path_.string() + ": " +
                 (errno == ELOOP ? "is a link, which a lock does not follow; remove it"
                                 : std::string("cannot open it: ") + std::strerror(errno)));
}

// A process that ends without having begun removes the file that it made: whoever opened that one
// before holds a lock that nobody else will see.
bool FileLock::is_at_path() const {
  struct stat own {
  }, at_path{};
  return ::fstat(descriptor_, &own) == 0 && ::lstat(path_.c_str(), &at_path) == 0 &&
         own.st_dev == at_path.st_dev && own.st_ino == at_path.st_ino;
}

bool FileLock::try_to_take() {
  while (!is_held_) {
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK) return false;
      log_warning(path_.string() + ": no lock, this file system has none (" + std::strerror(errno) +
                  "): see to it that no other process works here. Lustre has them with its mount "
                  "option flock, NFS with its lock service");
    }
    is_held_ = is_at_path();
    if (is_held_) break;
    ::close(descriptor_);
    open();
  }
  return true;
}

}  // namespace zebra
