#include "checkpoint/manifest.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <limits>
#include <optional>
#include <string_view>

#include "base/json_reader.h"
#include "checkpoint/safetensors_header.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "zebra-checkpoint";
constexpr std::string_view kHashKey = "\"hash\": \"";
constexpr std::size_t kHashDigits = 32;
constexpr std::string_view kEnding = "\"\n}\n";
constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();

// Checks the self-hash; the reason why the text is not whole, or nothing.
std::string hash_fault(const std::string& text) {
  constexpr std::size_t kTail = kHashDigits + kEnding.size();
  if (text.size() < kTail + kHashKey.size() || !text.ends_with(kEnding) ||
      text.compare(text.size() - kTail - kHashKey.size(), kHashKey.size(), kHashKey) != 0) {
    return "it does not end with its hash (cut off?)";
  }
  const std::string digest = text.substr(text.size() - kTail, kHashDigits);
  std::string rest = text.substr(0, text.size() - kTail);
  rest += kEnding;
  return hash_of(rest) == digest ? "" : "its content does not match its hash";
}

bool is_file_name(const std::string& name) {
  const auto is_odd = [](char c) { return c == '/' || static_cast<unsigned char>(c) < 0x20; };
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name != Manifest::kFileName && std::none_of(name.begin(), name.end(), is_odd);
}

bool is_hash(const std::string& text) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  return text.size() == kHashDigits && std::all_of(text.begin(), text.end(), is_digit);
}

enum class Extent { whole, shard };

/// Reads the members of its version and collects what is wrong with them.
class Reader {
 public:
  Reader(const Json& json, std::int64_t version, Extent extent)
      : json_(json), version_(version), extent_(extent) {}

  Manifest read() {
    Manifest manifest;
    if (const auto* step = member("step")) {
      const auto count = count_of<std::int64_t>(*step);
      if (!count) problems_.add("step is not an integer from 0");
      manifest.step = count.value_or(0);
    }
    if (const auto* training = member("training")) {
      if (!training->is_object() && !training->is_null())
        problems_.add("training is neither an object nor null");
      manifest.training = *training;
    }
    if (const auto* files = object("files")) {
      for (const auto& [name, record] : files->items()) read_file(name, record, manifest);
    }
    if (const auto* tensors = object("tensors")) {
      for (const auto& [name, record] : tensors->items()) read_tensor(name, record, manifest);
    }
    if (problems_.empty()) check_shards(manifest);
    return manifest;
  }

  const std::vector<std::string>& problems() const { return problems_.all(); }

 private:
  const Json* member(const char* name) {
    const auto* found = member_of(json_, name);
    if (found == nullptr) problems_.add(std::string("it has no ") + name);
    return found;
  }

  const Json* object(const char* name) {
    const auto* value = member(name);
    if (value == nullptr || value->is_object()) return value;
    problems_.add(std::string(name) + " is not an object");
    return nullptr;
  }

  void read_file(const std::string& name, const Json& record, Manifest& manifest) {
    const std::string file = "file " + quoted_text(name);
    if (!is_file_name(name)) problems_.add(file + " is not the name of a file in the folder");
    const auto *size = member_of(record, "size"), *hash = member_of(record, "hash");
    if (size == nullptr || !count_of<std::int64_t>(*size))
      return problems_.add(file + " has no size that is an integer from 0");
    if (hash == nullptr || !hash->is_string() || !is_hash(hash->get<std::string>()))
      return problems_.add(file + " has no hash of 32 hexadecimal digits");
    manifest.files[name] = {size->get<std::uint64_t>(), hash->get<std::string>()};
  }

  void read_tensor(const std::string& name, const Json& json, Manifest& manifest) {
    const std::string tensor = "tensor " + quoted_text(name);
    const auto *shape = member_of(json, "shape"), *fragments = member_of(json, "fragments");
    TensorRecord record;
    const auto sizes = shape == nullptr ? std::nullopt : counts_of<std::uint64_t>(*shape);
    const auto elements = sizes ? product_of_sizes(*sizes, kLargest) : std::nullopt;
    if (!elements) return problems_.add(tensor + " has no shape of sizes from 0 that fit");
    record.shape.assign(sizes->begin(), sizes->end());
    if (fragments == nullptr || !fragments->is_array())
      return problems_.add(tensor + " has no list of fragments");
    for (const auto& fragment : *fragments) {
      const auto numbers = counts_of<std::int64_t>(fragment);
      if (!numbers || numbers->size() != 3)
        return problems_.add(tensor + " has a fragment that is not [part, begin, end]");
      record.fragments.push_back({numbers->at(0), numbers->at(1), numbers->at(2)});
    }
    if (!fit(record.fragments, static_cast<std::int64_t>(*elements))) {
      return problems_.add(tensor + " has fragments that do not tile its " +
                           std::to_string(*elements) + " elements");
    }
    if (version_ > 1 && !read_groups(json, record))
      return problems_.add(tensor + " has no list of groups with \"weights\" among them");
    manifest.tensors[name] = std::move(record);
  }

  static bool read_groups(const Json& json, TensorRecord& record) {
    const auto* groups = member_of(json, "groups");
    if (groups == nullptr || !groups->is_array()) return false;
    for (const auto& group : *groups) {
      if (!group.is_string()) return false;
      record.groups.insert(group.get<std::string>());
    }
    return record.groups.contains("weights");
  }

