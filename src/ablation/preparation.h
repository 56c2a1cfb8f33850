#pragma once

#include <filesystem>
#include <vector>

#include "ablation/arm_queue.h"
#include "ablation/sweep.h"

// What is checked, written and measured while no arm is on its way.

namespace zebra {

/// Adds to `problems` the arms whose training cannot fit in the memory of the device that they
/// would use here, and `jobs` arms at a time that cannot fit together. Arms on GPUs have one each.
void check_fit(const std::vector<Arm>& arms, int jobs, Problems& problems);

/// Adds to `problems` whatever keeps an arm from using its data: tokenizers and datasets that are
/// not there or do not fit, sources without a single sample, and a share of the loss that training
/// probes cannot have. Where those are not written yet, a few hundred of them are made to tell,
/// outside the sweep's folder.
void check_data(const Sweep& sweep, Problems& problems);

/// Makes what the arms need: DIR with their run files, and the training probes. `program` is the
/// zebra command that will train and measure them. Where the sweep gives probes a share of the
/// loss, their loss_weight comes into the run files here. What a former start made stays, whatever
/// it is: see check_continuation.
std::vector<QueuedArm> prepare(Sweep sweep, const std::filesystem::path& program);

/// Writes a batch script for Slurm whose array has a job for each arm: sbatch SCRIPT. `file` is
/// the sweep file and `program` the zebra command; both become absolute. Throws RunError when it
/// cannot be written.
void write_slurm_array(const Sweep& sweep, const std::filesystem::path& file,
                       const std::filesystem::path& program, const std::filesystem::path& script);

/// Measures cost by length of the arms' layouts, where the sweep asks for it and one of them is not
/// there yet. A failure is a warning: the report goes without.
void measure_cost(const Sweep& sweep, const std::filesystem::path& program);

}  // namespace zebra
