#include "data/sample_plan.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <tuple>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"

namespace zebra {
namespace {

// A part that shares its sample with others.
struct Item {
  DocumentPart part;
  std::uint64_t turn;  // among those of its length
};

// Samples with room left, by how much that is.
class OpenSamples {
 public:
  /// The sample in which the item leaves least room; a new one where it fits into none.
  std::size_t place(std::int64_t inputs, std::int64_t length) {
    const auto tightest = by_room_.lower_bound(inputs);
    if (tightest == by_room_.end()) {
      add(length - inputs, next_);
      return next_++;
    }
    const std::int64_t room = tightest->first - inputs;
    const std::size_t sample = tightest->second.back();
    tightest->second.pop_back();
    if (tightest->second.empty()) by_room_.erase(tightest);
    add(room, sample);
    return sample;
  }

  std::size_t count() const { return next_; }

 private:
  void add(std::int64_t room, std::size_t sample) {
    if (room > 0) by_room_[room].push_back(sample);
  }

  std::map<std::int64_t, std::vector<std::size_t>> by_room_;
  std::size_t next_ = 0;
};

[[noreturn]] void refuse_long_documents(const std::string& name, std::int64_t count,
                                        std::int64_t longest, std::int64_t length) {
  throw InputError(name + ": " + with_commas(count) + " of its documents " +
                   (count == 1 ? "does" : "do") + " not fit into a sample of " +
                   with_commas(length) + " tokens; the longest has " + with_commas(longest + 1) +
                   " tokens: set data.sequence_length to " + std::to_string(longest) +
                   " or more, or data.overflow to drop or split");
}

std::string key_of(const TokenDataset& dataset, const SamplePlanOptions& options) {
  return hash_of(dataset.fingerprint() + " " + std::to_string(options.length) + " " +
                 name_of(options.overflow) + " " + std::to_string(options.seed));
}

std::filesystem::path file_of(const std::filesystem::path& folder, const TokenDataset& dataset) {
  return folder / (dataset.fingerprint() + ".plan");
}

// A plan's file: these three lines, then numbers of 8 bytes: those of the counts, of samples and of
// parts, where each sample begins, and the parts.
constexpr std::string_view kFirstLine = "zebra sample plan 1\n";
constexpr std::size_t kDigestDigits = 32, kCounts = 6;

std::string file_head(const std::string& key, std::string_view numbers) {
  return std::string(kFirstLine) + key + "\n" + hash_of(numbers) + "\n";
}

}  // namespace

SamplePlan::SamplePlan(std::span<const std::uint64_t> document_offsets,
                       const SamplePlanOptions& options, const std::string& name) {
  const auto turns = RandomStream::named(options.seed, "packing");
  const std::int64_t length = options.length;
  std::vector<Item> items;
  std::vector<DocumentPart> full;
  std::int64_t longest = 0;
  for (std::size_t i = 0; i + 1 < document_offsets.size(); ++i) {
    auto begin = static_cast<std::int64_t>(document_offsets[i]);
    auto inputs = static_cast<std::int64_t>(document_offsets[i + 1]) - begin - 1;
    longest = std::max(longest, inputs);
    counts_.one_token += inputs == 0;
    counts_.too_long += inputs > length;
    if (inputs == 0 || (inputs > length && options.overflow != Overflow::split)) continue;
    ++counts_.documents;
    for (; inputs > length; begin += length, inputs -= length) full.push_back({begin, length});
    items.push_back({{begin, inputs}, turns.bits(i)});
  }
  if (counts_.too_long > 0 && options.overflow == Overflow::error)
    refuse_long_documents(name, counts_.too_long, longest, length);

  std::ranges::sort(items, [](const Item& a, const Item& b) {
    return std::tuple(-a.part.inputs, a.turn, a.part.begin) <
           std::tuple(-b.part.inputs, b.turn, b.part.begin);
  });
  OpenSamples open;
  std::vector<std::size_t> sample_of;
  sample_of.reserve(items.size());
  for (const Item& item : items) sample_of.push_back(open.place(item.part.inputs, length));

  // The parts by sample, those that fill one by themselves last.
  begins_.assign(open.count() + 1, 0);
  for (const auto sample : sample_of) ++begins_[sample + 1];
  for (std::size_t s = 1; s < begins_.size(); ++s) begins_[s] += begins_[s - 1];
  parts_.resize(items.size());
  auto next = begins_;
  for (std::size_t i = 0; i < items.size(); ++i) parts_[next[sample_of[i]]++] = items[i].part;
  for (const auto& part : full) {
    parts_.push_back(part);
    begins_.push_back(parts_.size());
  }
  counts_.padding = samples() * length;
  for (const auto& part : parts_) counts_.padding -= part.inputs;
}

std::span<const DocumentPart> SamplePlan::parts(std::int64_t sample) const {
  const auto s = static_cast<std::size_t>(sample);
  return std::span(parts_).subspan(begins_[s], begins_[s + 1] - begins_[s]);
}

void SamplePlan::store(const std::filesystem::path& folder, const TokenDataset& dataset,
                       const SamplePlanOptions& options) const {
  std::string numbers;
  const auto append = [&numbers](const void* data, std::size_t bytes) {
    numbers.append(static_cast<const char*>(data), bytes);
  };
  const std::int64_t counts[kCounts] = {counts_.documents, counts_.too_long, counts_.one_token,
                                        counts_.padding,   samples(),        std::ssize(parts_)};
  append(counts, sizeof counts);
  append(begins_.data(), begins_.size() * sizeof begins_[0]);
  append(parts_.data(), parts_.size() * sizeof parts_[0]);
  std::filesystem::create_directories(folder);
  write_file_atomically(file_of(folder, dataset),
                        file_head(key_of(dataset, options), numbers) + numbers);
}

// False where the file is another plan's, or damaged.
bool SamplePlan::read(const std::filesystem::path& file, const std::string& key) {
  const std::string content = read_file(file);
  const std::size_t head = kFirstLine.size() + 2 * (kDigestDigits + 1);
  const std::string_view numbers = std::string_view(content).substr(std::min(head, content.size()));
  if (!content.starts_with(file_head(key, numbers))) return false;
  std::int64_t counts[kCounts];
  std::memcpy(counts, numbers.data(), sizeof counts);
  counts_ = {counts[0], counts[1], counts[2], counts[3]};
  begins_.resize(static_cast<std::size_t>(counts[4]) + 1);
  parts_.resize(static_cast<std::size_t>(counts[5]));
  const char* at = numbers.data() + sizeof counts;
  std::memcpy(begins_.data(), at, begins_.size() * sizeof begins_[0]);
  at += begins_.size() * sizeof begins_[0];
  std::memcpy(parts_.data(), at, parts_.size() * sizeof parts_[0]);
  return true;
}

SamplePlan open_sample_plan(const std::filesystem::path& folder, const TokenDataset& dataset,
                            const SamplePlanOptions& options) {
  const auto file = file_of(folder, dataset);
  if (std::filesystem::exists(file)) {
    SamplePlan plan;
    if (plan.read(file, key_of(dataset, options))) return plan;
    log_warning(file.string() + ": is not the plan of this run's samples; they are planned anew");
  }
  return {dataset.document_offsets(), options, dataset.path().string()};
}

}  // namespace zebra
