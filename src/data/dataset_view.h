#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/sample_plan.h"
#include "data/token_dataset.h"
#include "data/tokenizer.h"

namespace zebra {

/// Tokens of one document that follow one another and all count as targets, or all do not.
struct TokenRun {
  std::int64_t document = 0;  // its number in the dataset, from 0
  std::int64_t begin = 0;     // position of the first token
  bool begins_document = false;
  bool counts = false;
  std::vector<std::int32_t> ids;
};

/// The tokens at positions [begin, end) of a dataset, of which the first is read only: nothing
/// predicts it. With `document_mask` that holds for the first token of each document. Where a
/// sample holds whole documents begin and end are those of the first and the last that it names, in
/// the sample's order.
struct DatasetView {
  std::int64_t begin = 0, end = 0;
  std::vector<TokenRun> runs;

  std::int64_t targets() const;
};

/// Document number `number`, or its first `most_tokens` tokens where it has more; 0: all. Throws
/// InputError when there is no such document.
DatasetView view_document(const TokenDataset& dataset, std::int64_t number,
                          std::int64_t most_tokens);

/// Sample number `number` as a run with these settings cuts it: `length` inputs, and the token
/// behind them. Throws InputError when there is no such sample.
DatasetView view_sample(const TokenDataset& dataset, std::int64_t number, std::int64_t length,
                        bool document_mask);

/// Sample number `number` of a plan. Throws InputError when there is no such sample.
DatasetView view_planned_sample(const TokenDataset& dataset, const SamplePlan& plan,
                                std::int64_t number);

/// The text of ids that follow the token `before` (-1: none), with <BOS>, <EOS> and the names of
/// other control tokens in it.
std::string text_of_ids(const Tokenizer& tokenizer, std::int32_t before,
                        std::span<const std::int32_t> ids);

/// Lengths are in tokens.
struct DatasetStatistics {
  std::int64_t targets = 0;  // tokens that the loss mask does not take out
  std::int64_t shortest = 0, median = 0, longest = 0;
  std::int64_t tenth_percentile = 0, ninetieth_percentile = 0;
  double mean = 0.0;
};

/// Reads documents and loss mask, not the tokens. Needs memory for 8 bytes a document.
DatasetStatistics statistics_of(const TokenDataset& dataset);

}  // namespace zebra
