#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// What TensorBoard reads: files of records that hold `tensorflow.Event` messages
// (tensorboard/compat/proto/event.proto and summary.proto), as far as figures and texts need them.

namespace zebra {

struct EventFigure {
  std::string tag;  ///< what it is called; what stands before its first '/' is its group
  double value;     ///< kept as a float32, as TensorBoard has it
};

/// Events, framed as records of a file. `wall_time` is in seconds since 1970.
/// The first of every file.
std::string version_event(double wall_time);
/// That a process begins: events of `step` and beyond that came before are void.
std::string start_event(double wall_time, std::int64_t step);
std::string figures_event(double wall_time, std::int64_t step,
                          const std::vector<EventFigure>& figures);
/// A text that TensorBoard shows as it is, with the same breadth for all its characters.
std::string text_event(double wall_time, std::int64_t step, const std::string& tag,
                       std::string_view text);

/// The whole records at the beginning of a file whose steps are `last_step` at most, byte for byte.
/// What follows a record that is cut short or damaged, as an interrupted write leaves it, is left
/// out.
std::string events_up_to(std::string_view content, std::int64_t last_step);

/// CRC-32C (Castagnoli: RFC 3720, B.4) of `bytes`.
std::uint32_t crc32c(std::string_view bytes);

}  // namespace zebra
