#include "model/numerics.h"

#include <ATen/Context.h>

namespace zebra {

void set_numerics(bool deterministic) {
  auto& context = at::globalContext();
  context.setDeterministicAlgorithms(deterministic, /*warn_only=*/true);
  context.setDeterministicFillUninitializedMemory(
      false);  // a debugging aid that writes every new tensor twice
  context.setFloat32MatmulPrecision("highest");
}

}  // namespace zebra
