#include "checkpoint/verification.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/folder.h"
#include "checkpoint/safetensors.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;

constexpr std::int64_t kVerifiedStep = 40;

FileRecord write_recorded(const std::filesystem::path& path, const std::string& text) {
  write_text(path, text);
  return {text.size(), hash_of(text)};
}

FileRecord write_values(const std::filesystem::path& path, float value,
                        const std::vector<std::pair<std::string, std::int64_t>>& tensors) {
  std::vector<NamedValues> values;
  for (const auto& [key, elements] : tensors)
    values.push_back({key, torch::full({elements}, value)});
  return write_safetensors(path, values);
}

/// Tensor a [3, 4] in two fragments, b [7] and the scalar c in one, in two groups of two parts.
Manifest make_checkpoint(const std::filesystem::path& folder, float value = 1.0F) {
  std::filesystem::create_directories(folder);
  Manifest manifest;
  manifest.step = kVerifiedStep;
  manifest.training = {{"tokens", 5}};
  manifest.tensors = {{"a", {{3, 4}, {{0, 0, 5}, {1, 5, 12}}}},
                      {"b", {{7}, {{1, 0, 7}}}},
                      {"c", {{}, {{1, 0, 1}}}}};
  for (const std::string group : {"weights", "exp_avg"}) {
    const auto part = [&](std::int64_t number) { return shard_file_name(group, number); };
    manifest.files[part(0)] = write_values(folder / part(0), value, {{"a@0:5", 5}});
    manifest.files[part(1)] =
        write_values(folder / part(1), value, {{"a@5:12", 7}, {"b@0:7", 7}, {"c@0:1", 1}});
  }
  manifest.files["config.yaml"] = write_recorded(folder / "config.yaml", "run: {}\n");
  manifest.files["tokenizer.model"] = write_recorded(folder / "tokenizer.model", "pieces");
  write_text(folder / Manifest::kFileName, manifest.to_text());
  return manifest;
}

/// A checkpoint for one test.
struct Made {
  TemporaryFolder run;
  std::filesystem::path folder = checkpoint_folder(run.path(), kVerifiedStep);
  Manifest manifest = make_checkpoint(folder);

  /// As if the writer had meant it so: with the right hash.
  void rewrite(const std::function<void(Manifest&)>& change) {
    change(manifest);
    write_text(folder / Manifest::kFileName, manifest.to_text());
  }

  void require_one_fault(const std::string& file, const std::string& what) const {
    const auto faults = checkpoint_faults(folder);
    INFO(join(faults, "\n"));
    REQUIRE(faults.size() == 1);
    REQUIRE_THAT(faults.front(), Contains((folder / file).string() + ": ") && Contains(what));
  }
};

std::vector<std::string> file_names(const Manifest& manifest) {
  std::vector<std::string> names;
  for (const auto& [name, record] : manifest.files) names.push_back(name);
  return names;
}

TEST_CASE("a whole checkpoint has no faults, and files beside it are none") {
  const Made made;
  write_text(made.folder / "notes.txt", "mine");
  std::filesystem::create_directories(made.folder / "plots");
  std::vector<std::uint64_t> done;
  std::uint64_t total = 0, sum = 0;
  for (const auto& [name, record] : made.manifest.files) sum += record.size;
  REQUIRE(checkpoint_faults(made.folder, {}, [&](std::uint64_t bytes_done, std::uint64_t bytes) {
            done.push_back(bytes_done);
            total = bytes;
          }).empty());
  REQUIRE(checkpoint_size_faults(made.folder).empty());
  REQUIRE(total == sum);
  REQUIRE(done.back() == sum);
  REQUIRE(std::ranges::is_sorted(done));
}

TEST_CASE("a damaged file is named, and no other") {
  const Made made;
  const auto names = file_names(made.manifest);
  REQUIRE(names.size() == 6);
  const auto name = names[static_cast<std::size_t>(GENERATE(range(0, 6)))];
  const auto file = made.folder / name;
  const auto size = std::filesystem::file_size(file);

  SECTION("missing") {
    std::filesystem::remove(file);
    made.require_one_fault(name, "missing");
    REQUIRE(checkpoint_size_faults(made.folder).size() == 1);
  }
  SECTION("short") {
    std::filesystem::resize_file(file, size - 1);
    made.require_one_fault(name, "has " + std::to_string(size - 1) + " bytes");
    REQUIRE(checkpoint_size_faults(made.folder).size() == 1);
  }
  SECTION("empty") {
    std::filesystem::resize_file(file, 0);
    made.require_one_fault(name, "has 0 bytes");
  }
  SECTION("long") {
    std::filesystem::resize_file(file, size + 1);
    made.require_one_fault(name, "the manifest says " + std::to_string(size));
  }
  SECTION("changed") {
    flip_byte(file, GENERATE_COPY(std::uint64_t{0}, size / 2, size - 1));
    made.require_one_fault(name, "does not match the manifest's hash");
    REQUIRE(checkpoint_size_faults(made.folder).empty());
  }
  SECTION("a folder") {
    std::filesystem::remove(file);
    std::filesystem::create_directories(file);
    made.require_one_fault(name, "is no file");
  }
}

