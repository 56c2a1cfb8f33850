#pragma once

#include <memory>

#include "data/token_dataset.h"
#include "data/tokenizer.h"
#include "support/tiny_data.h"

namespace zebra::testing {

/// The data of make_tiny_data.
struct SharedTinyData {
  TemporaryFolder folder;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<TokenDataset> valid;

  SharedTinyData() {
    make_tiny_data(folder);
    tokenizer = std::make_unique<Tokenizer>(folder / "tok.model");
    valid = std::make_unique<TokenDataset>(folder / "valid", tokenizer->hash(), 300);
  }
};

/// Made once; nobody writes into it.
inline const SharedTinyData& shared_tiny_data() {
  static const SharedTinyData made;
  return made;
}

}  // namespace zebra::testing
