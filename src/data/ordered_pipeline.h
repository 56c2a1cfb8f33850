#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

namespace zebra {

/// Threads that take work in the order in which it is given. What has not begun when this object
/// ends is dropped.
class WorkerThreads {
 public:
  explicit WorkerThreads(int count) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      threads_.emplace_back([this, i](std::stop_token stop) { take_work(stop, i); });
    }
  }
  ~WorkerThreads() {
    const std::lock_guard lock(mutex_);
    waiting_.clear();
  }

  /// The future of work(number of the thread).
  template <class Work>
  auto run(Work work) {
    const auto task =
        std::make_shared<std::packaged_task<decltype(work(std::size_t{}))(std::size_t)>>(
            std::move(work));
    const std::lock_guard lock(mutex_);
    waiting_.emplace_back([task](std::size_t thread) { (*task)(thread); });
    changed_.notify_one();
    return task->get_future();
  }

 private:
  void take_work(const std::stop_token& stop, std::size_t thread) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [this] { return !waiting_.empty(); })) {
      const auto task = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      task(thread);
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::function<void(std::size_t)>> waiting_;
  std::vector<std::jthread> threads_;  // last, so that they end first
};

/// Calls consume(work(item, number of the worker)) for each item of produce(), which returns
/// nothing at the end. Items are produced and results consumed on this thread, in the order of the
/// items, while `workers` threads do the work; a few items for each of them are under way at a
/// time. The first exception of an item, in that order, ends all and is thrown.
template <class Produce, class Work, class Consume>
void run_in_order(int workers, Produce produce, const Work& work, Consume consume) {
  const auto most_under_way = static_cast<std::size_t>(workers) * 4;
  std::deque<std::future<decltype(work(*produce(), std::size_t{}))>> under_way;
  WorkerThreads threads(workers);
  const auto consume_first = [&] {
    consume(under_way.front().get());
    under_way.pop_front();
  };
  while (auto item = produce()) {
    if (under_way.size() == most_under_way) consume_first();
    under_way.push_back(threads.run([&work, item = std::move(*item)](std::size_t worker) mutable {
      return work(std::move(item), worker);
    }));
  }
  while (!under_way.empty()) consume_first();
}

}  // namespace zebra