TEST_CASE("a manifest is damaged by any flipped bit, and by any cut") {
  const Made made;
  const auto path = made.folder / Manifest::kFileName;
  const auto text = read_file(path);
  const auto require_fault = [&](const std::string& damaged) {
    write_text(path, damaged);
    const auto faults = checkpoint_faults(made.folder);
    INFO(damaged);
    REQUIRE(faults.size() == 1);
    REQUIRE_THAT(faults.front(), Contains(path.string()));
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const int bit : {1, 2, 4, 8}) {  // of the version 1 they make 0, 3, 5 and 9
      auto damaged = text;
      damaged[i] = static_cast<char>(damaged[i] ^ bit);
      require_fault(damaged);
    }
  }
  for (std::size_t length = 0; length < text.size(); length += 7)
    require_fault(text.substr(0, length));
  std::filesystem::remove(path);
  made.require_one_fault(Manifest::kFileName, "missing");
}

TEST_CASE("a manifest that contradicts itself or the files") {
  Made made;
  const std::string parts = "weights-00001.safetensors";
  const auto fragments_of_a = [&](std::vector<Fragment> fragments) {
    made.rewrite([&](Manifest& manifest) { manifest.tensors["a"].fragments = fragments; });
  };

  SECTION("another step than the folder's name") {
    made.rewrite([](Manifest& manifest) { manifest.step = 50; });
    made.require_one_fault("manifest.json", "is of step 50, the folder's name says step 40");
    const auto elsewhere = made.run / "annealed";
    std::filesystem::rename(made.folder, elsewhere);
    REQUIRE(checkpoint_faults(elsewhere).empty());
  }
  SECTION("a tensor that is larger than its fragments") {
    made.rewrite([](Manifest& manifest) { manifest.tensors["b"].shape = {2, 4}; });
    made.require_one_fault("manifest.json", "tensor \"b\" has fragments that do not tile");
  }
  SECTION("shapes that cannot be") {
    made.rewrite([](Manifest& manifest) {
      manifest.tensors["a"].shape = {-3, -4};
      manifest.tensors["b"].shape = {13, 2837960626724546403};  // 7 modulo 2^64
    });
    made.require_one_fault("manifest.json", "tensor \"b\" has no shape");
  }
  SECTION("a fragment that no part holds, between others") {
    fragments_of_a({{0, 0, 5}, {0, 5, 6}, {1, 5, 12}});
    made.require_one_fault("manifest.json", "tensor \"a\" has fragments that do not tile");
  }
  SECTION("a gap") {
    fragments_of_a({{0, 0, 5}});
    made.require_one_fault("manifest.json", "tensor \"a\" has fragments that do not tile");
  }
  SECTION("fragments out of order") {
    fragments_of_a({{1, 5, 12}, {0, 0, 5}});
    made.require_one_fault("manifest.json", "tensor \"a\" has fragments that do not tile");
  }
  SECTION("keys that a part lacks") {
    made.rewrite([&](Manifest& manifest) {
      manifest.files[parts] = write_values(made.folder / parts, 1.0F, {{"a@5:12", 7}});
    });
    made.require_one_fault(parts, "lacks tensor b@0:7 and 1 more");
  }
  SECTION("a tensor of another size than its key") {
    made.rewrite([&](Manifest& manifest) {
      manifest.files[parts] =
          write_values(made.folder / parts, 1.0F, {{"a@5:12", 7}, {"b@0:7", 6}, {"c@0:1", 1}});
    });
    made.require_one_fault(parts, "b@0:7 has another size");
  }
  SECTION("a part that is no safetensors file") {
    made.rewrite([&](Manifest& manifest) {
      manifest.files[parts] = write_recorded(made.folder / parts, "12345678 and no header");
    });
    made.require_one_fault(parts, "not a whole safetensors file");
  }
  SECTION("a part that it does not name") {
    made.rewrite([&](Manifest& manifest) { manifest.files.erase(parts); });
    made.require_one_fault("manifest.json", "does not name " + parts);
  }
  SECTION("no parts at all") {
    made.rewrite([](Manifest& manifest) {
      std::erase_if(manifest.files, [](const auto& file) { return file.first.ends_with("rs"); });
    });
    made.require_one_fault("manifest.json", "does not name weights-00000.safetensors");
  }
}

