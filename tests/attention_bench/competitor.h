#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "problem.h"
#include "zebra_kernels/local_attention.h"

namespace zebra::bench {

/// One way to compute attention on one problem, which must outlive it.
class Competitor {
 public:
  virtual ~Competitor() = default;

  /// Computes the output and keeps what the backward needs. Allocates what it returns, as a
  /// training step does.
  virtual void forward() = 0;
  /// Gradients of the last forward; may be called again for the same one.
  virtual void backward() = 0;
  /// Of the last forward and backward.
  virtual Result result() const = 0;

  void run() {
    forward();
    backward();
  }
};

using Attention = std::function<torch::Tensor(const torch::Tensor& q, const torch::Tensor& k,
                                              const torch::Tensor& v)>;

/// `attention` on leaf tensors that are views of the packed projection; backward by autograd.
std::unique_ptr<Competitor> autograd_competitor(const Problem& problem, Attention attention);

/// Ours. On the CPU the kernel itself, from the packed projection to a packed gradient; on CUDA
/// zebra::local_attention through autograd. `task` is the problem's case, perhaps with another
/// window. The instruction set counts on the CPU only. Throws InputError where there is no kernel.
std::unique_ptr<Competitor> zebra_competitor(const Problem& problem, const Case& task,
                                             std::optional<kernels::InstructionSet> set);

/// What ours asks for beside its arguments, forward and backward together.
std::int64_t workspace_bytes(const Case& shape);

/// An alternative to ours.
struct Peer {
  std::string name;
  std::string description;
  bool global;  // sees every earlier token: another task, shown for what it costs
  std::function<bool(const Case&)> supports;
  std::function<std::unique_ptr<Competitor>(const Problem&)> create;

  /// The task that the peer computes for a case.
  Case task(Case shape) const {
    if (global) shape.window = shape.length - 1;
    return shape;
  }
};

/// All of this build.
const std::vector<Peer>& all_peers();

/// Whether a second run gives the bits of the first, which has just been made.
bool repeats(Competitor& competitor);

/// Throws RunError where a peer's output or gradients differ from ours beyond rounding.
void check(const std::string& peer, const Case& task, const Result& result, const Result& zebra);

}  // namespace zebra::bench
