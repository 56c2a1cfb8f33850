#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace zebra {

/// XXH3 with 128 bits: guards against accidents (truncation, flipped bits, mixed-up files) at
/// memory speed; it is no defence against forgery. Digests are 32 lower-case hexadecimal digits, as
/// `xxhsum -H2` prints them.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;

  void update(const void* data, std::size_t bytes);
  void update(std::string_view text) { update(text.data(), text.size()); }
  std::string digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string hash_of(std::string_view bytes);

/// Hash of a file's content. Throws InputError when it cannot be read.
std::string hash_of_file(const std::filesystem::path& path);

}  // namespace zebra
