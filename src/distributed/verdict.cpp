#include "distributed/verdict.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

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

std::string one_rank(int rank, std::size_t ranks, const std::optional<RankRecord>& record) {
  std::string text = "rank " + std::to_string(rank) + " of " + std::to_string(ranks);
  if (record.has_value())
    text += " (host " + record->host + ", process " + std::to_string(record->process) + ")";
  return text;
}

// "rank 2 of 4 (host a, process 4711)", "ranks 2 and 3 of 4 (host a)".
std::string some_ranks(const std::vector<int>& chosen, const RankRecords& records) {
  if (chosen.size() == 1)
    return one_rank(chosen.front(), records.size(),
                    records[static_cast<std::size_t>(chosen.front())]);
  std::vector<std::string> numbers, hosts;
  for (const int rank : chosen) {
    numbers.push_back(std::to_string(rank));
    const auto& record = records[static_cast<std::size_t>(rank)];
    if (record.has_value() && std::find(hosts.begin(), hosts.end(), record->host) == hosts.end())
      hosts.push_back(record->host);
  }
  std::string text = "ranks " + list_of(numbers) + " of " + std::to_string(records.size());
  if (!hosts.empty()) text += (hosts.size() == 1 ? " (host " : " (hosts ") + list_of(hosts) + ")";
  return text;
}

template <class Predicate>
std::vector<int> ranks_where(const RankRecords& records, Predicate predicate) {
  std::vector<int> chosen;
  for (std::size_t rank = 0; rank < records.size(); ++rank) {
    if (predicate(rank)) chosen.push_back(static_cast<int>(rank));
  }
  return chosen;
}

std::vector<int> silent_ranks(const RankRecords& before, const RankRecords& now) {
  return ranks_where(now, [&](std::size_t rank) {
    return before[rank].has_value() && now[rank].has_value() && !now[rank]->finished &&
           now[rank]->heartbeat == before[rank]->heartbeat;
  });
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
  if (!is_behind(*least, *most)) return {};
  return ranks_where(records, [&, fewest = progress(*least)](std::size_t r) {
    return progress(records[r]) == fewest;
  });
}

std::string silence_verdict(const std::vector<int>& silent, const Evidence& evidence) {
  const auto& first = *evidence.now[static_cast<std::size_t>(silent.front())];
  const auto& judge = *evidence.now[static_cast<std::size_t>(evidence.judge)];
  return some_ranks(silent, evidence.now) + " died or " + (silent.size() == 1 ? "was" : "were") +
         " stopped, last seen " + place(first) + "; rank " + std::to_string(evidence.judge) + ", " +
         place(judge) + ", saw no sign of life for " + seconds_text(evidence.silent_for) +
         kStartAgain;
}

std::string hang_verdict(const Evidence& evidence) {
  const auto& records = evidence.now;
  const std::string waited = seconds_text(shortest_activity(records));
  const auto behind = ranks_behind(records);
  const auto& furthest = **std::max_element(records.begin(), records.end(), is_behind);
  if (behind.empty())
    return "all " + std::to_string(records.size()) + " ranks have waited for " + waited + " " +
           place(furthest) + ": the network or a device hangs" + kStartAgain;
  const auto& record = records[static_cast<std::size_t>(behind.front())];
  const std::string fault =
      (behind.size() == 1 ? " hangs " : " hang ") + (record ? place(*record) : "before the start");
  return some_ranks(behind, records) + fault + "; other ranks have waited for " + waited + " " +
         place(furthest) + kStartAgain;
}

std::string failed_collective_verdict(const Evidence& evidence) {
  const auto& judge = evidence.now[static_cast<std::size_t>(evidence.judge)];
  std::string text = "a collective failed on " +
                     one_rank(evidence.judge, evidence.now.size(), judge) + " " + place(*judge) +
                     ": " + evidence.error + "; every rank is alive";
  const auto behind = ranks_behind(evidence.now);
  if (!behind.empty()) {
    const auto& record = evidence.now[static_cast<std::size_t>(behind.front())];
    text += ", " + some_ranks(behind, evidence.now) + " behind the others" +
            (record ? " " + place(*record) : "");
  }
  return text + ": the network may be down" + kStartAgain;
}

}  // namespace

std::string to_text(const RankRecord& record) {
  const nlohmann::json json = {{"heartbeat", record.heartbeat},
                               {"step", record.step},
                               {"collectives", record.collectives},
                               {"activity", record.activity},
                               {"seconds", record.seconds},
                               {"finished", record.finished},
                               {"host", record.host},
                               {"process", record.process}};
  // An activity may quote a path, which need not be UTF-8.
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

RankRecord rank_record(const std::string& text) {
  const auto json = nlohmann::json::parse(text);
  RankRecord record;
  json.at("heartbeat").get_to(record.heartbeat);
  json.at("step").get_to(record.step);
  json.at("collectives").get_to(record.collectives);
  json.at("activity").get_to(record.activity);
  json.at("seconds").get_to(record.seconds);
  json.at("finished").get_to(record.finished);
  json.at("host").get_to(record.host);
  json.at("process").get_to(record.process);
  return record;
}

double shortest_activity(const RankRecords& records) {
  double shortest = std::numeric_limits<double>::infinity();
  for (const auto& record : records) {
    if (record.has_value()) shortest = std::min(shortest, record->seconds);
  }
  return shortest;
}

std::optional<std::string> verdict(const Evidence& evidence) {
  const auto silent = silent_ranks(evidence.before, evidence.now);
  if (!silent.empty()) return silence_verdict(silent, evidence);
  switch (evidence.suspicion) {
    case Suspicion::silence:
      return std::nullopt;
    case Suspicion::timeout:
      if (shortest_activity(evidence.now) < evidence.timeout) return std::nullopt;
      return hang_verdict(evidence);
    case Suspicion::failed_collective:
      return failed_collective_verdict(evidence);
  }
  return std::nullopt;
}

std::string failure_verdict(int rank, int ranks, const RankRecord& record,
                            const std::string& error) {
  return one_rank(rank, static_cast<std::size_t>(ranks), record) + " failed " + place(record) +
         ": " + error;
}

std::string lost_store_verdict(const std::string& server, int rank, int ranks,
                               const RankRecord& record) {
  return server +
         " died, was stopped or cannot be reached: the ranks lost the store that it serves; "
         "noticed by " +
         one_rank(rank, static_cast<std::size_t>(ranks), record) + " " + place(record) +
         kStartAgain;
}

}  // namespace zebra
