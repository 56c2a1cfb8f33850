#include "zebra_kernels/local_attention.h"

#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <thread>

#include "cpu/vector.h"
#include "csrc_kernels/local_attention_reference.h"
#include "support/catch.h"

namespace zebra::kernels::testing {
namespace {

std::vector<InstructionSet> supported_sets() {
  std::vector<InstructionSet> sets;
  for (const auto set : {InstructionSet::kPortable, InstructionSet::kAvx2, InstructionSet::kAvx512,
                         InstructionSet::kAvx512Bf16})
    if (is_supported(set)) sets.push_back(set);
  return sets;
}

ParallelFor threads(int count) {
  return [count](std::int64_t tasks, const std::function<void(std::int64_t)>& body) {
    std::vector<std::thread> pool;
    for (int thread = 0; thread < count; ++thread) {
      pool.emplace_back([=, &body] {
        for (auto task = tasks - 1 - thread; task >= 0; task -= count) body(task);
      });
    }
    for (auto& thread : pool) thread.join();
  };
}

void serial(std::int64_t tasks, const std::function<void(std::int64_t)>& body) {
  for (std::int64_t task = 0; task < tasks; ++task) body(task);
}

/// Memory of exactly `count` elements between two guards, poisoned with NaN.
class Array {
 public:
  Array(ElementType type, std::int64_t count)
      : type_(type), size_(type == ElementType::kFloat32 ? 4 : 2), count_(count) {
    bytes_.assign(static_cast<std::size_t>((count + 2 * kGuard) * size_), 0xff);
  }

  void* data() { return bytes_.data() + kGuard * size_; }
  double get(std::int64_t i) const {
    const auto* at = bytes_.data() + (kGuard + i) * size_;
    float single;
    std::uint16_t half;
    if (type_ == ElementType::kFloat32) return std::memcpy(&single, at, 4), single;
    return std::memcpy(&half, at, 2), from_bfloat16(half);
  }
  void set(std::int64_t i, double x) {
    auto* at = bytes_.data() + (kGuard + i) * size_;
    const auto single = static_cast<float>(x);
    const auto half = to_bfloat16(single);
    std::memcpy(at, type_ == ElementType::kFloat32 ? static_cast<const void*>(&single) : &half,
                static_cast<std::size_t>(size_));
  }
  bool guards_untouched() const {
    for (std::int64_t i = 0; i < kGuard * size_; ++i) {
      const auto before = static_cast<std::size_t>(i), behind = bytes_.size() - 1 - before;
      if (bytes_[before] != 0xff || bytes_[behind] != 0xff) return false;
    }
    return true;
  }
  bool operator==(const Array& other) const { return bytes_ == other.bytes_; }

 private:
  static constexpr std::int64_t kGuard = 64;
  ElementType type_;
  std::int64_t size_, count_;
  std::vector<unsigned char> bytes_;
};

/// A case in the layout of a packed projection, [B, T, Hq + 2 Hkv, D].
struct Run {
  Run(const Case& a_case, const Inputs& in)
      : c(a_case),
        query_heads(c.key_heads * c.group),
        packed_row((query_heads + 2 * c.key_heads) * c.head_size),
        row(query_heads * c.head_size),
        packed(c.type, c.batch * c.length * packed_row),
        gradient(packed),
        out(c.type, c.batch * c.length * row),
        d_out(out),
        log_sum_exp(ElementType::kFloat32, c.batch * c.length * query_heads),
        first_token(in.first_token),
        cos(in.cos),
        sin(in.sin) {
    for_each(0, query_heads, [&](auto i, auto at) { packed.set(at, in.q[i]); });
    for_each(query_heads, c.key_heads, [&](auto i, auto at) { packed.set(at, in.k[i]); });
    for_each(query_heads + c.key_heads, c.key_heads,
             [&](auto i, auto at) { packed.set(at, in.v[i]); });
    for (std::size_t i = 0; i < in.d_out.size(); ++i)
      d_out.set(static_cast<std::int64_t>(i), in.d_out[i]);
    shape = {c.batch, c.length, query_heads, c.key_heads, c.head_size, c.window, c.type};
  }

