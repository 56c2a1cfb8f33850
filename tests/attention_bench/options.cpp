#include "options.h"

#include <torch/cuda.h>

#include <algorithm>

#include "base/error.h"

namespace zebra::bench {
namespace {

constexpr std::int64_t kLargestHead = 256;
constexpr kernels::InstructionSet kInstructionSets[] = {
    kernels::InstructionSet::kPortable, kernels::InstructionSet::kAvx2,
    kernels::InstructionSet::kAvx512, kernels::InstructionSet::kAvx512Bf16,
    kernels::InstructionSet::kAmxBf16};

constexpr std::int64_t kLargest = std::int64_t{1} << 24;  // size or count
const CLI::Range kPositive(std::int64_t{1}, kLargest);

constexpr const char* kFooter =
    "Times are medians of the repetitions with the lowest and highest; in each repetition all\n"
    "competitors run in turn on the same inputs. The last column is the peer's time over zebra's\n"
    "in the same repetition, its median. FLOP/s count visible pairs of query and key only: 4 D\n"
    "forward and 10 D backward for each, by query head. Their share is of a matrix product of\n"
    "2048^3 in the same type, timed in the same repetition. Bytes are the least that must move:\n"
    "with e bytes per element and N = B T tokens,\n"
    "  forward   e N D (2 Hq + 2 Hkv) + 4 N Hq + 4 T D\n"
    "  backward  e N D (4 Hq + 4 Hkv) + 4 N Hq + 4 T D\n\n"
    "zebra reads a packed projection and writes a packed gradient in place, with rotary embedding\n"
    "inside. Peers read the same memory, have zebra's own rotary operation before them and write\n"
    "separate gradients. For global peers W is all earlier tokens: another task, whose rate\n"
    "counts its own pairs; only the time compares. Before it is timed, each peer's output and\n"
    "gradients are compared with zebra's: status 1 where they differ.\n\n"
    "Examples:\n"
    "  zebra_bench_attention --csv attention.csv\n"
    "  zebra_bench_attention --head-size 64 --window 512 --type bfloat16 --repetitions 15\n"
    "  zebra_bench_attention --instruction-set avx2 --peers none\n"
    "  zebra_bench_attention --length-sweep";

template <typename Value>
std::vector<Value> value_or(const std::vector<Value>& values, std::vector<Value> defaults) {
  return values.empty() ? std::move(defaults) : values;
}

std::vector<std::string> peer_names() {
  std::vector<std::string> names = {"none"};
  for (const auto& peer : all_peers()) names.push_back(peer.name);
  return names;
}

std::string peer_help() {
  std::string text = "What to compare with (default: all that support the case):";
  for (const auto& peer : all_peers()) text += "\n  " + peer.name + ": " + peer.description;
  return text + "\n  none: zebra alone";
}

void add_shape_options(CLI::App& app, Options& options) {
  const auto list = [&](const char* name, std::vector<std::int64_t>& values, const char* help) {
    return app.add_option(name, values, help)->delimiter(',')->type_name("LIST")->group("Shapes");
  };
  app.add_option("--type", options.types,
                 "float32, bfloat16 (default: bfloat16, and one case in float32 on the CPU)")
      ->delimiter(',')
      ->check(CLI::IsMember({"float32", "bfloat16"}))
      ->type_name("LIST")
      ->group("Shapes");
  list("-D,--head-size", options.head_sizes, "D, even (default: 32,64,128)")
      ->check(CLI::Range(std::int64_t{2}, kLargestHead));
  list("-W,--window", options.windows,
       "W, earlier tokens that a token sees (default: 128,512,1024)")
      ->check(kPositive);
  list("-T,--length", options.lengths,
       "T, tokens of a sequence (default: 4096, on CUDA 16384; in a sweep 2048 .. 65536)")
      ->check(CLI::Range(std::int64_t{2}, kLargest));
  const auto number = [&](const char* name, std::int64_t& value, const char* help) {
    app.add_option(name, value, help)->check(kPositive)->type_name("N")->group("Shapes");
  };
  number("-B,--batch", options.batch, "B, sequences (default: 1)");
  number("-H,--heads", options.heads, "Hq, query heads (default: 8, on CUDA 32)");
  number("--key-heads", options.key_heads, "Hkv, a divisor of Hq (default: Hq)");
  number("--document-length", options.document_length,
         "Mean tokens of the documents packed into a sequence (default: one document)");
}

}  // namespace

void Options::add_to(CLI::App& app) {
  add_shape_options(app, *this);
  app.add_option("--peers", peers, peer_help())
      ->delimiter(',')
      ->check(CLI::IsMember(peer_names()))
      ->type_name("LIST");
  app.add_option("--device", device, "cpu or cuda (default: both where there is a GPU)")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->type_name("NAME");
  app.add_option(
         "--instruction-set", instruction_set,
         "Of zebra on the CPU: portable, avx2, avx512, avx512_bf16, amx_bf16 (default: the best)")
      ->type_name("NAME");
  app.add_option("--threads", threads, "Of the CPU, for all competitors (default: LibTorch's)")
      ->check(kPositive)
      ->type_name("N");
  app.add_option("--repetitions", repetitions, "Repetitions of each case (default: 5)")
      ->check(kPositive)
      ->type_name("N");
  app.add_flag("--no-rotary", without_rotary, "Leave rotary embedding out, ours and the peers'");
  app.add_flag("--length-sweep", length_sweep,
               "zebra alone: time and memory per token from T = 2048 to 65536 (D 64, W 512)");
  app.add_option("--csv", csv, "Write all figures to a file too")->type_name("FILE");
  app.footer(kFooter);
}

std::vector<torch::DeviceType> Options::chosen_devices() const {
#ifdef ZEBRA_WITH_CUDA
  const bool has_cuda = torch::cuda::is_available();
#else
  const bool has_cuda = false;
#endif
  if (device == "cuda" && !has_cuda) {
    throw InputError("--device cuda: this build has no CUDA, or there is no GPU");
  }
  std::vector<torch::DeviceType> devices;
  if (device != "cuda") devices.push_back(torch::kCPU);
  if (device != "cpu" && has_cuda) devices.push_back(torch::kCUDA);
  return devices;
}

std::vector<Case> Options::cases(torch::DeviceType on) const {
  const bool cpu = on == torch::kCPU;
  Case shape;
  shape.device = on;
  shape.batch = batch;
  shape.query_heads = heads > 0 ? heads : cpu ? 8 : 32;
  shape.key_heads = key_heads > 0 ? key_heads : shape.query_heads;
  shape.document_length = document_length;
  if (shape.query_heads % shape.key_heads != 0) {
    throw InputError("--key-heads " + std::to_string(shape.key_heads) +
                     " does not divide --heads " + std::to_string(shape.query_heads));
  }
  using Sizes = std::vector<std::int64_t>;
  const auto all_lengths =
      value_or(lengths, length_sweep ? Sizes{2048, 4096, 8192, 16384, 32768, 65536}
                                     : Sizes{cpu ? 4096 : 16384});
  std::vector<Case> list;
  for (const auto& type : value_or(types, {"bfloat16"})) {
    shape.type = type == "float32" ? torch::kFloat32 : torch::kBFloat16;
    for (const auto head_size :
         value_or(head_sizes, length_sweep ? Sizes{64} : Sizes{32, 64, 128})) {
      if (head_size % 2 != 0) {
        throw InputError("--head-size " + std::to_string(head_size) +
                         " is odd: rotary turns pairs");
      }
      shape.head_size = head_size;
      for (const auto window :
           value_or(windows, length_sweep ? Sizes{512} : Sizes{128, 512, 1024})) {
        shape.window = window;
        for (const auto length : all_lengths) {
          shape.length = length;
          list.push_back(shape);
        }
      }
    }
  }
  if (cpu && !length_sweep && types.empty() && head_sizes.empty() && windows.empty()) {
    shape.type = torch::kFloat32;
    shape.head_size = 64;
    shape.window = 512;
    list.push_back(shape);
  }
  return list;
}

std::optional<kernels::InstructionSet> Options::chosen_instruction_set() const {
  if (instruction_set.empty()) return std::nullopt;
  std::vector<std::string> supported;
  for (const auto set : kInstructionSets) {
    if (!kernels::is_supported(set)) continue;
    supported.push_back(kernels::instruction_set_name(set));
    if (supported.back() == instruction_set) return set;
  }
  throw InputError("--instruction-set " + instruction_set + ": this processor and build have " +
                   join(supported, ", "));
}

std::vector<Peer> Options::chosen_peers(const std::vector<Case>& all_cases) const {
  const bool none = std::find(peers.begin(), peers.end(), "none") != peers.end();
  if (none && peers.size() > 1) throw InputError("--peers none: names no other peer beside it");
  std::vector<Peer> list;
  for (const auto& peer : all_peers()) {
    const bool named = std::find(peers.begin(), peers.end(), peer.name) != peers.end();
    if (named && std::none_of(all_cases.begin(), all_cases.end(), peer.supports)) {
      throw InputError("--peers " + peer.name + ": no case of this run has what it supports (" +
                       peer.description + ")");
    }
    if (named || peers.empty()) list.push_back(peer);
  }
  return list;
}

}  // namespace zebra::bench
