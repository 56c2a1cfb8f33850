#include "data/input_stream.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <new>
#include <set>

#include "base/error.h"
#include "data/content_kind.h"

namespace zebra {
namespace {

constexpr std::size_t kSourceBufferBytes = std::size_t{256} << 10;
constexpr std::string_view kGzipMagic = "\x1f\x8b";
constexpr std::string_view kZstandardMagic = "\x28\xb5\x2f\xfd";
constexpr std::string_view kSkippableFrameMagic = "\x2a\x4d\x18";  // behind a byte 0x50 to 0x5f
constexpr int kLargestZstandardWindow = 31;  // what `zstd --long=31 --ultra` makes

bool is_zstandard(std::string_view start) {
  return start.starts_with(kZstandardMagic) || (!start.empty() && (start[0] & 0xf0) == 0x50 &&
                                                start.substr(1).starts_with(kSkippableFrameMagic));
}

}  // namespace

std::string input_name(const std::string& path) {
  return path == kStandardInput ? "standard input" : path;
}

/// The bytes as they lie on the disk, through a buffer.
class InputStream::Source {
 public:
  explicit Source(const std::string& path) : name_(input_name(path)) {
    if (path == kStandardInput) {
      descriptor_ = STDIN_FILENO;
      return;
    }
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor_ < 0) throw InputError(name_ + ": cannot open it: " + std::strerror(errno));
  }
  ~Source() {
    if (descriptor_ != STDIN_FILENO) ::close(descriptor_);
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  /// At least `bytes` bytes, or what is left of the file when that is less.
  std::string_view peek(std::size_t bytes) {
    while (buffer_.size() - begin_ < bytes && !ended_) read_block();
    return std::string_view(buffer_).substr(begin_);
  }
  void skip(std::size_t bytes) { begin_ += bytes; }

  std::uint64_t bytes_read() const { return bytes_read_; }
  const std::string& name() const { return name_; }

 private:
  void read_block() {
    buffer_.erase(0, begin_);
    begin_ = 0;
    const std::size_t kept = buffer_.size();
    buffer_.resize(kept + kSourceBufferBytes);
    ssize_t count = 0;
    do {
      count = ::read(descriptor_, buffer_.data() + kept, kSourceBufferBytes);
    } while (count < 0 && errno == EINTR);
    if (count < 0) throw InputError(name_ + ": cannot read it: " + std::strerror(errno));
    buffer_.resize(kept + static_cast<std::size_t>(count));
    bytes_read_ += static_cast<std::uint64_t>(count);
    ended_ = count == 0;
  }

  std::string name_;
  int descriptor_ = -1;
  std::string buffer_;
  std::size_t begin_ = 0;
  std::uint64_t bytes_read_ = 0;
  bool ended_ = false;
};

/// Hands the bytes on as they are.
class InputStream::Decoder {
 public:
  explicit Decoder(Source& source) : source_(source) {}
  virtual ~Decoder() = default;

  /// Writes at least one byte, at most `bytes`; 0 at the end.
  virtual std::size_t read(char* out, std::size_t bytes) {
    const std::string_view available = source_.peek(1);
    const std::size_t count = std::min(bytes, available.size());
    std::memcpy(out, available.data(), count);
    source_.skip(count);
    return count;
  }

