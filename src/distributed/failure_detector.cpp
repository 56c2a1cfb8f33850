#include "distributed/failure_detector.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace zebra {
namespace {

constexpr std::size_t kMostNames = 8;  // in one list: half of a large job may be cut off at once
constexpr const char* kStartAgain =
    ". Start the job again: it continues from the newest whole checkpoint.";

std::string list_of(std::vector<std::string> names) {
  if (names.size() == 1) return names.front();
  std::string last = names.back();
  if (names.size() > kMostNames) {
    last = std::to_string(names.size() - kMostNames) + " more";
    names.resize(kMostNames);
  } else {
    names.pop_back();
  }
  return join(names, ", ") + " and " + last;
}

std::string seconds_text(double seconds) { return fixed(seconds, seconds < 10.0 ? 1 : 0) + " s"; }

std::string place(const RankRecord& record) {
  const std::string step =
      record.step == 0 ? "before the first step" : "at step " + std::to_string(record.step);
  return step + ", " + record.activity;
}

const std::optional<RankRecord>& record_of(const RankRecords& records, int rank) {
  return records[static_cast<std::size_t>(rank)];
}

std::string one_rank(int rank, std::size_t ranks, const std::optional<RankRecord>& record) {
  std::string text = "rank " + std::to_string(rank) + " of " + std::to_string(ranks);
  if (record.has_value())
    text += " (host " + record->host + ", process " + std::to_string(record->process) + ")";
  return text;
}

// "rank 2 of 4 (host a, process 4711)", "ranks 2 and 3 of 4 (host a)".
std::string some_ranks(const std::vector<int>& chosen, const RankRecords& records) {
  if (chosen.size() == 1)
    return one_rank(chosen.front(), records.size(), record_of(records, chosen.front()));
  std::vector<std::string> numbers, hosts;
  for (const int rank : chosen) {
    numbers.push_back(std::to_string(rank));
    const auto& record = record_of(records, rank);
    if (record.has_value() && std::find(hosts.begin(), hosts.end(), record->host) == hosts.end())
      hosts.push_back(record->host);
  }
  std::string text = "ranks " + list_of(numbers) + " of " + std::to_string(records.size());
  if (!hosts.empty()) text += (hosts.size() == 1 ? " (host " : " (hosts ") + list_of(hosts) + ")";
  return text;
}

std::vector<int> silent_ranks(const RankRecords& before, const RankRecords& now) {
  std::vector<int> silent;
  for (std::size_t rank = 0; rank < now.size(); ++rank) {
    if (before[rank] && now[rank] && !now[rank]->finished &&
        now[rank]->heartbeat == before[rank]->heartbeat)
      silent.push_back(static_cast<int>(rank));
  }
  return silent;
}

// A rank without a record has not started: it is behind all others.
std::int64_t progress(const std::optional<RankRecord>& record) {
  return record.has_value() ? record->collectives : -1;
}

bool is_behind(const std::optional<RankRecord>& a, const std::optional<RankRecord>& b) {
  return progress(a) < progress(b);
}

// The ranks that have begun the fewest collectives; none when all have begun as many.
std::vector<int> ranks_behind(const RankRecords& records) {
  const auto [least, most] = std::minmax_element(records.begin(), records.end(), is_behind);
  std::vector<int> behind;
  for (std::size_t rank = 0; rank < records.size(); ++rank) {
    if (is_behind(records[rank], *most) && !is_behind(*least, records[rank]))
      behind.push_back(static_cast<int>(rank));
  }
  return behind;
}

std::string silence_diagnosis(const std::vector<int>& silent, const Evidence& evidence) {
  const auto& first = *record_of(evidence.now, silent.front());
  const auto& observer = *record_of(evidence.now, evidence.observer);
  return some_ranks(silent, evidence.now) + " died or " + (silent.size() == 1 ? "was" : "were") +
         " stopped, last seen " + place(first) + "; rank " + std::to_string(evidence.observer) +
         ", " + place(observer) + ", saw no sign of life for " + seconds_text(evidence.silent_for) +
         kStartAgain;
}

std::string hang_diagnosis(const Evidence& evidence) {
  const auto& records = evidence.now;
  const std::string waited = seconds_text(shortest_activity(records));
  const auto behind = ranks_behind(records);
  const auto& furthest = **std::max_element(records.begin(), records.end(), is_behind);
  if (behind.empty())
    return "all " + std::to_string(records.size()) + " ranks have waited for " + waited + " " +
           place(furthest) + ": the network or a device hangs" + kStartAgain;
  const auto& record = record_of(records, behind.front());
  const std::string fault =
      (behind.size() == 1 ? " hangs " : " hang ") + (record ? place(*record) : "before the start");
  return some_ranks(behind, records) + fault + "; other ranks have waited for " + waited + " " +
         place(furthest) + kStartAgain;
}

std::string failed_collective_diagnosis(const Evidence& evidence) {
  const auto& observer = record_of(evidence.now, evidence.observer);
  std::string text = "a collective failed on " +
                     one_rank(evidence.observer, evidence.now.size(), observer) + " " +
                     place(*observer) + ": " + evidence.error + "; every rank is alive";
  const auto behind = ranks_behind(evidence.now);
  if (!behind.empty()) {
    const auto& record = record_of(evidence.now, behind.front());
    text.append(", ").append(some_ranks(behind, evidence.now)).append(" behind the others");
    if (record) text.append(" ").append(place(*record));
  }
  return text + ": the network may be down" + kStartAgain;
}

std::string record_key(int rank) { return "rank/" + std::to_string(rank); }

}  // namespace

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RankRecord, heartbeat, step, collectives, activity, seconds,
                                   finished, host, process)