TEST_CASE("the manifest of another checkpoint of the run is known as such") {
  const Made made;
  const auto other = checkpoint_folder(made.run.path(), 50);
  make_checkpoint(other, 2.0F);
  std::filesystem::copy_file(other / Manifest::kFileName, made.folder / Manifest::kFileName,
                             std::filesystem::copy_options::overwrite_existing);
  const auto faults = checkpoint_faults(made.folder);
  INFO(join(faults, "\n"));
  REQUIRE(faults.size() == 5);  // four parts; configuration and tokenizer are the same
  REQUIRE_THAT(faults.back(), Contains("probably that of another checkpoint"));
}

TEST_CASE("a newer format is no damage: it stops everything") {
  const Made made;
  const auto path = made.folder / Manifest::kFileName;
  auto text = read_file(path);
  const std::string version = "\"format_version\": 1";
  text.replace(text.find(version), version.size(), "\"format_version\": 2");
  const std::string ending = "\"\n}\n";
  const auto body = text.substr(0, text.size() - ending.size() - 32);
  write_text(path, body + hash_of(body + ending) + ending);
  REQUIRE_THROWS_AS(checkpoint_faults(made.folder), InputError);
  REQUIRE_THROWS_WITH(checkpoint_size_faults(made.folder), Contains("use a newer build"));
}

TEST_CASE("what cannot be read is no damage either") {
  const Made made;
  REQUIRE_THROWS_WITH(checkpoint_faults(made.run / "nowhere"), Contains("no such checkpoint"));
  const auto file = made.folder / GENERATE(as<std::string>{}, "manifest.json", "config.yaml");
  std::filesystem::remove(file);
  std::filesystem::create_symlink(file, file);  // which not even root can follow
  REQUIRE_THROWS_AS(checkpoint_faults(made.folder), InputError);
  REQUIRE_THROWS_WITH(checkpoint_faults(made.folder), Contains(file.string()));
}

TEST_CASE("ranks share the files: each is read by one, and the bytes are spread") {
  Made made;
  // 900, 500, 400, 300, 200 and 100 bytes for three ranks: 900; 500, 200 and 100; 400 and 300.
  made.rewrite([&](Manifest& manifest) {
    manifest.files.clear();
    manifest.tensors.clear();
    for (const int size : {100, 200, 300, 400, 500, 900}) {
      const std::string name = "file-" + std::to_string(size);
      manifest.files[name] = write_recorded(made.folder / name, std::string(size, 'x'));
    }
  });
  const auto names = file_names(made.manifest);
  for (const auto& name : names) flip_byte(made.folder / name, 50);
  std::vector<std::string> all;
  std::vector<std::uint64_t> loads;
  for (int rank = 0; rank < 3; ++rank) {
    std::uint64_t total = 0;
    const auto faults = checkpoint_faults(
        made.folder, {rank, 3}, [&](std::uint64_t, std::uint64_t bytes) { total = bytes; });
    all.insert(all.end(), faults.begin(), faults.end());
    loads.push_back(total);
  }
  REQUIRE(loads == std::vector<std::uint64_t>{900, 800, 700});
  REQUIRE(all.size() == names.size());
  for (const auto& name : names) REQUIRE_THAT(join(all, "\n"), Contains(name + ": "));
}

TEST_CASE("with several ranks the manifest's contradictions are reported once") {
  Made made;
  made.rewrite([](Manifest& manifest) { manifest.step = 50; });
  REQUIRE(checkpoint_faults(made.folder, {0, 2}).size() == 1);
  REQUIRE(checkpoint_faults(made.folder, {1, 2}).empty());
  std::filesystem::remove(made.folder / Manifest::kFileName);
  REQUIRE(checkpoint_faults(made.folder, {1, 2}).size() == 1);
}

TEST_CASE("a large file is hashed block by block") {
  const TemporaryFolder folder;
  std::string bytes((std::size_t{9} << 20) + 13, '\0');
  std::iota(bytes.begin(), bytes.end(), '\0');
  write_text(folder / "large", bytes);
  std::string seen;
  std::size_t largest = 0;
  const auto hash = hash_in_blocks(folder / "large", [&](std::string_view block) {
    seen += block;
    largest = std::max(largest, block.size());
  });
  REQUIRE(hash == hash_of(bytes));
  REQUIRE(seen == bytes);
  REQUIRE(largest < bytes.size() / 2);
  REQUIRE_THROWS_AS(hash_in_blocks(folder / "nowhere", [](std::string_view) {}), InputError);
  REQUIRE_THROWS_AS(hash_in_blocks(folder.path(), [](std::string_view) {}), InputError);
}

}  // namespace
}  // namespace zebra
