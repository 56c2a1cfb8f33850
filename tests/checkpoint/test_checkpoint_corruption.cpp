#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include <cstring>
#include <random>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/verification.h"
#include "config/load.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

constexpr const char* kGroups[] = {"weights", "exp_avg", "exp_avg_sq"};
constexpr int kPlaces = 600;
constexpr std::uint64_t kSeed = 20240229;

/// A tensor that two ranks hold: elements [0, split) and the rest.
struct SplitTensor {
  NamedTensor tensor;
  std::int64_t split;
};

std::vector<SplitTensor> tensors() {
  return {{{"model.embed_tokens.weight", {13, 8}}, 64},
          {{"model.layers.0.mlp.down_proj.weight", {8, 12}}, 0},
          {{"model.layers.0.input_layernorm.weight", {8}}, 8},
          {{"model.norm.weight", {8}}, 3}};
}

// What rank 0 or 1 writes.
CheckpointContent content_of_rank(int rank, const TemporaryFolder& folder) {
  const auto config = resolve(
      parse_run_file("run: {dir: " + (folder / "run").string() +
                         "}\nmodel: {preset: zebra-tiny}\n"
                         "data: {tokenizer: tok.model, train: [{path: t}], sequence_length: 64}\n"
                         "train: {max_steps: 3, global_batch_size: 2}\n",
                     "c.yaml"),
      300);
  CheckpointContent content{7,
                            config,
                            {{"tokenizer.model", "stands for a tokenizer"}},
                            {{"step", 7}, {"seconds", 1.25}, {"tokens", 896}},
                            {}};
  for (const std::string group : kGroups) {
    std::vector<CheckpointTensor> own;
    for (const auto& [tensor, split] : tensors()) {
      const std::int64_t begin = rank == 0 ? 0 : split, end = rank == 0 ? split : tensor.numel();
      if (begin < end) own.push_back({tensor, begin, torch::randn({end - begin})});
    }
    content.groups.emplace_back(group, own);
  }
  return content;
}

std::filesystem::path write_checkpoint_of_two_ranks(const TemporaryFolder& folder) {
  const auto checkpoint = folder / "checkpoint";
  const auto store = c10::make_intrusive<c10d::HashStore>();
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < 2; ++rank) {
    ranks.emplace_back([&, rank] {
      TextCollectives texts(store, rank, 2);
      write_checkpoint(checkpoint, content_of_rank(rank, folder), texts);
    });
  }
  for (auto& rank : ranks) rank.join();
  return checkpoint;
}

void load(const std::filesystem::path& folder) {
  Checkpoint checkpoint(folder);
  checkpoint.config();
  for (const std::string group : kGroups) {
    for (const auto& [tensor, split] : tensors())
      checkpoint.read(group, tensor, 0, torch::empty({tensor.numel()}));
  }
}

// What loading says; empty when it accepts. Any other exception than an InputError fails the test.
std::string refusal_of_checkpoint(const std::filesystem::path& folder) {
  try {
    load(folder);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

// In place: some file systems flush a file that was emptied before it was written anew.
void overwrite(const std::filesystem::path& path, const std::string& content) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file << content;
  file.close();
  std::filesystem::resize_file(path, content.size());
}

std::vector<std::string> files_of(const std::filesystem::path& folder) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    files.push_back(entry.path().filename().string());
  std::sort(files.begin(), files.end());
  REQUIRE(files.size() == 9);  // six parts, the configuration, the tokenizer and the manifest
  return files;
}

void require_detected(const std::filesystem::path& folder, const std::string& file) {
  const auto faults = checkpoint_faults(folder);
  REQUIRE_FALSE(faults.empty());
  REQUIRE_THAT(join(faults, "\n"), Catch::Matchers::Contains((folder / file).string()));
  REQUIRE_THAT(refusal_of_checkpoint(folder), Catch::Matchers::Contains((folder / file).string()));
}

/// A change of one byte of one file.
struct Change {
  std::string file;
  std::size_t place;
  char mask;  // the bits that turn over

  std::string apply(std::string content) const {
    content[place] = static_cast<char>(content[place] ^ mask);
    return content;
  }
};

std::ostream& operator<<(std::ostream& out, const Change& change) {
  return out << change.file << ", byte " << change.place << ", bits "
             << static_cast<int>(static_cast<unsigned char>(change.mask)) << "; seed " << kSeed;
}

// Every file gets as many changes, every other change turns a single bit.
std::vector<Change> random_changes(const std::filesystem::path& folder) {
  const auto files = files_of(folder);
  std::mt19937_64 random(kSeed);
  std::vector<Change> changes;
  for (std::size_t i = 0; i < kPlaces; ++i) {
    const auto& file = files[i % files.size()];
    const auto mask = i / files.size() % 2 == 0 ? 1U << random() % 8 : 1 + random() % 255;
    changes.push_back(
        {file, random() % std::filesystem::file_size(folder / file), static_cast<char>(mask)});
  }
  return changes;
}

