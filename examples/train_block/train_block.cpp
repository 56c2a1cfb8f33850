// Trains one local Zebra block, alone, to output what its window saw three tokens ago.
#include <config/load.h>
#include <model/block.h>
#include <torch/optim/adamw.h>

#include <iostream>

int main() {
  const zebra::RunFile file = zebra::parse_run_file(R"(
run: {dir: unused}
model: {hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1, num_attention_heads: 2,
        vocab_size: 1, self_attn_type: local, window_size: 4}
data: {tokenizer: unused, train: [{path: unused}], sequence_length: 24}
train: {max_steps: 1, global_batch_size: 1}
)",
                                                    "train_block");

  zebra::Block block(zebra::resolve(file).model, /*layer=*/0);
  zebra::initialize_weights(block->unit(), /*seed=*/1);
  torch::optim::AdamW optimizer(block->parameters(), torch::optim::AdamWOptions(3e-3));
  torch::manual_seed(1);
  for (int step = 0; step <= 600; ++step) {
    const auto x = torch::randn({16, 24, 32});
    const auto target = x.roll(3, /*dims=*/1);
    const auto loss = (block->forward(x) - target).slice(1, 3).square().mean();
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    if (step % 100 == 0) std::cout << loss.item<float>() << "\n";
  }
}
