#pragma once

#include "distributed/job.h"

namespace zebra {

/// For handlers of any exception. One of several ranks ends with the job, at once, telling why:
/// unwinding would wait for collectives that never end. A process on its own, or one whose job has
/// ended, throws the exception again.
[[noreturn]] void end_job_or_throw(Job& job);

}  // namespace zebra
