#include "problem.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "base/random.h"

namespace zebra::bench {
namespace {

RotaryFactors rotary_factors(const Case& shape) {
  const auto options = torch::dtype(torch::kFloat64);
  const auto exponents =
      torch::arange(0, shape.head_size, 2, options) / static_cast<double>(shape.head_size);
  const auto angles = torch::outer(torch::arange(shape.length, options),
                                   torch::pow(torch::scalar_tensor(1e4, options), -exponents));
  const auto place = [&](const torch::Tensor& x) { return x.to(shape.device, torch::kFloat32); };
  return {place(angles.cos()), place(angles.sin())};
}

// Of query and key, over all sequences.
double visible_pairs(const Case& shape) {
  // The first `ramp` tokens see 1, 2 .. ramp keys, each later one window + 1 = ramp.
  const auto of_document = [&](std::int64_t length) {
    const auto ramp = std::min(shape.window + 1, length);
    return static_cast<double>(ramp * (ramp + 1) / 2 + (length - ramp) * ramp);
  };
  if (shape.document_length == 0)
    return static_cast<double>(shape.batch) * of_document(shape.length);
  double pairs = 0;
  for (const auto length : documents_of(shape).lengths) pairs += of_document(length);
  return pairs;
}

}  // namespace

PackedDocuments documents_of(const Case& shape) {
  if (shape.document_length == 0) return {};
  const auto stream = RandomStream::named(1, "lengths of documents");
  const auto mean = static_cast<double>(shape.document_length);
  std::vector<std::vector<std::int64_t>> starts(static_cast<std::size_t>(shape.batch));
  std::uint64_t drawn = 0;
  for (auto& of_sequence : starts) {
    std::int64_t begin = 0;
    while (true) {
      begin +=
          std::max<std::int64_t>(std::llround(-mean * std::log(1 - stream.uniform(drawn++))), 1);
      if (begin >= shape.length) break;
      of_sequence.push_back(begin);
    }
  }
  return PackedDocuments::from_starts(starts, shape.length);
}

const char* type_name(torch::ScalarType type) {
  return type == torch::kFloat32 ? "float32" : "bfloat16";
}

const char* device_name(torch::DeviceType device) {
  return device == torch::kCUDA ? "cuda" : "cpu";
}

std::string to_string(const Case& shape) {
  std::ostringstream text;
  text << device_name(shape.device) << ' ' << type_name(shape.type) << " B " << shape.batch << " H "
       << shape.query_heads << " Hkv " << shape.key_heads << " D " << shape.head_size << " T "
       << shape.length << " W " << shape.window;
  if (shape.document_length > 0) text << ", documents of " << shape.document_length;
  return text.str();
}

Cost cost_of(const Case& shape, bool rotary) {
  const auto tokens = static_cast<double>(shape.batch * shape.length),
             query_heads = static_cast<double>(shape.query_heads),
             heads = static_cast<double>(shape.query_heads + shape.key_heads),
             width = static_cast<double>(shape.head_size);
  const auto pairs = visible_pairs(shape);
  const auto element = static_cast<double>(torch::elementSize(shape.type));
  const double beside =
      4 * tokens * query_heads + (rotary ? 4 * static_cast<double>(shape.length) * width : 0);
  return {.forward_flops = 4 * width * query_heads * pairs,
          .backward_flops = 10 * width * query_heads * pairs,
          .forward_bytes = 2 * element * tokens * width * heads + beside,
          .backward_bytes = 4 * element * tokens * width * heads + beside};
}

Problem::Problem(const Case& shape_, bool with_rotary) : shape(shape_) {
  torch::manual_seed(1);
  const auto options = torch::dtype(shape.type).device(shape.device);
  const auto heads = shape.query_heads + 2 * shape.key_heads;
  inputs = {torch::randn({shape.batch, shape.length, heads, shape.head_size}, options),
            shape.query_heads};
  d_out = torch::randn({shape.batch, shape.length, shape.query_heads, shape.head_size}, options);
  if (with_rotary) rotary = rotary_factors(shape);
  documents = documents_of(shape).to(shape.device);
}

}  // namespace zebra::bench
