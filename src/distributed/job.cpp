#include "distributed/job.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "base/build_info.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "config/load.h"
#include "distributed/communicator.h"

C10_DECLARE_int(caffe2_log_level);

namespace zebra {
namespace {

constexpr std::chrono::seconds kJoinTimeout(300);
constexpr std::chrono::seconds kAnswerTimeout(30);

// Once the watchdog watches, it is the one to give up.
constexpr std::chrono::hours kWatchedTimeout(24 * 365);

// LibTorch's store listens on all interfaces, and whoever reaches it may write into it. It listens
// on IPv6 too, where it asks DNS for the name of each peer, of this host as well, and serves nobody
// until DNS answers. This socket spares ranks of one host both.
int listen_on_this_host(int port) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (::bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(descriptor, SOMAXCONN) != 0) {
    const std::string reason = std::strerror(errno);
    ::close(descriptor);
    throw RunError(reason);
  }
  return descriptor;
}

std::string place_of(const Launch& launch) {
  return launch.store_address + ":" + std::to_string(launch.store_port);
}

c10::intrusive_ptr<c10d::Store> connect(const Launch& launch) {
  const bool on_this_host = launch.local_ranks == launch.ranks && !launch.store_is_elsewhere;
  const std::string address = on_this_host ? "127.0.0.1" : launch.store_address;
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(launch.store_port);
  options.isServer = launch.rank == 0 && !launch.store_is_elsewhere;
  options.waitWorkers = false;
  options.timeout = kJoinTimeout;
  try {
    if (options.isServer && on_this_host)
      options.masterListenFd = listen_on_this_host(launch.store_port);
    const c10::intrusive_ptr<c10d::Store> store =
        c10::make_intrusive<c10d::TCPStore>(address, options);
    return c10::make_intrusive<c10d::PrefixStore>(launch.store_prefix, store);
  } catch (const std::exception& error) {
    throw RunError("rank " + std::to_string(launch.rank) + " cannot reach the meeting place " +
                   place_of(launch) +
                   (options.isServer ? " (is the port taken? MASTER_PORT names another): "
                                     : " (is rank 0 running there?): ") +
                   without_backtrace(error.what()));
  }
}

std::string ranks_text(const std::vector<int>& ranks) {
  std::vector<std::string> numbers;
  for (const int rank : ranks) numbers.push_back(std::to_string(rank));
  return (ranks.size() == 1 ? "rank " : "ranks ") + join(numbers, ", ");
}

// "run:\n  name: …" becomes {"run": "  name: …"}.
std::map<std::string, std::string> sections_of(const std::string& yaml) {
  std::map<std::string, std::string> sections;
  std::istringstream lines(yaml);
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    const bool begins_section = !line.empty() && line.front() != ' ';
    if (begins_section) section = line.substr(0, line.find(':'));
    sections[section] += line + "\n";
  }
  return sections;
}

}  // namespace

std::string TextCollectives::key(int rank) const {
  return "shared/" + std::to_string(calls_) + "/" + std::to_string(rank);
}

void TextCollectives::write(const std::string& text) {
  written_.push_back(key(rank_));
  store_->set(written_.back(), text);
}

// The texts of the first `ranks` ranks.
std::vector<std::string> TextCollectives::read(int ranks) {
  std::vector<std::string> keys, texts;
  for (int other = 0; other < ranks; ++other) keys.push_back(key(other));
  store_->wait(keys);
  for (const auto& bytes : store_->multiGet(keys)) texts.emplace_back(bytes.begin(), bytes.end());
  return texts;
}

// After an all-gather: whoever has written a text for it has read all that came before.
void TextCollectives::forget() {
  for (std::size_t i = 0; i + 1 < written_.size(); ++i) store_->deleteKey(written_[i]);
  written_.erase(written_.begin(), written_.end() - 1);
}

std::vector<std::string> TextCollectives::all_gather(const std::string& text) {
  if (ranks_ == 1) return {text};
  write(text);
  auto texts = read(ranks_);
  forget();
  ++calls_;
  return texts;
}