 protected:
  Source& source_;
};

class InputStream::GzipDecoder : public Decoder {
 public:
  explicit GzipDecoder(Source& source) : Decoder(source) {
    constexpr int kGzipOnly = 16;
    if (::inflateInit2(&stream_, MAX_WBITS + kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~GzipDecoder() override { ::inflateEnd(&stream_); }

  std::size_t read(char* out, std::size_t bytes) override {
    const auto room = static_cast<uInt>(std::min(bytes, kSourceBufferBytes));
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = room;
    while (stream_.avail_out == room) {
      if (!inside_member_) skip_zeros();
      const std::string_view input = source_.peek(1);
      if (input.empty() && !inside_member_) return 0;
      if (input.empty()) {
        throw InputError(source_.name() +
                         ": its gzip data ends too early: the file is truncated; get it again");
      }
      inflate_some(input);
    }
    return room - stream_.avail_out;
  }

 private:
  /// Behind a member: what else than zeros follows must be another one.
  void skip_zeros() {
    for (auto input = source_.peek(1); input.starts_with('\0'); input = source_.peek(1)) {
      source_.skip(std::min(input.find_first_not_of('\0'), input.size()));
    }
  }

  void inflate_some(std::string_view input) {
    inside_member_ = true;
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream_.avail_in = static_cast<uInt>(input.size());
    const int status = ::inflate(&stream_, Z_NO_FLUSH);
    source_.skip(input.size() - stream_.avail_in);
    if (status == Z_STREAM_END) {
      inside_member_ = false;
      ::inflateReset(&stream_);
    } else if (status != Z_OK) {
      throw InputError(source_.name() + ": its gzip data is damaged (" +
                       (stream_.msg != nullptr ? stream_.msg : ::zError(status)) +
                       "); get the file again");
    }
  }

  z_stream stream_{};
  bool inside_member_ = false;
};

class InputStream::ZstandardDecoder : public Decoder {
 public:
  explicit ZstandardDecoder(Source& source) : Decoder(source), stream_(::ZSTD_createDStream()) {
    if (stream_ == nullptr) throw std::bad_alloc();
    ::ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, kLargestZstandardWindow);
  }
  ~ZstandardDecoder() override { ::ZSTD_freeDStream(stream_); }

  std::size_t read(char* out, std::size_t bytes) override {
    ZSTD_outBuffer output{out, bytes, 0};
    while (output.pos == 0) {
      const std::string_view available = source_.peek(1);
      // Without new input a frame may still hold output that had no room in the last call.
      ZSTD_inBuffer input{available.data(), available.size(), 0};
      if (available.empty() && !inside_frame_) return 0;
      const std::size_t status = ::ZSTD_decompressStream(stream_, &output, &input);
      source_.skip(input.pos);
      if (::ZSTD_isError(status)) {
        throw InputError(source_.name() + ": its Zstandard data is damaged (" +
                         ::ZSTD_getErrorName(status) + "); get the file again");
      }
      inside_frame_ = status != 0;
      if (available.empty() && output.pos == 0 && inside_frame_) {
        throw InputError(source_.name() +
                         ": its Zstandard data ends too early: the file is truncated; "
                         "get it again");
      }
    }
    return output.pos;
  }

 private:
  ZSTD_DStream* stream_;
  bool inside_frame_ = false;
};

InputStream::InputStream(const std::string& path) : source_(std::make_unique<Source>(path)) {
  const std::string_view start = source_->peek(kZstandardMagic.size());
  if (start.starts_with(kGzipMagic)) {
    decoder_ = std::make_unique<GzipDecoder>(*source_);
  } else if (is_zstandard(start)) {
    decoder_ = std::make_unique<ZstandardDecoder>(*source_);
  } else {
    decoder_ = std::make_unique<Decoder>(*source_);
  }
}

InputStream::~InputStream() = default;

std::size_t InputStream::append_to(std::string& text, std::size_t bytes) {
  const std::size_t kept = text.size();
  text.resize(kept + bytes);
  std::size_t done = 0;
  while (done < bytes) {
    const std::size_t count = decoder_->read(text.data() + kept + done, bytes - done);
    if (count == 0) break;
    done += count;
  }
  text.resize(kept + done);
  return done;
}

std::uint64_t InputStream::bytes_read() const { return source_->bytes_read(); }

namespace {

namespace fs = std::filesystem;

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

bool has_extension(const std::string& path, const std::vector<std::string>& extensions) {
  if (extensions.empty()) return true;
  const std::string name = without_compression_suffix(path);
  return std::any_of(extensions.begin(), extensions.end(), [&name](const std::string& extension) {
    return name.ends_with(extension.starts_with('.') ? extension : "." + extension);
  });
}

/// `linked_files` counts those below folders that are links; without it they are only
/// counted themselves: what cannot be read does not matter then.
std::vector<fs::path> files_below(const fs::path& folder,
                                  const std::vector<std::string>& extensions,
                                  std::int64_t* linked_files) {
  std::vector<fs::path> files;
  const auto options = linked_files != nullptr ? fs::directory_options::none
                                               : fs::directory_options::skip_permission_denied;
  for (auto entry = fs::recursive_directory_iterator(folder, options);
       entry != fs::recursive_directory_iterator(); ++entry) {
    if (is_hidden(entry->path())) {
      entry.disable_recursion_pending();
    } else if (entry->is_regular_file() && has_extension(entry->path().string(), extensions)) {
      files.push_back(entry->path());
    } else if (linked_files != nullptr && entry->is_symlink() && entry->is_directory()) {
      *linked_files += std::ssize(files_below(entry->path(), extensions, nullptr));
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

void add_folder(const std::string& folder, const std::vector<std::string>& extensions,
                InputFiles& result, Problems& problems) {
  const auto files = files_below(folder, extensions, &result.linked_files);
  if (files.empty()) {
    const std::string kind =
        extensions.empty() ? "no file" : "no file that ends in " + join(extensions, " or ");
    problems.add(folder + ": the folder holds " + kind +
                 " (hidden ones and those below linked folders do not count)");
  }
  std::set<fs::path> saved_datasets;
  for (const auto& file : files) {
    if (const auto saved = saved_dataset_with(file)) saved_datasets.insert(*saved);
    result.files.push_back({file.string(), /*from_folder=*/true});
    result.bytes += fs::file_size(file);
  }
  for (const auto& saved : saved_datasets) problems.add(saved.string() + ": " + kSavedDatasetKind);
}

void add_input(const std::string& input, const std::vector<std::string>& extensions,
               InputFiles& result, Problems& problems) {
  if (input == kStandardInput) {
    result.files.push_back({.path = input, .is_stream = true});
  } else if (!fs::exists(input)) {
    problems.add(input + ": there is no such file or folder");
  } else if (fs::is_directory(input)) {
    add_folder(input, extensions, result, problems);
  } else if (!fs::is_regular_file(input)) {
    result.files.push_back({.path = input, .is_stream = true});
  } else if (const auto bytes = fs::file_size(input); bytes == 0) {
    problems.add(input + ": the file is empty");
  } else {
    result.files.push_back({.path = input});
    result.bytes += bytes;
  }
}

}  // namespace

std::string without_compression_suffix(const std::string& path) {
  for (const std::string suffix : {".gz", ".zst"}) {
    if (path.ends_with(suffix)) return path.substr(0, path.size() - suffix.size());
  }
  return path;
}

InputFiles list_input_files(const std::vector<std::string>& inputs,
                            const std::vector<std::string>& extensions) {
  InputFiles result;
  Problems problems;
  for (const auto& input : inputs) {
    try {
      add_input(input, extensions, result, problems);
    } catch (const fs::filesystem_error& error) {
      problems.add((error.path1().empty() ? input : error.path1().string()) +
                   ": cannot look into it: " + error.code().message());
    }
  }
  const auto is_standard_input = [](const std::string& input) { return input == kStandardInput; };
  const auto uses = std::count_if(inputs.begin(), inputs.end(), is_standard_input);
  if (uses > 1) problems.add("standard input (-) is named more than once among the inputs");
  if (inputs.empty()) problems.add("no input is given: name files, folders or - (standard input)");
  problems.throw_if_any();
  if (std::ranges::any_of(result.files, &InputFile::is_stream)) result.bytes = 0;
  return result;
}

}  // namespace zebra