  /// f(index in a dense [B, T, heads, D], index in the packed array).
  template <class F>
  void for_each(std::int64_t first_head, std::int64_t heads, F f) const {
    std::size_t i = 0;
    for (std::int64_t token = 0; token < c.batch * c.length; ++token)
      for (std::int64_t j = 0; j < heads * c.head_size; ++j)
        f(i++, token * packed_row + first_head * c.head_size + j);
  }

  LocalAttentionInputs inputs() {
    const auto part = [&](std::int64_t head) {
      const auto bytes = c.type == ElementType::kFloat32 ? 4 : 2;
      return HeadArray{static_cast<char*>(packed.data()) + head * c.head_size * bytes,
                       c.length * packed_row, packed_row, c.head_size};
    };
    LocalAttentionInputs in;
    in.shape = shape;
    in.q = part(0);
    in.k = part(query_heads);
    in.v = part(query_heads + c.key_heads);
    if (c.documents) in.first_token = first_token.data();
    if (c.rotary != Rotary::kNone) {
      in.rotary = {cos.data(), sin.data(),
                   c.rotary == Rotary::kShared ? 0 : c.length * c.head_size / 2, c.head_size / 2};
    }
    return in;
  }

  void forward(const ParallelFor& parallel_for, InstructionSet set) {
    local_attention_forward({inputs(),
                             {out.data(), c.length * row, row, c.head_size},
                             static_cast<float*>(log_sum_exp.data())},
                            parallel_for, set);
  }
  void backward(const ParallelFor& parallel_for, InstructionSet set) {
    const auto part = [&](std::int64_t head) {
      const auto bytes = c.type == ElementType::kFloat32 ? 4 : 2;
      return MutableHeadArray{static_cast<char*>(gradient.data()) + head * c.head_size * bytes,
                              c.length * packed_row, packed_row, c.head_size};
    };
    LocalAttentionBackward arguments;
    arguments.inputs = inputs();
    arguments.out = {out.data(), c.length * row, row, c.head_size};
    arguments.log_sum_exp = static_cast<const float*>(log_sum_exp.data());
    arguments.d_out = {d_out.data(), c.length * row, row, c.head_size};
    arguments.dq = part(0);
    arguments.dk = part(query_heads);
    arguments.dv = part(query_heads + c.key_heads);
    const auto bytes = local_attention_backward_workspace_bytes(shape);
    const std::unique_ptr<void, decltype(&std::free)> workspace(
        bytes == 0 ? nullptr : std::aligned_alloc(64, bytes), &std::free);
    if (bytes > 0) std::memset(workspace.get(), 0xff, bytes);
    arguments.workspace = workspace.get();
    local_attention_backward(arguments, parallel_for, set);
  }

  Results results() const {
    Results r;
    const auto dense = [&](const Array& from, std::int64_t count, Values& to) {
      for (std::int64_t i = 0; i < count; ++i) to.push_back(from.get(i));
    };
    dense(out, c.batch * c.length * row, r.out);
    dense(log_sum_exp, c.batch * c.length * query_heads, r.log_sum_exp);
    for_each(0, query_heads, [&](auto, auto at) { r.dq.push_back(gradient.get(at)); });
    for_each(query_heads, c.key_heads, [&](auto, auto at) { r.dk.push_back(gradient.get(at)); });
    for_each(query_heads + c.key_heads, c.key_heads,
             [&](auto, auto at) { r.dv.push_back(gradient.get(at)); });
    return r;
  }
  bool guards_untouched() const {
    return out.guards_untouched() && log_sum_exp.guards_untouched() && gradient.guards_untouched();
  }

