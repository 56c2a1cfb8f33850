#include "base/hash.h"

#include <xxhash.h>

#include <array>
#include <cstdint>

#include "base/file.h"

namespace zebra {
namespace {

std::string to_hexadecimal(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : canonical.digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

struct Hasher::State {
  XXH3_state_t* xxh3 = XXH3_createState();
  ~State() { XXH3_freeState(xxh3); }
};

Hasher::Hasher() : state_(std::make_unique<State>()) { XXH3_128bits_reset(state_->xxh3); }
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::update(const void* data, std::size_t bytes) {
  if (bytes > 0) XXH3_128bits_update(state_->xxh3, data, bytes);
}

std::string Hasher::digest() const { return to_hexadecimal(XXH3_128bits_digest(state_->xxh3)); }

std::string hash_of(std::string_view bytes) {
  return to_hexadecimal(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string hash_of_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  return hash_of({reinterpret_cast<const char*>(file.data()), file.size()});
}

}  // namespace zebra
