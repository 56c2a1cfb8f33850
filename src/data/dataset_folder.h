#pragma once

#include <filesystem>
#include <optional>

namespace zebra {

/// Whether `folder` holds a token dataset and nothing else, so that no stranger's file is ever
/// replaced or removed.
bool is_only_a_dataset(const std::filesystem::path& folder);

/// Where an interrupted replacement has left the dataset that belongs at `output`, if it has.
std::optional<std::filesystem::path> dataset_set_aside(const std::filesystem::path& output);

/// The folder that a token dataset is written into, OUTPUT.partial-PID beside the output, until it
/// takes the output's place. What processes that were killed have left there is removed, or put
/// back where it is all that is left of the output.
class DatasetFolder {
 public:
  /// Throws InputError when the output exists and may not be replaced: without `overwrite`, or when
  /// it is anything but a token dataset. Throws RunError when the folder cannot be made.
  DatasetFolder(std::filesystem::path output, bool overwrite);
  /// Removes what was not published.
  ~DatasetFolder();
  DatasetFolder(const DatasetFolder&) = delete;
  DatasetFolder& operator=(const DatasetFolder&) = delete;

  const std::filesystem::path& partial() const { return partial_; }

  /// Puts the folder in place, atomically. Where the file system cannot exchange two names, a
  /// dataset that is replaced is moved aside first.
  void publish();

 private:
  std::filesystem::path output_, partial_;
  bool overwrite_;
  int lock_ = -1;  // held while the folder is in use
  bool published_ = false;
};

}  // namespace zebra