  Case c;
  std::int64_t query_heads, packed_row, row;
  Array packed, gradient, out, d_out, log_sum_exp;
  std::vector<std::int64_t> first_token;
  std::vector<float> cos, sin;
  LocalAttentionShape shape;
};

/// NaN when any value is.
double largest_difference(const Values& a, const Values& b) {
  if (a.size() != b.size()) return std::nan("");
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(a[i] - b[i]);
    if (!(difference <= largest)) largest = difference;
    if (std::isnan(difference)) return difference;
  }
  return largest;
}

void require_as_exact_as_naive(const char* what, const Values& actual, const Values& naive,
                               const Values& exact, ElementType type) {
  double largest = 0;
  for (const double x : exact) largest = std::max(largest, std::abs(x));
  const double unit = type == ElementType::kFloat32 ? 1e-6 * (1 + largest) : 0x1.0p-8 * largest;
  const double difference = largest_difference(actual, exact),
               bound = 2 * largest_difference(naive, exact) + unit;
  INFO(what << ": largest difference " << difference << ", bound " << bound);
  CHECK(difference <= bound);
}

/// Every pair of neighbouring factors' values meets; long cases keep to small heads.
std::vector<Case> covering_cases() {
  static constexpr std::int64_t kLengths[] = {1, 2, 17, 63, 64, 65, 127, 200, 513};
  static constexpr std::int64_t kWindows[] = {0, 1, 15, 16, 63, 64, 100, 512, 1000};
  static constexpr std::int64_t kHeads[] = {2, 6, 32, 64, 96, 128, 256};
  static constexpr std::int64_t kGroups[] = {1, 4, 8};
  std::vector<Case> cases;
  for (std::size_t l = 0; l < 9; ++l) {
    for (std::size_t w = 0; w < 9; ++w) {
      // All 81 pairs of length and window, the other factors at strides prime to each other.
      const std::size_t i = 9 * l + w;
      const bool heavy = kLengths[l] >= 200 && w >= 4;
      cases.push_back({kLengths[l], kWindows[w], kHeads[(i + l) % (heavy ? 4 : 7)],
                       1 + static_cast<std::int64_t>(i % 2), kGroups[heavy ? i % 2 : i % 3],
                       1 + static_cast<std::int64_t>(i / 2 % 2), static_cast<Rotary>(i / 3 % 3),
                       (i / 5) % 2 == 0,
                       (i + l) % 2 == 0 ? ElementType::kFloat32 : ElementType::kBfloat16});
    }
  }
  // Several chunks of a sequence, with and without a remainder; every tuned head size.
  for (const std::int64_t head_size : {32, 64, 96, 128})
    for (const auto type : {ElementType::kFloat32, ElementType::kBfloat16})
      cases.push_back({700, head_size, head_size, 1, 1, 1, Rotary::kShared, false, type});
  return cases;
}

TEST_CASE("local attention is as exact as its definition in the same precision") {
  for (const auto& c : covering_cases()) {
    INFO(c.text());
    const auto in = make_inputs(c, static_cast<std::uint64_t>(c.length * 31 + c.window));
    const auto exact = Reference<double, false>(c, in).run();
    const auto naive = c.type == ElementType::kFloat32 ? Reference<float, false>(c, in).run()
                                                       : Reference<float, true>(c, in).run();
    for (const auto set : supported_sets()) {
      INFO(instruction_set_name(set));
      Run run(c, in);
      run.forward(serial, set);
      run.backward(serial, set);
      const auto actual = run.results();
      require_as_exact_as_naive("out", actual.out, naive.out, exact.out, c.type);
      require_as_exact_as_naive("log_sum_exp", actual.log_sum_exp, naive.log_sum_exp,
                                exact.log_sum_exp, c.type);
      require_as_exact_as_naive("dq", actual.dq, naive.dq, exact.dq, c.type);
      require_as_exact_as_naive("dk", actual.dk, naive.dk, exact.dk, c.type);
      require_as_exact_as_naive("dv", actual.dv, naive.dv, exact.dv, c.type);
      CHECK(run.guards_untouched());
    }
  }
}

TEST_CASE("local attention gives the same bits again and on any number of threads") {
  for (const auto type : {ElementType::kFloat32, ElementType::kBfloat16}) {
    const Case c{900, 70, 64, 2, 2, 2, Rotary::kPerSequence, true, type};
    const auto in = make_inputs(c, 5);
    for (const auto set : supported_sets()) {
      Run first(c, in);
      first.forward(serial, set);
      first.backward(serial, set);
      for (const int count : {1, 2, 3}) {
        Run again(c, in);
        again.forward(threads(count), set);
        again.backward(threads(count), set);
        CHECK(again.out == first.out);
        CHECK(again.log_sum_exp == first.log_sum_exp);
        CHECK(again.gradient == first.gradient);
      }
    }
  }
}

TEST_CASE("a non-finite row reaches only its batch, its head and the tiles that hold it") {
  constexpr std::int64_t kBad = 300, kTile = 64, kWindow = 64;  // the row is in tile 4
  for (const auto type : {ElementType::kFloat32, ElementType::kBfloat16}) {
    const Case c{640, kWindow, 32, 2, 2, 2, Rotary::kShared, false, type};
    for (int which = 0; which < 3; ++which) {
      for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
        auto in = make_inputs(c, 9);
        auto& array = which == 0 ? in.q : which == 1 ? in.k : in.v;
        const auto heads = which == 0 ? c.key_heads * c.group : c.key_heads;
        for (std::int64_t j = 0; j < c.head_size; ++j)  // sequence 1, head 1
          array[static_cast<std::size_t>(((c.length + kBad) * heads + 1) * c.head_size + j)] = bad;
        for (const auto set : supported_sets()) {
          INFO(instruction_set_name(set) << " array " << which);
          Run run(c, in);
          run.forward(serial, set);
          run.backward(serial, set);
          const auto actual = run.results();
          const auto check = [&](const Values& values, std::int64_t value_heads, bool of_keys) {
            std::int64_t strays = 0, reached = 0;
            for (std::size_t i = 0; i < values.size(); ++i) {
              if (std::isfinite(values[i])) continue;
              const auto row = static_cast<std::int64_t>(i) / c.head_size, head = row % value_heads,
                         token = row / value_heads;
              const bool same_head = which == 0 && !of_keys ? head == 1
                                     : of_keys              ? head == (which == 0 ? 0 : 1)
                                                            : head / c.group == 1;
              const auto tile = token % c.length / kTile;
              const bool near = of_keys || which == 0 ? tile >= 3 && tile <= 5 : tile >= 4;
              // Through a query that saw the row, gradients reach the keys of that query.
              const bool in_reach = near && tile <= 5;
              (token / c.length == 1 && same_head && in_reach ? reached : strays) += 1;
            }
            CHECK(strays == 0);
            return reached;
          };
          const auto reached = check(actual.out, 4, false);
          CHECK(reached > 0);
          check(actual.dq, 4, false);
          check(actual.dk, 2, true);
          check(actual.dv, 2, true);
        }
      }
    }
  }
}

