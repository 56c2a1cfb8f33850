#pragma once

#include <cstdint>
#include <string>
#include <vector>

// What data sheets promise of the machines that a run may be planned for. Nothing here was
// measured.

namespace zebra {

struct Gpu {
  std::string name;
  double bf16_flops;             ///< dense matrix products, per second
  double fp32_flops;             ///< without TF32, per second
  std::int64_t memory_bytes;     ///< on the package; drivers keep a little for themselves
  double link_bytes_per_second;  ///< to the GPUs of its host, in one direction
};

const std::vector<Gpu>& gpus();

/// By name, in capitals or not. Throws InputError that names the known ones.
const Gpu& find_gpu(const std::string& name);

/// Bytes per second, in one direction, of a network link: by its rate in gigabits ("400gb"), or by
/// the generation of InfiniBand ("ndr"). Throws InputError that names the known ones.
double network_bytes_per_second(const std::string& link);

/// Hosts of equal GPUs, each of which has a network link of its own. Ranks fill hosts in order.
struct Cluster {
  Gpu gpu;
  double network_bytes_per_second = 0;
  std::int64_t gpus_per_host = 8;
};

/// The ranks first, first + stride, …: `members` of them, joined to a ring.
struct Ring {
  std::int64_t first = 0, stride = 1, members = 1;
};

struct RingSpeed {
  bool crosses_hosts;
  double bytes_per_second;  ///< that each rank sends to its neighbour
};

/// Within a host the GPUs' own links. A ring that leaves its hosts is laid as often as it has
/// members on each of them, so that every member's network link carries a part (as NCCL does): the
/// speed is that of a network link times the members on the host that has the fewest, at most that
/// of the GPUs' links.
RingSpeed ring_speed(const Cluster& cluster, const Ring& ring);

}  // namespace zebra
