#include "data/token_bytes.h"

#include <bit>

namespace zebra {

static_assert(std::endian::native == std::endian::little, "the files are little-endian");

void copy_ids(std::span<const std::byte> bytes, std::int64_t token_bytes,
              std::span<std::int32_t> out) {
  with_token_type(token_bytes, [&]<class Token>(Token) {
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<std::int32_t>(token_at<Token>(bytes.data(), i));
  });
}

LargestId largest_id(std::span<const std::byte> bytes, std::int64_t token_bytes) {
  return with_token_type(token_bytes, [&]<class Token>(Token) -> LargestId {
    const std::size_t count = bytes.size() / sizeof(Token);
    Token largest = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const auto id = token_at<Token>(bytes.data(), i);
      if (id > largest) largest = id;
    }
    std::size_t index = 0;
    while (index < count && token_at<Token>(bytes.data(), index) != largest) ++index;
    return {largest, index};
  });
}

std::string id_text(std::uint64_t id, std::int64_t token_bytes) {
  if (token_bytes == 4) return std::to_string(static_cast<std::int32_t>(id));
  if (token_bytes == 8) return std::to_string(static_cast<std::int64_t>(id));
  return std::to_string(id);
}

std::uint64_t other_byte_order(std::uint64_t id, std::int64_t token_bytes) {
  std::uint64_t result = 0;
  for (std::int64_t i = 0; i < token_bytes; ++i) result = (result << 8) | ((id >> (8 * i)) & 0xFFU);
  return result;
}

}  // namespace zebra