std::string to_text(const RankRecord& record) {
  // An activity may quote a path, which need not be UTF-8.
  return nlohmann::json(record).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

RankRecord rank_record(const std::string& text) {
  return nlohmann::json::parse(text).get<RankRecord>();
}

double shortest_activity(const RankRecords& records) {
  double shortest = std::numeric_limits<double>::infinity();
  for (const auto& record : records) {
    if (record.has_value()) shortest = std::min(shortest, record->seconds);
  }
  return shortest;
}

std::optional<std::string> diagnose(const Evidence& evidence) {
  const auto silent = silent_ranks(evidence.before, evidence.now);
  if (!silent.empty()) return silence_diagnosis(silent, evidence);
  switch (evidence.symptom) {
    case Symptom::silence:
      return std::nullopt;
    case Symptom::timeout:
      if (shortest_activity(evidence.now) < evidence.timeout) return std::nullopt;
      return hang_diagnosis(evidence);
    case Symptom::failed_collective:
      return failed_collective_diagnosis(evidence);
  }
  return std::nullopt;
}

std::string error_diagnosis(int rank, int ranks, const RankRecord& record,
                            const std::string& error) {
  return one_rank(rank, static_cast<std::size_t>(ranks), record) + " failed " + place(record) +
         ": " + error;
}

std::string lost_store_diagnosis(const std::string& server, int rank, int ranks,
                                 const RankRecord& record) {
  return server +
         " died, was stopped or cannot be reached: the ranks lost the store that it serves; "
         "noticed by " +
         one_rank(rank, static_cast<std::size_t>(ranks), record) + " " + place(record) +
         kStartAgain;
}

FailureDetector::FailureDetector(c10::intrusive_ptr<c10d::Store> store, int rank, int ranks,
                                 double silent_after)
    : store_(std::move(store)),
      rank_(rank),
      silent_after_(silent_after),
      seen_(static_cast<std::size_t>(ranks)),
      neighbour_((rank + 1) % ranks) {}

void FailureDetector::publish(const RankRecord& record) {
  store_->set(record_key(rank_), to_text(record));
}

std::optional<std::string> FailureDetector::check(const LocalState& own) {
  const auto symptom = find_symptom(own);
  if (!symptom) {
    inquiry_.reset();
    return std::nullopt;
  }
  if (!inquiry_) {
    inquiry_ = Inquiry{own.now, read_records()};
    return std::nullopt;
  }
  if (own.now - inquiry_->opened < silent_after_ / 2) return std::nullopt;
  return conclude(*symptom, own);
}

std::optional<Symptom> FailureDetector::find_symptom(const LocalState& own) {
  const bool late = neighbour_is_late(own.now);
  if (own.collective_error) return Symptom::failed_collective;
  if (late) return Symptom::silence;
  if (own.record.seconds >= own.timeout && own.now >= may_wait_until_) return Symptom::timeout;
  return std::nullopt;
}

bool FailureDetector::neighbour_is_late(double now) {
  if (!has_record(neighbour_)) {
    neighbour_moved_ = now;
    return false;
  }
  const RankRecord record = rank_record(store_->get_to_str(record_key(neighbour_)));
  if (record.heartbeat != neighbour_heartbeat_) {
    neighbour_heartbeat_ = record.heartbeat;
    neighbour_moved_ = now;
  }
  return now - neighbour_moved_ >= silent_after_ / 2;
}

std::optional<std::string> FailureDetector::conclude(Symptom symptom, const LocalState& own) {
  const double since = symptom == Symptom::silence ? neighbour_moved_ : inquiry_->opened;
  const Evidence evidence{.symptom = symptom,
                          .observer = rank_,
                          .before = std::move(inquiry_->before),
                          .now = read_records(),
                          .silent_for = own.now - since,
                          .timeout = own.timeout,
                          .error = own.collective_error.value_or("")};
  inquiry_.reset();
  auto sentence = diagnose(evidence);
  if (!sentence) may_wait_until_ = own.now + own.timeout - shortest_activity(evidence.now);
  return sentence;
}

bool FailureDetector::has_record(int rank) {
  const auto index = static_cast<std::size_t>(rank);
  if (!seen_[index]) seen_[index] = store_->check({record_key(rank)});
  return seen_[index];
}

RankRecords FailureDetector::read_records() {
  std::vector<std::string> keys;  // of those there are: the store would wait for a missing one
  for (int rank = 0; rank < static_cast<int>(seen_.size()); ++rank) {
    if (has_record(rank)) keys.push_back(record_key(rank));
  }
  const auto values = store_->multiGet(keys);
  RankRecords records(seen_.size());
  auto value = values.begin();
  for (std::size_t rank = 0; rank < seen_.size(); ++rank) {
    if (!seen_[rank]) continue;
    records[rank] = rank_record(std::string(value->begin(), value->end()));
    ++value;
  }
  return records;
}

}  // namespace zebra