/// The text of a manifest whose last 32 digits are made to fit the rest.
std::string with_right_hash(std::string text) {
  const std::string ending = "\"\n}\n";
  if (text.size() < 32 + ending.size()) return text;
  const std::size_t at = text.size() - ending.size() - 32;
  return text.replace(at, 32, hash_of(text.substr(0, at) + text.substr(at + 32)));
}

/// The text of a manifest that takes the size and content of `file` for right.
std::string manifest_that_trusts(std::string text, const std::string& file,
                                 const std::string& content) {
  const auto record = text.find("\"" + file + "\": {");
  const auto size = text.find("\"size\": ", record) + std::strlen("\"size\": ");
  text.replace(size, text.find(',', size) - size, std::to_string(content.size()));
  const auto hash = text.find("\"hash\": \"", record) + std::strlen("\"hash\": \"");
  return with_right_hash(text.replace(hash, 32, hash_of(content)));
}

TEST_CASE("a changed byte anywhere in a checkpoint is found by verifying and by loading") {
  const TemporaryFolder folder;
  const auto checkpoint = write_checkpoint_of_two_ranks(folder);
  REQUIRE(checkpoint_faults(checkpoint).empty());
  REQUIRE(refusal_of_checkpoint(checkpoint).empty());
  for (const auto& change : random_changes(checkpoint)) {
    INFO(change);
    const auto path = checkpoint / change.file;
    const std::string original = read_file(path);
    overwrite(path, change.apply(original));
    require_detected(checkpoint, change.file);
    overwrite(path, original);
  }
  REQUIRE(checkpoint_faults(checkpoint).empty());
}

TEST_CASE("a file of a checkpoint that lost or won bytes is found by verifying and by loading") {
  const TemporaryFolder folder;
  const auto checkpoint = write_checkpoint_of_two_ranks(folder);
  for (const auto& file : files_of(checkpoint)) {
    const auto path = checkpoint / file;
    const std::string original = read_file(path);
    std::uint64_t header = 16;  // any place, where the file is not a safetensors file
    if (file.ends_with(".safetensors")) {
      std::memcpy(&header, original.data(), sizeof header);
      header += sizeof header;
    }
    const auto size = original.size();
    for (const auto length :
         {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{8}, header - 1, header,
          header + 1, size / 2, size - 1, size + 1, size + 4096}) {
      INFO(file << ", " << length << " of " << size << " bytes");
      std::string content = original;
      content.resize(length);
      overwrite(path, content);
      require_detected(checkpoint, file);
    }
    overwrite(path, original);
  }
  REQUIRE(checkpoint_faults(checkpoint).empty());
}

// A writer with a fault of its own makes hashes that fit. Then a change may go unnoticed, where it
// only changes a number; it must neither crash nor end in anything but an InputError.
TEST_CASE("a changed byte with a hash that fits is accepted or refused, but harms nobody") {
  const TemporaryFolder folder;
  const auto checkpoint = write_checkpoint_of_two_ranks(folder);
  const auto manifest = checkpoint / Manifest::kFileName;
  const std::string original_manifest = read_file(manifest);
  int accepted = 0, refused = 0;
  for (const auto& change : random_changes(checkpoint)) {
    INFO(change);
    const auto path = checkpoint / change.file;
    const std::string original = read_file(path), changed = change.apply(original);
    overwrite(path, changed);
    overwrite(manifest, path == manifest
                            ? with_right_hash(changed)
                            : manifest_that_trusts(original_manifest, change.file, changed));
    REQUIRE_NOTHROW(refusal_of_checkpoint(checkpoint).empty() ? ++accepted : ++refused);
    try {
      checkpoint_faults(checkpoint);
    } catch (const InputError&) {
    }
    overwrite(path, original);
    overwrite(manifest, original_manifest);
  }
  // The test would be none if the repaired hashes never got it past the first check.
  REQUIRE(accepted > kPlaces / 4);
  REQUIRE(refused > kPlaces / 4);
}

TEST_CASE("a part whose header was cut or exchanged, with a hash that fits, is refused") {
  const TemporaryFolder folder;
  const auto checkpoint = write_checkpoint_of_two_ranks(folder);
  const auto manifest = checkpoint / Manifest::kFileName;
  const std::string text = read_file(manifest);
  const std::string file = "weights-00000.safetensors";
  const std::string original = read_file(checkpoint / file);
  const auto other = read_file(checkpoint / "weights-00001.safetensors");
  for (const auto& content : {std::string(), original.substr(0, 7), original.substr(0, 20),
                              original.substr(0, original.size() - 4), original + "1234", other}) {
    INFO(content.size() << " of " << original.size() << " bytes");
    overwrite(checkpoint / file, content);
    overwrite(manifest, manifest_that_trusts(text, file, content));
    require_detected(checkpoint, file);
  }
}

}  // namespace
}  // namespace zebra
