#pragma once

#include <filesystem>

#include "cli/shared_options.h"
#include "train/step_measurement.h"

namespace zebra {

/// `zebra bench RUN.yaml`: measures the step that the run file describes, on all ranks of the job,
/// and prints it; the first rank writes `json` too where it is not empty.
void bench_step(const RunFileOptions& run_files, const StepMeasurementOptions& options,
                const std::filesystem::path& json);

}  // namespace zebra
