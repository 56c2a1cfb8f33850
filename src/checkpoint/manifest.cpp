#include "checkpoint/manifest.h"

#include <cstdio>

#include "base/error.h"
#include "base/hash.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "zebra-checkpoint";
constexpr const char* kHashKey = "\"hash\": \"";
constexpr std::size_t kHashDigits = 32;
constexpr const char* kEnding = "\"\n}\n";

Json to_json(const TensorRecord& record) {
  Json fragments = Json::array();
  for (const auto& fragment : record.fragments)
    fragments.push_back({fragment.part, fragment.begin, fragment.end});
  return {{"shape", record.shape}, {"fragments", fragments}};
}

TensorRecord tensor_record(const Json& json) {
  TensorRecord record;
  record.shape = json.at("shape").get<std::vector<std::int64_t>>();
  for (const auto& fragment : json.at("fragments")) {
    record.fragments.push_back({fragment.at(0).get<std::int64_t>(),
                                fragment.at(1).get<std::int64_t>(),
                                fragment.at(2).get<std::int64_t>()});
  }
  return record;
}

// Checks the self-hash; the reason why the text is not whole, or nothing.
std::string fault_of(const std::string& text) {
  const std::size_t tail = kHashDigits + std::string(kEnding).size();
  const std::string key = kHashKey;
  if (text.size() < tail + key.size() || !text.ends_with(kEnding) ||
      text.compare(text.size() - tail - key.size(), key.size(), key) != 0) {
    return "it does not end with its hash (cut off?)";
  }
  const std::string digest = text.substr(text.size() - tail, kHashDigits);
  const std::string rest = text.substr(0, text.size() - tail) + kEnding;
  return hash_of(rest) == digest ? "" : "its content does not match its hash";
}

}  // namespace

std::string part_file_name(const std::string& group, std::int64_t part) {
  char number[32];
  std::snprintf(number, sizeof number, "%05lld", static_cast<long long>(part));
  return group + "-" + number + ".safetensors";
}

std::string fragment_key(const std::string& name, std::int64_t begin, std::int64_t end) {
  return name + "@" + std::to_string(begin) + ":" + std::to_string(end);
}

std::string Manifest::to_text() const {
  Json json = {{"format", kFormat}, {"format_version", kFormatVersion}, {"step", step}};
  json["training"] = training;
  json["files"] = Json::object();
  for (const auto& [name, record] : files)
    json["files"][name] = {{"size", record.size}, {"hash", record.hash}};
  json["tensors"] = Json::object();
  for (const auto& [name, record] : tensors) json["tensors"][name] = to_json(record);

  std::string text = json.dump(1);
  text.erase(text.size() - 2);  // "\n}": the hash becomes the last member
  text += ",\n " + std::string(kHashKey);
  return text + hash_of(text + kEnding) + kEnding;
}

Manifest Manifest::from_text(const std::string& text, const std::filesystem::path& path) {
  if (const std::string fault = fault_of(text); !fault.empty())
    throw InputError(path.string() + ": " + fault);
  try {
    const auto json = Json::parse(text);
    if (json.at("format") != kFormat)
      throw InputError(path.string() + ": is not the manifest of a Zebra checkpoint");
    const int version = json.at("format_version").get<int>();
    if (version > kFormatVersion) {
      throw InputError(path.string() + ": has format version " + std::to_string(version) +
                       ", this build reads up to " + std::to_string(kFormatVersion) +
                       "; use a newer build");
    }
    Manifest manifest;
    manifest.step = json.at("step").get<std::int64_t>();
    manifest.training = json.at("training");
    for (const auto& [name, record] : json.at("files").items()) {
      manifest.files[name] = {record.at("size").get<std::uint64_t>(),
                              record.at("hash").get<std::string>()};
    }
    for (const auto& [name, record] : json.at("tensors").items())
      manifest.tensors[name] = tensor_record(record);
    return manifest;
  } catch (const nlohmann::json::exception& error) {
    throw InputError(path.string() + ": is not a checkpoint manifest: " + error.what());
  }
}

}  // namespace zebra
