#include "cli/end_job.h"

#include <cstdlib>
#include <exception>

#include "base/error.h"
#include "distributed/communicator.h"

namespace zebra {

void end_job_or_throw(Job& job) {
  if (job.ranks() == 1 || job.is_finished()) throw;
  try {
    throw;
  } catch (const CollectiveError& error) {
    job.collective_failed(error);
  } catch (const std::exception& error) {
    job.fail(without_backtrace(error.what()));
  }
  std::_Exit(kExitFailed);
}

}  // namespace zebra