template <bool kExact>
double largest_exp2_error() {
  double largest = 0;
  for (int i = 0; i <= 200000; ++i) {
    const float x = -125.0F + static_cast<float>(i) * (126.0F / 200000.0F);
    const double exact = std::exp2(static_cast<double>(x));
    const double error =
        std::abs(static_cast<double>(exp2<kExact>(broadcast(x))[kLanes - 1]) / exact - 1.0);
    if (!(error <= largest)) largest = error;
  }
  return largest;
}

TEST_CASE("the vectorised exponential is as exact as it says") {
  CHECK(largest_exp2_error<true>() <= 2e-7);
  CHECK(largest_exp2_error<false>() <= 1e-5);
  CHECK(exp2<true>(broadcast(0.0F))[0] == 1.0F);
  CHECK(exp2<false>(broadcast(0.0F))[0] == 1.0F);
  CHECK(exp2<true>(broadcast(-std::numeric_limits<float>::infinity()))[0] == 0.0F);
  CHECK(exp2<true>(broadcast(-161.0F))[0] == 0.0F);
  CHECK(std::isnan(exp2<true>(broadcast(std::nanf("")))[0]));
}

TEST_CASE("local attention refuses what it cannot do") {
  const Case c{8, 3, 4, 1, 2, 1, Rotary::kNone, true, ElementType::kFloat32};
  Run run(c, make_inputs(c, 1));
  const auto refuse = [&](auto change) {
    LocalAttentionForward arguments{
        run.inputs(), {run.out.data(), 64, 8, 4}, static_cast<float*>(run.log_sum_exp.data())};
    change(arguments);
    CHECK_THROWS_AS(local_attention_forward(arguments, serial), std::invalid_argument);
  };
  refuse([](auto& a) { a.inputs.shape.window = -1; });
  refuse([](auto& a) { a.inputs.shape.head_size = 5; });
  refuse([](auto& a) { a.inputs.shape.head_size = 258; });
  refuse([](auto& a) { a.inputs.shape.query_heads = 0; });
  refuse([](auto& a) { a.inputs.shape.key_heads = 3; });
  refuse([](auto& a) { a.inputs.k.data = nullptr; });
  refuse([](auto& a) { a.out.data = nullptr; });
  refuse([&](auto& a) { a.inputs.rotary.cos = run.cos.data(); });
  run.first_token[3] = 4;
  refuse([](auto&) {});
}

}  // namespace
}  // namespace zebra::kernels::testing