  bool fit(const std::vector<Fragment>& fragments, std::int64_t elements) const {
    std::int64_t filled = 0;
    for (const auto& fragment : fragments) {
      const bool follows =
          fragment.begin == filled || (extent_ == Extent::shard && fragment.begin > filled);
      if (!follows || fragment.end <= fragment.begin || fragment.end > elements) return false;
      filled = fragment.end;
    }
    return filled == elements || extent_ == Extent::shard;
  }

  void check_shards(const Manifest& manifest) {
    auto groups = shards_by_group(manifest);
    groups["weights"];  // a model is never without
    for (const auto& [name, record] : manifest.tensors)
      for (const auto& group : record.groups) groups[group];
    for (const auto& [group, stored] : groups) {
      for (const auto shard : shards_with(manifest, group)) {
        if (!stored.contains(shard)) {
          problems_.add("it does not name " + shard_file_name(group, shard) +
                        ", where fragments of its tensors lie");
        }
      }
    }
  }

  static std::set<std::int64_t> shards_with(const Manifest& manifest, const std::string& group) {
    std::set<std::int64_t> shards;
    for (const auto& [name, record] : manifest.tensors) {
      if (!record.is_in(group)) continue;
      for (const auto& fragment : record.fragments) shards.insert(fragment.shard);
    }
    return shards;
  }

  const Json& json_;
  std::int64_t version_;
  Extent extent_;
  Problems problems_;
};

Manifest parse(const std::string& text, const std::filesystem::path& path, Extent extent) {
  const auto damaged = [&](const std::string& what) {
    return CheckpointDamage(path.string() + ": is damaged: " + what);
  };
  if (const auto fault = hash_fault(text); !fault.empty()) throw damaged(fault);
  if (const auto fault = json_object_fault(text); !fault.empty()) throw damaged(fault);
  const auto json = Json::parse(text);
  if (json.value("format", Json()) != kFormat)
    throw InputError(path.string() + ": is not the manifest of a Zebra checkpoint");
  const auto version = count_of<std::int64_t>(json.value("format_version", Json()));
  if (!version || *version < 1) throw damaged("format_version is not an integer from 1");
  if (*version > Manifest::kFormatVersion) {
    throw InputError(path.string() + ": has format version " + std::to_string(*version) +
                     ", this build reads up to " + std::to_string(Manifest::kFormatVersion) +
                     "; use a newer build");
  }
  Reader reader(json, *version, extent);
  auto manifest = reader.read();
  if (!reader.problems().empty()) throw damaged(join(reader.problems(), "; "));
  return manifest;
}

}  // namespace

std::string shard_file_name(const std::string& group, std::int64_t shard) {
  char number[32];
  std::snprintf(number, sizeof number, "%05lld", static_cast<long long>(shard));
  return group + "-" + number + ".safetensors";
}

std::string fragment_key(const std::string& name, std::int64_t begin, std::int64_t end) {
  return name + "@" + std::to_string(begin) + ":" + std::to_string(end);
}

FileRecord write_recorded_file(const std::filesystem::path& path, const std::string& text) {
  FileWriter writer(path);
  writer.write(text);
  writer.commit();
  return {text.size(), hash_of(text)};
}

std::map<std::string, std::set<std::int64_t>> shards_by_group(const Manifest& manifest) {
  std::map<std::string, std::set<std::int64_t>> groups;
  for (const auto& [file, record] : manifest.files) {
    const auto dash = file.rfind('-');
    if (dash == std::string::npos) continue;
    const std::string group = file.substr(0, dash);
    std::int64_t shard = 0;
    std::from_chars(file.data() + dash + 1, file.data() + file.size(), shard);
    if (shard_file_name(group, shard) == file) groups[group].insert(shard);
  }
  return groups;
}

Json to_json(const TensorRecord& record) {
  Json fragments = Json::array();
  for (const auto& fragment : record.fragments)
    fragments.push_back({fragment.shard, fragment.begin, fragment.end});
  Json json = {{"shape", record.shape}, {"fragments", fragments}};
  if (!record.groups.empty()) json["groups"] = record.groups;
  return json;
}

int Manifest::format_version() const {
  const bool differ = std::ranges::any_of(
      tensors, [](const auto& tensor) { return !tensor.second.groups.empty(); });
  return differ ? 2 : 1;
}

void Manifest::drop_equal_groups() {
  const bool are_equal = std::ranges::all_of(tensors, [&](const auto& tensor) {
    return tensor.second.groups == tensors.begin()->second.groups;
  });
  if (!are_equal) return;
  for (auto& [name, record] : tensors) record.groups.clear();
}

std::string Manifest::to_text() const {
  Json json = {{"format", kFormat}, {"format_version", format_version()}, {"step", step}};
  json["training"] = training;
  json["files"] = Json::object();
  for (const auto& [name, record] : files)
    json["files"][name] = {{"size", record.size}, {"hash", record.hash}};
  json["tensors"] = Json::object();
  for (const auto& [name, record] : tensors) json["tensors"][name] = to_json(record);

  // Where a fork comes from is a path, which need not be UTF-8.
  std::string text = json.dump(1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
  text.erase(text.size() - 2);  // "\n}": the hash becomes the last member
  text.append(",\n ").append(kHashKey);
  const std::string digest = hash_of(text + std::string(kEnding));
  return text.append(digest).append(kEnding);
}

Manifest Manifest::of(const std::filesystem::path& folder) {
  const auto path = folder / kFileName;
  return from_text(read_file(path), path);
}

Manifest Manifest::from_text(const std::string& text, const std::filesystem::path& path) {
  return parse(text, path, Extent::whole);
}

Manifest Manifest::from_text_of_shard(const std::string& text, const std::filesystem::path& path) {
  return parse(text, path, Extent::shard);
}

}  // namespace zebra
