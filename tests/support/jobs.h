#pragma once

#include <functional>
#include <string>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "distributed/job.h"
#include "support/ranks.h"

namespace zebra::testing {

/// As a launcher would start it that serves the store itself. Each job has another name.
inline Launch launch_of(int rank, int ranks, const std::string& job_name) {
  static const auto server = [] {
    c10d::TCPStoreOptions options;
    options.isServer = true;
    options.port = 0;  // any that is free
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
