#include "base/error.h"
#include "base/text.h"
#include "competitor.h"

namespace zebra::bench {
namespace {

/// Relative errors: of the whole array to its norm, and the largest of one token's head to its own
/// norm or, where that is smaller, to the mean one.
struct Errors {
  double whole, row;
};

/// The largest that rounding explains. Competitors round to the element type at different
/// places, some the scores too, and the gradient of a query is a difference of large terms. A
/// window that is one key off gives 0.3 in some row; a wrong factor shows in the whole.
Errors limits_of(torch::ScalarType type) {
  return type == torch::kFloat32 ? Errors{1e-5, 1e-4} : Errors{2e-2, 0.15};
}

Errors errors_of(const torch::Tensor& value, const torch::Tensor& expected) {
  const auto rows = expected.to(torch::kFloat32);
  const auto norms = rows.norm(2, -1);
  const auto differences = (value.to(torch::kFloat32) - rows).norm(2, -1);
  return {(differences.norm() / norms.norm()).item<double>(),
          (differences / torch::maximum(norms, norms.mean())).max().item<double>()};
}

}  // namespace

bool repeats(Competitor& competitor) {
  const auto first = competitor.result();
  competitor.run();
  const auto second = competitor.result();
  return first.out.equal(second.out) && first.dq.equal(second.dq) && first.dk.equal(second.dk) &&
         first.dv.equal(second.dv);
}

void check(const std::string& peer, const Case& task, const Result& result, const Result& zebra) {
  const auto limits = limits_of(task.type);
  const auto compare = [&](const char* name, const torch::Tensor& value,
                           const torch::Tensor& expected) {
    const auto error = errors_of(value, expected);
    if (error.whole <= limits.whole && error.row <= limits.row) return;  // never for NaN
    throw RunError(peer + " differs from zebra in " + name + ": relative error " +
                   scientific(error.whole) + " (at most " + scientific(limits.whole) +
                   " is rounding), in one token's head " + scientific(error.row) + " (at most " +
                   scientific(limits.row) + "), case " + to_string(task));
  };
  compare("out", result.out, zebra.out);
  compare("dq", result.dq, zebra.dq);
  compare("dk", result.dk, zebra.dk);
  compare("dv", result.dv, zebra.dv);
}

}  // namespace zebra::bench
