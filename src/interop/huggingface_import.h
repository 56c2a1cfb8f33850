#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors.h"
#include "config/config.h"

namespace zebra {

/// A HuggingFace folder that fits a Zebra model, as it will be written. No weight is in memory
/// twice: tensors are views of the mapped files, in the type in which they are stored.
struct HuggingFaceImport {
  std::string model_type;           ///< as config.json has it
  std::filesystem::path output;     ///< absolute
  std::filesystem::path tokenizer;  ///< a SentencePiece model or a tokenizer.json
  Config config;                    ///< resolved; train.max_steps is 0
  std::vector<std::unique_ptr<SafetensorsFile>> files;
  std::vector<CheckpointTensor> tensors;  ///< of the model, in the order of its units
  std::int64_t parameters = 0;
  std::uint64_t bytes = 0;                      ///< of all tensors as stored
  std::vector<torch::ScalarType> stored_types;  ///< each once
};

/// Reads and checks `folder`: config.json; model.safetensors, or model.safetensors.index.json and
/// the files that it names; tokenizer.model or else tokenizer.json, or `tokenizer` instead. Throws
/// one InputError with
/// every problem: keys that are unknown, contradictory or change the mathematics, tensors that are
/// missing, superfluous or of another shape or type, a tokenizer that does not fit, an `output`
/// that exists. Where all else is right, every weight is looked at, and those that are NaN or
/// infinite are refused by name and place. `ignored_keys` of config.json are read as if they were
/// not there; unknown ones that are null or false pass with a warning. Sinks that are nothing
/// beside any score (kIdleSink) are left out where a whole kind of layers has them.
HuggingFaceImport read_huggingface_folder(const std::filesystem::path& folder,
                                          const std::optional<std::filesystem::path>& tokenizer,
                                          const std::filesystem::path& output,
                                          const std::vector<std::string>& ignored_keys = {});

/// Writes the checkpoint folder, one tensor at a time, with a line of progress on standard error.
/// Throws RunError; then the folder does not exist.
void write_imported_checkpoint(const HuggingFaceImport& imported);

}  // namespace zebra
