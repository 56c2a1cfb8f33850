#include "train/event_file.h"

#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <utility>

namespace zebra {
namespace {

// A record: length (u64), masked CRC of those eight bytes (u32), the bytes, their masked CRC (u32),
// little-endian as this machine is.
static_assert(std::endian::native == std::endian::little);
constexpr std::size_t kLengthBytes = 8, kCrcBytes = 4;

template <class Value>
std::string bytes_of(Value value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

template <class Value>
Value value_at(std::string_view bytes, std::size_t at) {
  Value value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::string masked_crc(std::string_view bytes) {
  return bytes_of(std::rotr(crc32c(bytes), 15) + 0xa282ead8U);
}

std::string framed(std::string_view event) {
  const auto length = bytes_of(std::uint64_t{event.size()});
  return length + masked_crc(length) + std::string(event) + masked_crc(event);
}

// Takes the first record off `content`; nothing where none is whole.
std::optional<std::string_view> take_record(std::string_view& content, std::string_view& event) {
  constexpr auto kHead = kLengthBytes + kCrcBytes;
  if (content.size() < kHead + kCrcBytes) return std::nullopt;
  const auto length = value_at<std::uint64_t>(content, 0);
  if (length > content.size() - kHead - kCrcBytes) return std::nullopt;
  event = content.substr(kHead, length);
  if (content.substr(kLengthBytes, kCrcBytes) != masked_crc(content.substr(0, kLengthBytes)) ||
      content.substr(kHead + length, kCrcBytes) != masked_crc(event))
    return std::nullopt;
  const auto record = content.substr(0, kHead + length + kCrcBytes);
  content.remove_prefix(record.size());
  return record;
}

// Fields of protocol buffers: a number and how its value is written, then the value.
enum class Wire : std::uint64_t { varint = 0, eight_bytes = 1, sized = 2, four_bytes = 5 };

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes += static_cast<char>(value);
}

std::string key(std::uint64_t field, Wire wire) {
  return varint(field << 3 | static_cast<std::uint64_t>(wire));
}

std::string integer(std::uint64_t field, std::int64_t value) {
  return key(field, Wire::varint) + varint(static_cast<std::uint64_t>(value));
}

std::string sized(std::uint64_t field, std::string_view bytes) {
  return key(field, Wire::sized) + varint(bytes.size()) + std::string(bytes);
}

// Field numbers of the messages.
constexpr std::uint64_t kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5,
                        kSessionLog = 7;                                         // Event
constexpr std::uint64_t kSessionStatus = 1;                                      // SessionLog
constexpr std::int64_t kSessionStart = 1;                                        // its status
constexpr std::uint64_t kValue = 1;                                              // Summary
constexpr std::uint64_t kTag = 1, kSimpleValue = 2, kTensor = 8, kMetadata = 9;  // Summary.Value
constexpr std::uint64_t kPluginData = 1, kPluginName = 1;     // SummaryMetadata, its PluginData
constexpr std::uint64_t kType = 1, kShape = 2, kStrings = 8;  // TensorProto
constexpr std::int64_t kTypeString = 7;
constexpr std::uint64_t kDimension = 2, kSize = 1;  // TensorShapeProto, its Dim

std::string event_head(double wall_time, std::int64_t step) {
  return key(kWallTime, Wire::eight_bytes) + bytes_of(wall_time) + integer(kStep, step);
}

std::optional<std::uint64_t> take_varint(std::string_view& bytes) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7fU} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

// 0 where the event names none; wall time and step stand before everything else, as written above.
std::int64_t step_of(std::string_view event) {
  constexpr std::size_t kWallTimeBytes = 1 + sizeof(double);
  if (event.size() <= kWallTimeBytes) return 0;
  event.remove_prefix(kWallTimeBytes);
  if (take_varint(event) != (kStep << 3)) return 0;
  return static_cast<std::int64_t>(take_varint(event).value_or(0));
}

// Markdown is what TensorBoard takes texts for; what is indented stays as it is.
std::string indented(std::string_view text) {
  std::string lines = "    ";
  for (const char c : text) {
    lines += c;
    if (c == '\n') lines += "    ";
  }
  return lines;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static constexpr auto kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      table[i] = i;
      for (int bit = 0; bit < 8; ++bit) table[i] = table[i] >> 1 ^ (table[i] & 1) * 0x82f63b78U;
    }
    return table;
  }();
  std::uint32_t crc = ~0U;
  for (const char c : bytes) crc = crc >> 8 ^ kTable[(crc ^ static_cast<unsigned char>(c)) & 0xff];
  return ~crc;
}

std::string version_event(double wall_time) {
  return framed(event_head(wall_time, 0) + sized(kFileVersion, "brain.Event:2"));
}

std::string start_event(double wall_time, std::int64_t step) {
  return framed(event_head(wall_time, step) +
                sized(kSessionLog, integer(kSessionStatus, kSessionStart)));
}

std::string figures_event(double wall_time, std::int64_t step,
                          const std::vector<EventFigure>& figures) {
  std::string summary;
  for (const auto& figure : figures) {
    summary += sized(kValue, sized(kTag, figure.tag) + key(kSimpleValue, Wire::four_bytes) +
                                 bytes_of(static_cast<float>(figure.value)));
  }
  return framed(event_head(wall_time, step) + sized(kSummary, summary));
}

std::string text_event(double wall_time, std::int64_t step, const std::string& tag,
                       std::string_view text) {
  const auto shape = sized(kDimension, integer(kSize, 1));
  const auto tensor =
      integer(kType, kTypeString) + sized(kShape, shape) + sized(kStrings, indented(text));
  const auto metadata = sized(kPluginData, sized(kPluginName, "text"));
  return framed(event_head(wall_time, step) +
                sized(kSummary, sized(kValue, sized(kTag, tag) + sized(kTensor, tensor) +
                                                  sized(kMetadata, metadata))));
}

std::string events_up_to(std::string_view content, std::int64_t last_step) {
  std::string kept;
  std::string_view event;
  while (const auto record = take_record(content, event)) {
    if (step_of(event) <= last_step) kept += *record;
  }
  return kept;
}

}  // namespace zebra