std::vector<std::string> TextCollectives::gather(const std::string& text) {
  if (ranks_ == 1) return {text};
  std::vector<std::string> texts;
  write(text);
  if (is_first()) texts = read(ranks_);
  ++calls_;
  return texts;
}

std::string TextCollectives::broadcast(const std::string& text) {
  if (ranks_ == 1) return text;
  if (is_first()) write(text);
  auto received = read(1).front();
  ++calls_;
  return received;
}

Job::Job(Launch launch) : launch_(std::move(launch)) {
  if (ranks() == 1) return;
  std::signal(SIGPIPE, SIG_IGN);  // Gloo writes to peers that may be gone
  // LibTorch's warnings about a lost store or peer would bury the one message that says which rank
  // failed.
  FLAGS_caffe2_log_level = 2;  // errors only
  store_ = connect(launch_);
  join();
  start_watchdog();
  store_->setTimeout(kWatchedTimeout);
  texts_ = {store_, rank(), ranks()};
}

Job::~Job() = default;

// A rank that comes to the meeting place of another job must hear it: it would wait for ever for
// what that job has said long ago, and disturb it.
void Job::require_own_job() {
  const std::string own =
      std::to_string(ranks()) + " ranks" + (launch_.job.empty() ? "" : " of job " + launch_.job);
  const auto refuse = [&](const std::string& why) {
    throw RunError("rank " + std::to_string(rank()) + " of " + own + ": " + why + " at " +
                   place_of(launch_) +
                   "; does another job use that port? MASTER_PORT names another");
  };
  if (is_first()) store_->set("job", own);
  std::string there;
  try {
    // Whoever serves the store says first whose it is.
    store_->wait({"job"}, launch_.store_is_elsewhere ? kJoinTimeout : kAnswerTimeout);
    there = store_->get_to_str("job");
  } catch (const std::exception&) {
    refuse("nobody says which job is");
  }
  if (there != own) refuse("there are " + there);
  if (store_->add("here/" + std::to_string(rank()), 1) > 1) refuse("such a rank is there already");
}

void Job::join() {
  require_own_job();
  std::vector<std::string> keys;
  for (int other = 0; other < ranks(); ++other) keys.push_back("joined/" + std::to_string(other));
  if (is_first())
    store_->set("attempt", std::to_string(std::time(nullptr)) + "-" + std::to_string(::getpid()));
  store_->set(keys[static_cast<std::size_t>(rank())], std::string("1"));
  try {
    store_->wait(keys, kJoinTimeout);
  } catch (const std::exception&) {
    std::vector<int> missing;
    for (int other = 0; other < ranks(); ++other) {
      if (!store_->check({keys[static_cast<std::size_t>(other)]})) missing.push_back(other);
    }
    throw RunError(ranks_text(missing) + " of " + std::to_string(ranks()) +
                   " did not join within " + std::to_string(kJoinTimeout.count()) +
                   " s; look for their own messages, and whether they reach " + place_of(launch_));
  }
  attempt_ = store_->get_to_str("attempt");
}

void Job::start_watchdog() {
  WatchdogSettings settings;
  settings.rank = rank();
  settings.ranks = ranks();
  if (launch_.store_is_elsewhere) settings.store_server = "the agent of " + launch_.launcher;
  settings.report = [this](const std::string& diagnosis) { report(diagnosis); };
  settings.claim_report = [this] { return claim_report(); };
  watchdog_ = std::make_unique<Watchdog>(store("watchdog"), settings);
}

c10::intrusive_ptr<c10d::Store> Job::store(const std::string& name) const {
  return c10::make_intrusive<c10d::PrefixStore>(name, store_);
}

template <class Work>
auto Job::as_collective(const std::string& name, const Work& work) {
  begin_collective(name);
  try {
    auto result = work();
    end_collective();
    return result;
  } catch (const std::exception& error) {
    throw CollectiveError(name, without_backtrace(error.what()));
  }
}

