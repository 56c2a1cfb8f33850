#pragma once

#include <cstdint>
#include <vector>

#include "config/config.h"
#include "config/model_config.h"

// How long training and generation take by the analytic cost of a model (plan/model_cost.h) and the
// rates that a machine was measured to reach. All times are in seconds.

namespace zebra {

/// Forward and backward pass.
struct PassSeconds {
  double forward = 0, backward = 0;

  std::vector<double*> figures() { return {&forward, &backward}; }
};

/// The parts of a model at work, each alone, on `batch` sequences of `length` tokens. A "layer" is
/// one layer. From these follow the rates; nothing here is a time of a whole model with its layers.
struct ReferenceSeconds {
  PassSeconds layer_products;                     ///< the four matrix products of a layer
  PassSeconds global_attention, local_attention;  ///< of a layer; 0 where no layout has the kind
  PassSeconds block;                              ///< a layer as it is
  double block_prefill = 0;                       ///< the same without gradients, filling a cache
  PassSeconds ends;             ///< a model without layers: embedding, final norm, head, loss
  double optimizer_update = 0;  ///< of kOptimizerReference parameters
  // One new token of one sequence:
  double layer_token = 0;        ///< a layer as it is, its cache nearly empty
  double layer_token_reads = 0;  ///< its matrix products and attention alone
  double ends_token = 0;         ///< a model without layers, with the choice of the token
  double ends_token_head = 0;    ///< the product of its head
  /// All that a token reads: the products of all layers and the head, and attention to
  /// ReferenceWork::cached_keys in each layer. In turn as in a model, because what caches of the
  /// processor hold of weights depends on how many keys come between.
  std::vector<double> token_reads;

  std::vector<double*> figures();
};

inline constexpr std::int64_t kOptimizerReference = std::int64_t{1} << 24;

/// What ReferenceSeconds were measured on.
struct ReferenceWork {
  ModelConfig shape;  ///< resolved; its pattern says which kind of layer `block` is (layer 0)
  bool has_global = false, has_local = false;  ///< kinds of layers among the layouts of this shape
  std::int64_t length = 0, batch = 1;
  std::vector<std::int64_t> cached_keys;  ///< ascending, from 1
  std::int64_t bytes_per_value = 4;       ///< of weights and activations
};

/// FLOP per second of the forward pass, and of the backward pass, which counts as twice the
/// forward's FLOPs. 0: not measured.
struct FlopRates {
  double forward = 0, backward = 0;
};

/// Seconds per token and layer of what FLOPs do not count: norms, rotary embedding of cached keys,
/// SwiGLU, residual sums, and starting all operations.
struct LayerPasses {
  double forward = 0, backward = 0;
  double prefill = 0;  ///< without gradients, with copies into the cache
};

struct Rates {
  FlopRates matrix_products, global_attention, local_attention;
  double head = 0;  ///< FLOP per second of head and loss; they form their gradients in the forward
                    ///< pass, so three times the head's FLOPs. The embedding counts with them
  double ends_backward = 0;  ///< seconds per token: gradients of embedding, final norm, head
  LayerPasses layer_passes;
  double optimizer = 0;     ///< seconds per parameter
  double weights_read = 0;  ///< bytes per second of matrix-vector products
  double layer_call = 0;    ///< seconds per generated token and layer beside all reading
  double token_call = 0;    ///< seconds per generated token beside layers and reading
  std::vector<std::int64_t> cached_keys;  ///< per layer, at which `token_reads` was measured
  std::vector<double> token_reads;  ///< seconds in which one token's weights and keys are read
};

Rates rates_of(const ReferenceWork& work, const ReferenceSeconds& seconds);

/// Seconds in which a token's weights and `keys` cached ones of each layer are read: linear between
/// the measured numbers of keys and beyond.
double token_read_seconds(const Rates& rates, std::int64_t keys);

/// One cell of the table: training on `batch` sequences of `length` tokens; generation after one
/// prompt of `length` tokens.
struct Workload {
  std::int64_t length = 0, batch = 1;
  std::int64_t generated_tokens = 0;
  std::int64_t bytes_per_value = 4;
};

struct CellSeconds {
  double forward = 0, backward = 0, optimizer = 0;
  double prefill = 0, per_token = 0;

  double training() const { return forward + backward + optimizer; }
  std::vector<double*> figures() { return {&forward, &backward, &optimizer, &prefill, &per_token}; }
};

CellSeconds predicted_seconds(const ModelConfig& model, const Workload& work, const Rates& rates);

}  // namespace zebra
