#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace zebra {

/// One thread produces items, several turn them into results, and the thread that calls run()
/// consumes the results in the order of the items. A few items for each worker are under way at a
/// time. An exception in any of them ends all, and run() throws the first one.
template <class Item, class Result>
class OrderedPipeline {
 public:
  using Produce = std::function<std::optional<Item>()>;  // nothing: the end
  using Work = std::function<Result(Item)>;
  using Consume = std::function<void(Result)>;

  /// Makes the function of one worker thread, on that thread.
  using MakeWork = std::function<Work()>;

  explicit OrderedPipeline(int workers)
      : workers_(workers), most_under_way_(static_cast<std::uint64_t>(workers) * 4) {}

  void run(const Produce& produce, const MakeWork& make_work, const Consume& consume) {
    {
      std::vector<std::jthread> threads;
      threads.emplace_back([&] { guarded([&] { produce_all(produce); }); });
      for (int i = 0; i < workers_; ++i) {
        threads.emplace_back([&] { guarded([&] { work_all(make_work()); }); });
      }
      guarded([&] { consume_all(consume); });
    }
    if (error_) std::rethrow_exception(error_);
  }

 private:
  /// Runs the loop of a thread; what it throws stops all others.
  template <class Loop>
  void guarded(const Loop& loop) {
    try {
      loop();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
      changed_.notify_all();
    }
  }

  void produce_all(const Produce& produce) {
    while (auto item = produce()) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return error_ || produced_ - consumed_ < most_under_way_; });
      if (error_) return;
      waiting_.emplace_back(produced_++, std::move(*item));
      changed_.notify_all();
    }
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }

  void work_all(const Work& work) {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return error_ || ended_ || !waiting_.empty(); });
      if (error_ || waiting_.empty()) return;
      auto [number, item] = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      Result result = work(std::move(item));
      lock.lock();
      ready_.emplace(number, std::move(result));
      changed_.notify_all();
    }
  }

  void consume_all(const Consume& consume) {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] {
        return error_ || ready_.contains(consumed_) || (ended_ && consumed_ == produced_);
      });
      if (error_ || !ready_.contains(consumed_)) return;
      Result result = std::move(ready_.extract(consumed_).mapped());
      lock.unlock();
      consume(std::move(result));
      lock.lock();
      ++consumed_;
      changed_.notify_all();
    }
  }

  const int workers_;
  const std::uint64_t most_under_way_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<std::uint64_t, Item>> waiting_;
  std::map<std::uint64_t, Result> ready_;
  std::uint64_t produced_ = 0;
  std::uint64_t consumed_ = 0;
  bool ended_ = false;
  std::exception_ptr error_;
};

}  // namespace zebra
