#include "base/message.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <new>
#include <stdexcept>

#include "base/error.h"
#include "base/text.h"

namespace zebra {
namespace {

// LibTorch's allocators.
constexpr std::string_view kHostAllocatorFault = "you tried to allocate ";
// Ours, and LibTorch's on a GPU ("CUDA out of memory").
const std::string kOutOfMemory = "out of memory";

/// The control character at `at`: its length in bytes and its number, or a length of 0. In UTF-8
/// those from U+0080 to U+009F have two bytes.
struct Control {
  std::size_t length = 0;
  unsigned char code = 0;
};

Control control_at(std::string_view text, std::size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x20 || byte == 0x7f) return {1, byte};
  if (byte != 0xc2 || at + 1 == text.size()) return {};
  const auto next = static_cast<unsigned char>(text[at + 1]);
  return next >= 0x80 && next < 0xa0 ? Control{2, next} : Control{};
}

std::string escape_of(unsigned char code) {
  static constexpr char kDigits[] = "0123456789abcdef";
  if (code == '\n') return "\\n";
  if (code == '\t') return "\\t";
  return {'\\', 'x', kDigits[code / 16], kDigits[code % 16]};
}

/// "3.20 GiB were wanted at once", where the message of LibTorch's allocator says how much.
std::string wanted_bytes(std::string_view message) {
  const auto at = message.find(kHostAllocatorFault);
  if (at == std::string_view::npos) return "";
  const auto number = message.substr(at + kHostAllocatorFault.size());
  double bytes = 0;
  const auto result = std::from_chars(number.data(), number.data() + number.size(), bytes);
  if (result.ec != std::errc()) return "";
  return ": " + with_byte_unit(bytes) + " were wanted at once";
}

}  // namespace

std::string printable(std::string_view text, std::string_view allowed) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const auto control = control_at(text, at);
    const bool stays = control.length == 0 || allowed.find(text[at]) != std::string_view::npos;
    if (stays) {
      result += text[at++];
    } else {
      result += escape_of(control.code);
      at += control.length;
    }
  }
  return result;
}

bool has_control_characters(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at)
    if (control_at(text, at).length > 0) return true;
  return false;
}

std::string shell_word(const std::string& text) {
  const auto is_harmless = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("_./-=@:,+%").find(c) != std::string_view::npos;
  };
  if (!text.empty() && std::ranges::all_of(text, is_harmless)) return text;
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

bool is_out_of_memory(const std::exception& error) {
  const std::string_view message = error.what();
  return dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
         dynamic_cast<const std::length_error*>(&error) != nullptr ||
         message.find(kHostAllocatorFault) != std::string_view::npos ||
         message.find(kOutOfMemory) != std::string_view::npos ||
         message.find("Storage size calculation overflowed") != std::string_view::npos;
}

std::string failure_text(const std::exception& error) {
  const std::string message = without_backtrace(error.what());
  const bool is_ours = dynamic_cast<const InputError*>(&error) != nullptr ||
                       dynamic_cast<const RunError*>(&error) != nullptr;
  if (is_ours) return message;
  if (!is_out_of_memory(error)) return message;
  const std::string line = message.substr(0, message.find('\n'));
  const bool says_so = line.find(kOutOfMemory) != std::string::npos;
  return says_so ? line : kOutOfMemory + wanted_bytes(line);
}

}  // namespace zebra
