#pragma once

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "csrc_kernels/local_attention_reference.h"

// Runs kernels on a case and compares with the reference; any kernels that offer
//   std::size_t saved_bytes(shape), workspace_bytes(shape)
//   void forward(LocalAttentionForward, void* saved), backward(LocalAttentionBackward, const void*
//   saved)
// and any Memory with `static void* allocate(std::size_t bytes)`, aligned to 256, and `free`.

namespace zebra::kernels::testing {

struct HostMemory {
  static void* allocate(std::size_t bytes) {
    void* memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
  }
  static void free(void* memory) { std::free(memory); }
};

/// Memory of exactly `count` elements between two guards, poisoned with NaN.
template <class Memory>
class Array {
 public:
  Array(ElementType type, std::int64_t count)
      : type_(type), size_(type == ElementType::kFloat32 ? 4 : 2), count_(count) {
    bytes_ = static_cast<unsigned char*>(Memory::allocate(total()));
    std::memset(bytes_, 0xff, total());
  }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  ~Array() { Memory::free(bytes_); }

  void* data() { return bytes_ + kGuard * size_; }
  double get(std::int64_t i) const {
    const auto* at = bytes_ + (kGuard + i) * size_;
    float single;
    std::uint16_t half;
    if (type_ == ElementType::kFloat32) return std::memcpy(&single, at, 4), single;
    return std::memcpy(&half, at, 2), from_bfloat16(half);
  }
  void set(std::int64_t i, double x) {
    auto* at = bytes_ + (kGuard + i) * size_;
    const auto single = static_cast<float>(x);
    const auto half = to_bfloat16(single);
    std::memcpy(at, type_ == ElementType::kFloat32 ? static_cast<const void*>(&single) : &half,
                static_cast<std::size_t>(size_));
  }
  bool guards_untouched() const {
    for (std::size_t i = 0; i < static_cast<std::size_t>(kGuard * size_); ++i)
      if (bytes_[i] != 0xff || bytes_[total() - 1 - i] != 0xff) return false;
    return true;
  }
  bool operator==(const Array& other) const {
    return total() == other.total() && std::memcmp(bytes_, other.bytes_, total()) == 0;
  }

 private:
  static constexpr std::int64_t kGuard = 128;
  std::size_t total() const { return static_cast<std::size_t>((count_ + 2 * kGuard) * size_); }

  ElementType type_;
  std::int64_t size_, count_;
  unsigned char* bytes_;
};

/// Scratch memory of a kernel, poisoned with NaN.
template <class Memory>
class Scratch {
 public:
  explicit Scratch(std::size_t bytes) : data_(bytes == 0 ? nullptr : Memory::allocate(bytes)) {
    if (bytes > 0) std::memset(data_, 0xff, bytes);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    if (data_ != nullptr) Memory::free(data_);
  }
  void* data() const { return data_; }

 private:
  void* data_;
};

/// Numbers that a kernel reads as they are.
template <class Memory, class T>
class Table {
 public:
  explicit Table(const std::vector<T>& values) : scratch_(values.size() * sizeof(T)) {
    if (!values.empty()) std::memcpy(scratch_.data(), values.data(), values.size() * sizeof(T));
  }
  T* data() const { return static_cast<T*>(scratch_.data()); }

