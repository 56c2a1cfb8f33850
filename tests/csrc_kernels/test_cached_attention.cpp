#include "zebra_kernels/cached_attention.h"

#include "csrc_kernels/row_run.h"

namespace zebra::kernels::testing {
namespace {

struct CachedInputs {
  std::int64_t batch, keys, query_heads, key_heads, head_size;
  ElementType type;
  bool has_sink;
  Values q, k, v;  // dense
  std::vector<float> sink;

  CachedInputs(std::int64_t sequences, std::int64_t key_count, std::int64_t heads,
               std::int64_t shared, std::int64_t width, ElementType element, bool sinks)
      : batch(sequences),
        keys(key_count),
        query_heads(heads),
        key_heads(shared),
        head_size(width),
        type(element),
        has_sink(sinks),
        q(random_values(batch * query_heads * head_size, type, 1)),
        k(random_values(batch * keys * key_heads * head_size, type, 2)),
        v(random_values(batch * keys * key_heads * head_size, type, 3)) {
    for (const double x : random_values(query_heads, ElementType::kFloat32, 4, 6.0))
      sink.push_back(static_cast<float>(x));
  }

  std::size_t place(std::int64_t sequence, std::int64_t key, std::int64_t head) const {
    return at(((sequence * keys + key) * key_heads + head) * head_size);
  }
};

template <class Real>
Values cached_reference(const CachedInputs& in) {
  const auto width = in.head_size;
  Values out;
  for (std::int64_t row = 0; row < in.batch * in.query_heads; ++row) {
    const auto sequence = row / in.query_heads, head = row % in.query_heads;
    const auto shared = head / (in.query_heads / in.key_heads);
    std::vector<Real> scores;
    Real largest =
        in.has_sink ? static_cast<Real>(in.sink[at(head)]) : -std::numeric_limits<Real>::infinity();
    for (std::int64_t key = 0; key < in.keys; ++key) {
      Real dot = 0;
      for (std::int64_t j = 0; j < width; ++j)
        dot += static_cast<Real>(in.q[at(row * width + j)]) *
               static_cast<Real>(in.k[in.place(sequence, key, shared) + at(j)]);
      scores.push_back(dot / std::sqrt(static_cast<Real>(width)));
      largest = std::max(largest, scores.back());
    }
    Real total = in.has_sink ? std::exp(static_cast<Real>(in.sink[at(head)]) - largest) : Real(0);
    for (auto& score : scores) total += score = std::exp(score - largest);
    for (std::int64_t j = 0; j < width; ++j) {
      Real sum = 0;
      for (std::int64_t key = 0; key < in.keys; ++key)
        sum += scores[at(key)] * static_cast<Real>(in.v[in.place(sequence, key, shared) + at(j)]);
      out.push_back(static_cast<double>(sum / total));
    }
  }
  return out;
}

// Keys lie in a cache that has room for more of them, and of more heads: NaN.
struct CachedRun {
  static constexpr std::int64_t kOtherHeads = 1, kFreeKeys = 3;

  explicit CachedRun(const CachedInputs& inputs)
      : in(inputs),
        q(in.type, in.q),
        k(in.type, in_cache(in.k)),
        v(in.type, in_cache(in.v)),
        out(in.type, in.batch * in.query_heads * in.head_size) {}

  std::int64_t key_stride() const { return (in.key_heads + kOtherHeads) * in.head_size; }

  Values in_cache(const Values& dense) const {
    const auto sequence = (in.keys + kFreeKeys) * key_stride();
    Values values(at(in.batch * sequence), std::nan(""));
    for (std::int64_t b = 0; b < in.batch; ++b)
      for (std::int64_t key = 0; key < in.keys; ++key)
        for (std::int64_t i = 0; i < in.key_heads * in.head_size; ++i)
          values[at(b * sequence + key * key_stride() + i)] = dense[in.place(b, key, 0) + at(i)];
    return values;
  }

  CachedAttention arguments() {
    CachedAttention a;
    a.batch = in.batch;
    a.keys = in.keys;
    a.query_heads = in.query_heads;
    a.key_heads = in.key_heads;
    a.head_size = in.head_size;
    a.type = in.type;
    const auto row = in.query_heads * in.head_size, sequence = (in.keys + kFreeKeys) * key_stride();
    a.q = {q.data(), row, row, in.head_size};
    a.k = {k.data(), sequence, key_stride(), in.head_size};
    a.v = {v.data(), sequence, key_stride(), in.head_size};
    a.sink = in.has_sink ? in.sink.data() : nullptr;
    a.out = {out.data(), row, row, in.head_size};
    return a;
  }