std::vector<std::string> Job::all_gather(const std::string& text, const std::string& what) {
  return as_collective("exchange of " + what, [&] { return texts_.all_gather(text); });
}

std::vector<std::string> Job::gather(const std::string& text, const std::string& what) {
  return as_collective("gathering of " + what, [&] { return texts_.gather(text); });
}

std::string Job::broadcast(const std::string& text, const std::string& what) {
  return as_collective("sharing of " + what, [&] { return texts_.broadcast(text); });
}

TextCollectives Job::text_collectives(const std::string& name) const {
  if (ranks() == 1) return {nullptr, 0, 1};
  auto store = store_->clone();
  store->setTimeout(kWatchedTimeout);
  return {c10::make_intrusive<c10d::PrefixStore>("texts/" + name, store), rank(), ranks()};
}

void Job::together(const std::string& what, const std::function<void()>& work) {
  std::string problem;
  try {
    work();
  } catch (const InputError& error) {
    problem = error.what();
    if (ranks() == 1) throw;
  }
  std::map<std::string, std::vector<int>> ranks_of;
  const auto problems = all_gather(problem, "the outcome of " + what);
  for (int other = 0; other < ranks(); ++other) {
    const auto& text = problems[static_cast<std::size_t>(other)];
    if (!text.empty()) ranks_of[text].push_back(other);
  }
  if (ranks_of.empty()) return;
  if (!is_first()) {
    finish();
    throw ReportedByFirstRank();
  }
  std::string message;
  for (const auto& [text, having_it] : ranks_of) {
    if (!message.empty()) message += "\n";
    if (static_cast<int>(having_it.size()) < ranks()) message += ranks_text(having_it) + ": ";
    message += text;
  }
  finish();
  throw InputError(message);
}

void Job::set_failure_record(std::filesystem::path shared_folder,
                             std::function<void(const std::string&)> record) {
  const std::lock_guard lock(mutex_);
  shared_folder_ = std::move(shared_folder);
  record_ = std::move(record);
}

void Job::collective_failed(const CollectiveError& error) {
  watchdog_->collective_failed(error.reason());
}

void Job::finish() {
  if (watchdog_) watchdog_->finish();
  finished_ = true;
}

void Job::report(const std::string& diagnosis) {
  log_job_error(diagnosis);
  const std::lock_guard lock(mutex_);
  if (record_) record_(diagnosis);
}

// True for the first rank that makes the file.
bool Job::claim_report() {
  const std::lock_guard lock(mutex_);
  if (shared_folder_.empty()) return true;
  const auto file = shared_folder_ / ("status.json.partial-verdict-of-" + attempt_);
  const int descriptor = ::open(file.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  if (descriptor < 0) return errno != EEXIST;
  ::close(descriptor);
  return true;
}

RunFacts run_facts(const Config& config) {
  RunFacts facts = {{"the build (zebra --version)", std::string(kVersion) + " " + kCommit + " " +
                                                        kBuildType + " " + kTorchVersion}};
  for (const auto& [name, text] : sections_of(to_yaml(config)))
    facts.emplace_back("the resolved section " + name, hash_of(text));
  return facts;
}

void check_consistency(Job& job, const RunFacts& facts) {
  const auto text = job.broadcast(nlohmann::json(facts).dump(), "what all ranks must agree on");
  const auto first = nlohmann::json::parse(text).get<RunFacts>();
  std::vector<std::string> differing;
  for (std::size_t i = 0; i < std::max(facts.size(), first.size()); ++i) {
    if (i < facts.size() && i < first.size() && facts[i] == first[i]) continue;
    differing.push_back(i < facts.size() ? facts[i].first : first[i].first);
  }
  if (differing.empty()) return;
  throw InputError("differs from rank 0 in " + join(differing, ", ") +
                   "; start all ranks with the same run file, datasets and build");
}

}  // namespace zebra