 private:
  Scratch<Memory> scratch_;
};

/// A case in the layout of a packed projection, [B, T, Hq + 2 Hkv, D].
template <class Memory = HostMemory>
struct Run {
  Run(const Case& a_case, const Inputs& in)
      : c(a_case),
        query_heads(c.key_heads * c.group),
        packed_row((query_heads + 2 * c.key_heads) * c.head_size),
        row(query_heads * c.head_size),
        packed(c.type, c.batch * c.length * packed_row),
        gradient(c.type, c.batch * c.length * packed_row),
        out(c.type, c.batch * c.length * row),
        d_out(c.type, c.batch * c.length * row),
        log_sum_exp(ElementType::kFloat32, c.batch * c.length * query_heads),
        first_token(in.first_token),
        cos(in.cos),
        sin(in.sin),
        sinks(in.sinks) {
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
  LocalAttentionForward forward_arguments() {
    return {inputs(),
            {out.data(), c.length * row, row, c.head_size},
            static_cast<float*>(log_sum_exp.data())};
  }
  LocalAttentionBackward backward_arguments() {
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
    return arguments;
  }

  /// Forward and backward.
  template <class Kernels>
  void with(const Kernels& kernels) {
    const Scratch<Memory> saved(kernels.saved_bytes(shape)),
        workspace(kernels.workspace_bytes(shape));
    kernels.forward(forward_arguments(), saved.data());
    if (!sinks.empty()) count_sinks();
    auto arguments = backward_arguments();
    arguments.has_sink = !sinks.empty();
    arguments.workspace = workspace.data();
    kernels.backward(arguments, saved.data());
  }

  /// Makes what the forward gave that of one more score for each query.
  void count_sinks() {
    for (std::int64_t i = 0; i < c.batch * query_heads * c.length; ++i) {
      const std::int64_t token = i % c.length, head = i / c.length % query_heads,
                         batch = i / c.length / query_heads;
      const double before = log_sum_exp.get(i), sink = sinks[static_cast<std::size_t>(head)],
                   after = std::max(before, sink) + std::log1p(std::exp(-std::abs(before - sink)));
      log_sum_exp.set(i, after);
      for (std::int64_t j = 0; j < c.head_size; ++j) {
        const auto at = (batch * c.length + token) * row + head * c.head_size + j;
        out.set(at, out.get(at) * std::exp(before - after));
      }
    }
  }

  Results results() const {
    Results r;
    const auto dense = [&](const Array<Memory>& from, std::int64_t count, Values& to) {
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
  bool same_bits(const Run& other) const {
    return out == other.out && log_sum_exp == other.log_sum_exp && gradient == other.gradient;
  }

  Case c;
  std::int64_t query_heads, packed_row, row;
  Array<Memory> packed, gradient, out, d_out, log_sum_exp;
  Table<Memory, std::int64_t> first_token;
  Table<Memory, float> cos, sin;
  Values sinks;
  LocalAttentionShape shape;
};

/// NaN when any value is.
inline double largest_difference(const Values& a, const Values& b) {
  if (a.size() != b.size()) return std::nan("");
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(a[i] - b[i]);
    if (!(difference <= largest)) largest = difference;
    if (std::isnan(difference)) return difference;
  }
  return largest;
}

/// A case with what is right and how far the same arithmetic, done naively in its type, is from
/// that.
struct Expected {
  explicit Expected(const Case& c)
      : Expected(c, make_inputs(c, static_cast<std::uint64_t>(c.length * 31 + c.window))) {}
  Expected(const Case& c, Inputs inputs)
      : in(std::move(inputs)),
        exact(Reference<double, false>(c, in).run()),
        naive(c.type == ElementType::kFloat32 ? Reference<float, false>(c, in).run()
                                              : Reference<float, true>(c, in).run()) {}

  Inputs in;
  Results exact, naive;
};

/// What is wrong with a run: empty when every result is at most twice as far from the exact one as
/// the naive one is, plus 1e-6 (float32; relative to 1 + the largest value) or one unit of bfloat16
/// of the largest value.
template <class Memory>
std::string errors_of(const Run<Memory>& run, const Expected& expected) {
  const auto actual = run.results();
  std::string errors;
  const auto compare = [&](const char* what, const Values& values, const Values& naive,
                           const Values& exact) {
    double largest = 0;
    for (const double x : exact) largest = std::max(largest, std::abs(x));
    const double unit =
        run.c.type == ElementType::kFloat32 ? 1e-6 * (1 + largest) : 0x1.0p-8 * largest;
    const double difference = largest_difference(values, exact),
                 bound = 2 * largest_difference(naive, exact) + unit;
    if (difference <= bound) return;  // not so for NaN
    errors += std::string(what) + " differs by " + std::to_string(difference) + ", bound " +
              std::to_string(bound) + "; ";
  };
  compare("out", actual.out, expected.naive.out, expected.exact.out);
  compare("log_sum_exp", actual.log_sum_exp, expected.naive.log_sum_exp,
          expected.exact.log_sum_exp);
  compare("dq", actual.dq, expected.naive.dq, expected.exact.dq);
  compare("dk", actual.dk, expected.naive.dk, expected.exact.dk);
  compare("dv", actual.dv, expected.naive.dv, expected.exact.dv);
  if (!run.guards_untouched()) errors += "wrote outside an output; ";
  return errors.empty() ? errors : run.c.text() + ": " + errors;
}

/// Puts non-finite rows of q, k, v and d_out into one head of one sequence: every output row of
/// another sequence, of a head that does not use the row, or of a tile of `tile` tokens that does
/// not meet the row's tile inside the window must stay finite. Returns what is wrong.
template <class Memory, class Kernels>
std::string strays_of_non_finite_rows(const Kernels& kernels, std::int64_t head_size,
                                      ElementType type, std::int64_t tile) {
  const std::int64_t bad_token = 2 * tile + 44;
  const Case c{4 * tile + 5, tile, head_size, 2, 2, 2, Rotary::kShared, false, type};
  std::string errors;
  for (int which = 0; which < 4; ++which) {
    const bool of_queries = which == 0 || which == 3;
    for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
      auto in = make_inputs(c, 9);
      auto& array = which == 0 ? in.q : which == 1 ? in.k : which == 2 ? in.v : in.d_out;
      const auto heads = of_queries ? c.key_heads * c.group : c.key_heads;
      for (std::int64_t j = 0; j < c.head_size; ++j)  // sequence 1, head 1
        array[static_cast<std::size_t>(((c.length + bad_token) * heads + 1) * c.head_size + j)] =
            bad;
      Run<Memory> run(c, in);
      run.with(kernels);
      const auto actual = run.results();
      std::int64_t reached = 0;
      const auto check = [&](const char* what, const Values& values, bool by_keys) {
        const auto value_heads = by_keys ? c.key_heads : c.key_heads * c.group;
        std::int64_t strays = 0;
        for (std::size_t i = 0; i < values.size(); ++i) {
          if (std::isfinite(values[i])) continue;
          const auto row = static_cast<std::int64_t>(i) / c.head_size, head = row % value_heads,
                     token = row / value_heads;
          // Query head 1 belongs to key head 0; key head 1 serves the query heads 2 and 3.
          const bool same_head =
              of_queries ? head == (by_keys ? 0 : 1) : (by_keys ? head : head / c.group) == 1;
          // Queries that saw a bad key, or the bad query, reach the keys that they saw.
          const auto of_tile = token % c.length / tile;
          const bool near = of_queries ? (by_keys ? of_tile == 1 || of_tile == 2 : of_tile == 2)
                                       : of_tile >= (by_keys ? 1 : 2) && of_tile <= 3;
          (token / c.length == 1 && same_head && near ? reached : strays) += 1;
        }
        if (strays == 0) return;
        errors += std::string("a non-finite row of array ") + std::to_string(which) + " reached " +
                  std::to_string(strays) + " elements of " + what + "; ";
      };
      check("out", actual.out, false);
      check("dq", actual.dq, false);
      check("dk", actual.dk, true);
      check("dv", actual.dv, true);
      if (reached == 0)
        errors += "a non-finite row of array " + std::to_string(which) + " is lost; ";
    }
  }
  return errors;
}

}  // namespace zebra::kernels::testing
