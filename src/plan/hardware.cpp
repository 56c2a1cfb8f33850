#include "plan/hardware.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>

#include "base/error.h"

namespace zebra {
namespace {

constexpr double kTera = 1e12, kGiga = 1e9;
constexpr double kBitsPerByte = 8.0;
// The sheets' "GB" of memory are 2^30 bytes: the driver shows 81,559 MiB for the 80 GB of an H100.
constexpr std::int64_t kGibibyte = std::int64_t{1} << 30;

struct NetworkLink {
  std::string name;
  double gigabits;
};

// InfiniBand with four lanes per port.
const std::vector<NetworkLink>& network_links() {
  static const std::vector<NetworkLink> kLinks = {
      {"edr", 100}, {"hdr", 200}, {"ndr", 400}, {"xdr", 800}};
  return kLinks;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

template <class Entry>
std::vector<std::string> names(const std::vector<Entry>& entries) {
  std::vector<std::string> names;
  for (const auto& entry : entries) names.push_back(entry.name);
  return names;
}

/// "400gb" is 400; 0 when `text` is no rate.
double gigabits_of(const std::string& text) {
  double rate = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, rate);
  const bool is_rate = error == std::errc() && std::string(rest, end) == "gb";
  return is_rate && rate > 0 && rate <= 1e6 ? rate : 0.0;
}

}  // namespace

// NVIDIA's data sheets: A100 Tensor Core GPU (SXM), H100 Tensor Core GPU (SXM), H200 Tensor Core
// GPU (SXM), HGX B200. Where a sheet gives bf16 with sparsity it is halved; NVLink is given for
// both directions together and is halved too.
const std::vector<Gpu>& gpus() {
  static const std::vector<Gpu> kGpus = {
      {"a100-40gb", 312 * kTera, 19.5 * kTera, 40 * kGibibyte, 300 * kGiga},
      {"a100", 312 * kTera, 19.5 * kTera, 80 * kGibibyte, 300 * kGiga},
      {"h100", 989 * kTera, 67 * kTera, 80 * kGibibyte, 450 * kGiga},
      {"h200", 989 * kTera, 67 * kTera, 141 * kGibibyte, 450 * kGiga},
      {"b200", 2250 * kTera, 75 * kTera, 180 * kGibibyte, 900 * kGiga}};
  return kGpus;
}

const Gpu& find_gpu(const std::string& name) {
  const auto found = std::find_if(gpus().begin(), gpus().end(),
                                  [&](const Gpu& gpu) { return gpu.name == lower(name); });
  if (found != gpus().end()) return *found;
  throw InputError("no GPU named '" + name + "' is known; give one of " +
                   join(names(gpus()), ", "));
}

double network_bytes_per_second(const std::string& link) {
  double gigabits = gigabits_of(lower(link));
  for (const auto& known : network_links()) {
    if (known.name == lower(link)) gigabits = known.gigabits;
  }
  if (gigabits > 0) return gigabits * kGiga / kBitsPerByte;
  throw InputError("no network link named '" + link +
                   "' is known; give its rate per GPU in gigabits per second, for example 400gb, "
                   "or one of " +
                   join(names(network_links()), ", "));
}

RingSpeed ring_speed(const Cluster& cluster, const Ring& ring) {
  std::map<std::int64_t, std::int64_t> members_on_host;
  for (std::int64_t member = 0; member < ring.members; ++member) {
    ++members_on_host[(ring.first + member * ring.stride) / cluster.gpus_per_host];
  }
  if (members_on_host.size() <= 1) return {false, cluster.gpu.link_bytes_per_second};
  std::int64_t fewest = ring.members;
  for (const auto& [host, members] : members_on_host) fewest = std::min(fewest, members);
  return {true, std::min(static_cast<double>(fewest) * cluster.network_bytes_per_second,
                         cluster.gpu.link_bytes_per_second)};
}

}  // namespace zebra
