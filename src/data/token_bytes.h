#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace zebra {

// Token ids as they lie in files: little-endian, of 2, 4 or 8 bytes, at any address.

/// Calls `visit` with a value of the unsigned type that has so many bytes.
template <class Visit>
auto with_token_type(std::int64_t token_bytes, Visit visit) {
  if (token_bytes == 2) return visit(std::uint16_t{});
  if (token_bytes == 4) return visit(std::uint32_t{});
  return visit(std::uint64_t{});
}

/// Id number `index` from `begin` on, which need not be aligned.
template <class Token>
Token token_at(const std::byte* begin, std::size_t index) {
  Token token;
  std::memcpy(&token, begin + index * sizeof token, sizeof token);
  return token;
}

/// Fills `out` with the ids, which must fit.
void copy_ids(std::span<const std::byte> bytes, std::int64_t token_bytes,
              std::span<std::int32_t> out);

/// The largest id and where it stands first.
struct LargestId {
  std::uint64_t id = 0;
  std::uint64_t index = 0;
};

LargestId largest_id(std::span<const std::byte> bytes, std::int64_t token_bytes);

/// An id for a message: below zero where whoever wrote 4 or 8 bytes with a sign meant that.
std::string id_text(std::uint64_t id, std::int64_t token_bytes);

/// The id that the same bytes make in the other order.
std::uint64_t other_byte_order(std::uint64_t id, std::int64_t token_bytes);

}  // namespace zebra
