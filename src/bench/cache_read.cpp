#include "bench/cache_read.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "bench/device_meter.h"
#include "config/names.h"
#include "model/placement.h"
#include "ops/attention.h"

namespace zebra {
namespace {

struct LayerCache {
  torch::Tensor k, v;  // [1, keys, key heads, head size]
};

std::vector<LayerCache> full_caches(const ModelConfig& model, std::int64_t keys,
                                    const torch::TensorOptions& options) {
  std::vector<LayerCache> caches;
  for (const auto kind : model.layers) {
    const auto seen = kind == LayerKind::global ? keys : std::min(keys, model.window_size + 1);
    const auto values = [&] {
      return torch::randn({1, seen, model.num_key_value_heads, model.head_dim}, options);
    };
    caches.push_back({values(), values()});
  }
  return caches;
}

std::string rate_text(double bytes_per_second) { return fixed(bytes_per_second / 1e9, 2); }

}  // namespace

double CacheRead::read_rate() const { return static_cast<double>(bytes) / median(reads); }
double CacheRead::copy_rate() const { return static_cast<double>(bytes) / median(copies); }

std::vector<double> CacheRead::shares() const {
  std::vector<double> shares;
  for (std::size_t i = 0; i < reads.size(); ++i) shares.push_back(copies[i] / reads[i]);
  std::ranges::sort(shares);
  return shares;
}

CacheRead measure_cache_read(const Config& config, std::int64_t keys, int repeats) {
  const torch::NoGradGuard no_grad;
  const DeviceMeter meter(resolve_device(config.run.device));
  const auto& model = config.model;
  const auto options =
      torch::TensorOptions(meter.device()).dtype(weight_type(config.train.precision));
  const auto caches = full_caches(model, keys, options);
  const auto q = torch::randn({1, 1, model.num_attention_heads, model.head_dim}, options);

  CacheRead found;
  found.device = c10::DeviceTypeName(meter.device().type(), /*lower_case=*/true);
  found.machine = meter.machine();
  found.threads = at::get_num_threads();
  found.precision = config.train.precision;
  found.pattern = pattern_of(model.layers);
  found.keys = keys;
  for (const auto& [k, v] : caches)
    found.bytes += static_cast<std::int64_t>(k.nbytes() + v.nbytes());
  const auto from = torch::ones({found.bytes}, options.dtype(torch::kUInt8)),
             to = torch::zeros_like(from);
  for (int round = 0; round <= repeats; ++round) {
    const double read = meter.seconds([&] {
      for (const auto& [k, v] : caches) cached_attention(q, k, v);
    });
    const double copy = meter.seconds([&] { to.copy_(from); });
    if (round == 0) continue;
    found.reads.push_back(read);
    found.copies.push_back(copy);
  }
  return found;
}

std::string to_text(const CacheRead& found) {
  const auto shares = found.shares();
  const auto threads =
      found.device == "cpu" ? ", " + std::to_string(found.threads) + " threads" : "";
  const auto milliseconds = [](const std::vector<double>& seconds) {
    return fixed(1e3 * median(seconds), 3);
  };
  return found.device + ": " + found.machine + threads + ", " + name_of(found.precision) +
         "\n\nA token that sees " + with_commas(found.keys) + " cached keys, layers " +
         found.pattern + ": " + with_byte_unit(static_cast<double>(found.bytes)) + "\n\n" +
         text_table(
             {{"", "ms", "GB/s"},
              {"attention, all layers", milliseconds(found.reads), rate_text(found.read_rate())},
              {"a copy of as much", milliseconds(found.copies), rate_text(found.copy_rate())}},
             "lrr") +
         "\nattention at " + fixed(median(shares), 2) + " of a copy's speed (" +
         fixed(shares.front(), 2) + " to " + fixed(shares.back(), 2) + " in " +
         std::to_string(shares.size()) + " rounds)\n";
}

nlohmann::ordered_json to_json(const CacheRead& found) {
  return {{"device", found.device},
          {"machine", found.machine},
          {"threads", found.threads},
          {"precision", name_of(found.precision)},
          {"pattern", found.pattern},
          {"keys", found.keys},
          {"bytes", found.bytes},
          {"read_seconds", found.reads},
          {"copy_seconds", found.copies},
          {"read_bytes_per_second", found.read_rate()},
          {"copy_bytes_per_second", found.copy_rate()},
          {"share", median(found.shares())}};
}

}  // namespace zebra
