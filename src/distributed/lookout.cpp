#include "distributed/lookout.h"

#include <utility>

namespace zebra {
namespace {

std::string record_key(std::size_t rank) { return "rank/" + std::to_string(rank); }
std::string record_key(int rank) { return record_key(static_cast<std::size_t>(rank)); }

}  // namespace

Lookout::Lookout(c10::intrusive_ptr<c10d::Store> store, int rank, int ranks, double silent_after)
    : store_(std::move(store)),
      rank_(rank),
      silent_after_(silent_after),
      seen_(static_cast<std::size_t>(ranks)),
      neighbour_((rank + 1) % ranks) {}

void Lookout::publish(const RankRecord& record) { store_->set(record_key(rank_), to_text(record)); }

std::optional<std::string> Lookout::look(const OwnSituation& own) {
  const auto suspicion = suspect(own);
  if (!suspicion) {
    inquiry_.reset();
    return std::nullopt;
  }
  if (!inquiry_) {
    inquiry_ = Inquiry{own.now, read_records()};
    return std::nullopt;
  }
  if (own.now - inquiry_->opened < silent_after_ / 2) return std::nullopt;
  return conclude(*suspicion, own);
}

std::optional<Suspicion> Lookout::suspect(const OwnSituation& own) {
  const bool late = neighbour_is_late(own.now);
  if (own.collective_error) return Suspicion::failed_collective;
  if (late) return Suspicion::silence;
  if (own.record.seconds >= own.timeout && own.now >= may_wait_until_) return Suspicion::timeout;
  return std::nullopt;
}

bool Lookout::neighbour_is_late(double now) {
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

std::optional<std::string> Lookout::conclude(Suspicion suspicion, const OwnSituation& own) {
  const double since = suspicion == Suspicion::silence ? neighbour_moved_ : inquiry_->opened;
  const Evidence evidence{.suspicion = suspicion,
                          .judge = rank_,
                          .before = std::move(inquiry_->before),
                          .now = read_records(),
                          .silent_for = own.now - since,
                          .timeout = own.timeout,
                          .error = own.collective_error.value_or("")};
  inquiry_.reset();
  auto sentence = verdict(evidence);
  if (!sentence) may_wait_until_ = own.now + own.timeout - shortest_activity(evidence.now);
  return sentence;
}

bool Lookout::has_record(int rank) {
  const auto index = static_cast<std::size_t>(rank);
  if (!seen_[index]) seen_[index] = store_->check({record_key(rank)});
  return seen_[index];
}

RankRecords Lookout::read_records() {
  std::vector<std::string> keys;  // of those there are: the store would wait for a missing one
  for (std::size_t rank = 0; rank < seen_.size(); ++rank) {
    if (has_record(static_cast<int>(rank))) keys.push_back(record_key(rank));
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