  void with(const ParallelFor& parallel_for, InstructionSet set) {
    cached_attention(arguments(), parallel_for, set);
  }
  Values values() const { return values_of(out, at(in.batch * in.query_heads * in.head_size)); }
  bool same_bits(const CachedRun& other) const { return values() == other.values(); }

  std::string errors() const {
    const auto text = errors_of_rows("out", values(), cached_reference<float>(in),
                                     cached_reference<double>(in), in.type, in.head_size);
    return out.guards_untouched() ? text : text + "wrote outside the output; ";
  }

  const CachedInputs& in;
  Input q, k, v;
  Buffer out;
};

TEST_CASE("attention to cached keys is as exact as its definition in float32") {
  struct Shape {
    std::int64_t batch, keys, query_heads, key_heads, head_size;
  };
  for (const auto [batch, keys, query_heads, key_heads, head_size] :
       {Shape{1, 1, 1, 1, 2}, Shape{2, 5, 4, 2, 16}, Shape{1, 64, 6, 1, 32}, Shape{3, 67, 3, 3, 30},
        Shape{1, 130, 8, 2, 64}, Shape{2, 257, 9, 1, 96}, Shape{1, 1027, 4, 4, 128},
        Shape{1, 2049, 5, 1, 80}, Shape{1, 700, 2, 1, 254}, Shape{1, 70, 2, 2, 7}}) {
    for (const auto type : kTypes) {
      for (const bool has_sink : {false, true}) {
        const CachedInputs in(batch, keys, query_heads, key_heads, head_size, type, has_sink);
        for (const auto set : supported_sets()) {
          INFO(instruction_set_name(set)
               << " " << batch << " x " << keys << " keys, heads " << query_heads << "/"
               << key_heads << ", D " << head_size << text_of(type) << (has_sink ? " sink" : ""));
          CachedRun run(in);
          run.with(serial, set);
          CHECK(run.errors() == "");
        }
      }
    }
  }
}

TEST_CASE("attention to cached keys has the same bits on any number of threads") {
  // Several blocks of keys, the last one short.
  const CachedInputs in(2, 3001, 4, 2, 64, ElementType::kBfloat16, true);
  for (const auto set : supported_sets()) {
    CachedRun run(in);
    run.with(serial, set);
    check_any_threads(run, in, set);
  }
}

TEST_CASE("scores far apart, and large ones, leave the nearest key alone") {
  CachedInputs in(1, 200, 1, 1, 16, ElementType::kFloat32, false);
  for (std::int64_t key = 0; key < in.keys; ++key)
    for (std::int64_t j = 0; j < in.head_size; ++j)
      in.k[in.place(0, key, 0) + at(j)] = in.q[at(j)] * (key == 150 ? 100.0 : -100.0);
  for (const auto set : supported_sets()) {
    CachedRun run(in);
    run.with(serial, set);
    INFO(instruction_set_name(set));
    for (std::int64_t j = 0; j < in.head_size; ++j)
      CHECK(run.out.get(j) == in.v[in.place(0, 150, 0) + at(j)]);
  }
}

TEST_CASE("a key that is no number reaches its sequence and its heads alone") {
  CachedInputs in(2, 90, 4, 2, 32, ElementType::kFloat32, false);
  in.k[in.place(0, 80, 1)] = std::nan("");
  for (const auto set : supported_sets()) {
    CachedRun run(in);
    run.with(serial, set);
    INFO(instruction_set_name(set));
    for (std::int64_t i = 0; i < in.batch * in.query_heads * in.head_size; ++i) {
      const auto head = i / in.head_size;
      CHECK(std::isnan(run.out.get(i)) == (head == 2 || head == 3));
    }
  }
}

TEST_CASE("attention to cached keys refuses what does not fit") {
  const CachedInputs in(1, 5, 4, 2, 8, ElementType::kFloat32, false);
  CachedRun run(in);
  const auto refused = refusal_of(cached_attention, [&] { return run.arguments(); });
  refused([](auto& a) { a.keys = 0; });
  refused([](auto& a) { a.batch = -1; });
  refused([](auto& a) { a.key_heads = 3; });
  refused([](auto& a) { a.query_heads = 0; });
  refused([](auto& a) { a.head_size = 0; });
  refused([](auto& a) { a.k.data = nullptr; });
  refused([](auto& a) { a.out.data = nullptr; });
  auto empty = run.arguments();
  empty.batch = 0;
  cached_attention(empty, serial);
  CHECK(std::isnan(run.out.get(0)));
}

}  // namespace
}  // namespace zebra::kernels::testing
