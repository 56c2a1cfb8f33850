#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "distributed/job.h"
#include "support/ranks.h"

namespace zebra::testing {

/// A listening socket of 127.0.0.1 on a port that is free. LibTorch's own listens on IPv6 too,
/// where the server asks DNS for the name of each peer and serves nobody until it answers.
inline int listen_locally() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(descriptor, SOMAXCONN) != 0)
    throw std::runtime_error("cannot listen at 127.0.0.1");
  return descriptor;
}

inline std::uint16_t port_of(int descriptor) {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("no address of a socket");
  return ntohs(address.sin_port);
}

/// As a launcher would start it that serves the store itself. Each job has another name.
inline Launch launch_of(int rank, int ranks, const std::string& job_name) {
  static const auto server = [] {
    c10d::TCPStoreOptions options;
    options.isServer = true;
    options.masterListenFd = listen_locally();
    options.port = port_of(*options.masterListenFd);
    options.waitWorkers = false;
    return c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
  }();
  Launch launch;
  launch.launcher = "torchrun";
  launch.rank = launch.local_rank = rank;
  launch.ranks = launch.local_ranks = ranks;
  launch.store_port = server->getPort();
  launch.store_is_elsewhere = true;
  launch.store_prefix = job_name;
  return launch;
}

/// Runs `work` on that many ranks (see run_on_ranks), which form a job. All must come to its end.
inline void run_job(int ranks, int replicas, const std::function<void(Job&, TestRank&)>& work) {
  static int jobs = 0;
  const std::string name = "job-" + std::to_string(jobs++);
  run_on_ranks(ranks, replicas, [&](TestRank& own) {
    Job job(launch_of(own.rank, ranks, name));
    work(job, own);
    job.finish();
  });
}

}  // namespace zebra::testing
