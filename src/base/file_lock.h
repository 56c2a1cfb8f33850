#pragma once

#include <filesystem>

namespace zebra {

/// A lock between processes, kept in a file. The kernel releases it when the last holder of its
/// descriptor has ended, however that happens; so also when a process died whose children still
/// work.
class FileLock {
 public:
  /// Opens the file, or makes it, and does not take the lock yet. A link is not followed. Throws
  /// RunError.
  explicit FileLock(std::filesystem::path path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  /// Takes the lock unless this object has it already; false when another process has it. A file
  /// system without locks must not keep anybody from working: that is said, and counts as taken.
  bool try_to_take();

  int descriptor() const { return descriptor_; }
  bool made_file() const { return made_file_; }

 private:
  void open();
  bool is_at_path() const;

  std::filesystem::path path_;
  int descriptor_ = -1;
  bool is_held_ = false, made_file_ = false;
};

}  // namespace zebra
