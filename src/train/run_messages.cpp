#include "train/run_messages.h"

#include "base/log.h"
#include "base/text.h"
#include "config/names.h"
#include "plan/model_cost.h"

namespace zebra {

void log_start(const Config& config, const TrainingData& data, const std::string& ranks,
               std::int64_t first_step, std::int64_t last_step) {
  log_info("training " + config.run.name + ", steps " + std::to_string(first_step) + " to " +
           std::to_string(last_step) + ": " +
           with_suffix(static_cast<double>(count_parameters(config.model).total())) +
           " parameters in " + name_of(config.train.precision) + " on " + ranks + ", " +
           with_suffix(static_cast<double>(data.tokens())) + " tokens of data");
  for (const auto& note : data.packing_notes()) log_info("  " + note);
  if (data.sources().size() < 2) return;
  const auto shares = data.shares();
  for (std::size_t s = 0; s < shares.size(); ++s) {
    log_info("  " + data.sources()[s]->path().string() + ": " + percent(shares[s].samples) +
             " of the samples, " + percent(shares[s].targets) + " of the targets, " +
             percent(shares[s].loss) + " of the loss, read " + fixed(data.passes(s), 2) + " times");
  }
}

void log_step(const Config& config, const StepMetrics& row, std::int64_t skipped_steps) {
  const double tokens_left =
      static_cast<double>((config.train.max_steps - row.step) * config.train.global_batch_size *
                          config.data.sequence_length);
  const std::string line = "step " + std::to_string(row.step) + "/" +
                           std::to_string(config.train.max_steps) + "  loss " + fixed(row.loss, 4) +
                           "  grad " + fixed(row.grad_norm, 3) + "  lr " + scientific(row.lr) +
                           "  " + with_suffix(row.tokens_per_second) + " tok/s  " +
                           duration_text(tokens_left / row.tokens_per_second) + " left";
  if (row.skipped) {
    log_warning(line + "  SKIPPED (" + std::to_string(skipped_steps) + " so far): no update");
  } else {
    log_info(line);
  }
}

void log_validation(std::int64_t step, const Perplexity& result) {
  std::string by_dataset;
  if (result.by_dataset.size() > 1) {
    for (const auto& [name, loss, tokens] : result.by_dataset)
      by_dataset += ", " + name + " " + fixed(loss, 4);
  }
  log_info("step " + std::to_string(step) + "  validation loss " + fixed(result.loss(), 4) +
           "  perplexity " + fixed(result.perplexity(), 2) + "  bits per byte " +
           fixed(result.bits_per_byte(), 4) + "  (" +
           with_suffix(static_cast<double>(result.tokens)) + " tokens" + by_dataset + ")");
}

}  // namespace zebra
