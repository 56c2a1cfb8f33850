/* Preloaded into a command, makes the disk misbehave under paths that hold a given text.
 *
 *   FAULTY_DISK_PATHS    texts, separated by commas: a path with any of them is affected
 *   FAULTY_DISK_ERROR    an errno (28: no space left on device; 30: read-only file system) that operations
 *                        there fail with: all writes and new folders, or with FAULTY_DISK_COUNTER those below
 *   FAULTY_DISK_GATE     instead: flushes there wait until this file exists
 *
 *   FAULTY_DISK_COUNTER  a file of 4096 zero bytes, shared with the processes that a command starts: its first 8
 *                        bytes count the operations that change something there (opening for writing, write,
 *                        fsync, rename, mkdir, truncate, link, remove, and their variants); the name of the first
 *                        that failed follows
 *   FAULTY_DISK_AT       the operation, from 1, that fails; 0: none
 *   FAULTY_DISK_LASTING  set: all that follow fail too
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name, result, ...)                       \
  static result (*real)(__VA_ARGS__);                 \
  if (real == NULL) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static int is_affected(const char* path) {
  char texts[PATH_MAX];
  const char* given = getenv("FAULTY_DISK_PATHS");
  if (given == NULL) return 0;
  snprintf(texts, sizeof texts, "%s", given);
  char* rest = NULL;
  for (char* text = strtok_r(texts, ",", &rest); text != NULL; text = strtok_r(NULL, ",", &rest))
    if (strstr(path, text) != NULL) return 1;
  return 0;
}

static const char* path_of(int descriptor, char path[PATH_MAX]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t length = readlink(link, path, PATH_MAX - 1);
  path[length < 0 ? 0 : length] = '\0';
  return path;
}

static int is_open_on_affected(int descriptor) {
  char path[PATH_MAX];
  return is_affected(path_of(descriptor, path));
}

static int number_in(const char* variable) {
  const char* text = getenv(variable);
  return text == NULL ? 0 : atoi(text);
}

typedef struct {
  _Atomic long operations;
  char failed[4096 - sizeof(long)];
} Counter;

static Counter* counter(void) {
  static _Atomic(Counter*) shared;
  Counter* known = atomic_load(&shared);
  const char* file = getenv("FAULTY_DISK_COUNTER");
  if (known != NULL || file == NULL) return known;
  const int descriptor = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return NULL;
  void* mapped = mmap(NULL, sizeof(Counter), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  close(descriptor);
  if (mapped != MAP_FAILED) atomic_store(&shared, mapped);
  return mapped == MAP_FAILED ? NULL : mapped;
}

/* Counts an operation on an affected path; whether it is to fail. */
static int fails(const char* operation, const char* path) {
  Counter* shared = counter();
  if (shared == NULL || !is_affected(path)) return 0;
  const long number = atomic_fetch_add(&shared->operations, 1) + 1, at = number_in("FAULTY_DISK_AT");
  if (at == 0 || number < at || (number > at && getenv("FAULTY_DISK_LASTING") == NULL)) return 0;
  if (number == at) snprintf(shared->failed, sizeof shared->failed, "%s %s", operation, path);
  errno = number_in("FAULTY_DISK_ERROR");
  return 1;
}

static int fails_on(const char* operation, int descriptor) {
  char path[PATH_MAX];
  return getenv("FAULTY_DISK_COUNTER") != NULL && fails(operation, path_of(descriptor, path));
}

/* A fault of a whole path, where operations are not counted. */
static int always_fails(int is_here) {
  const int error = number_in("FAULTY_DISK_ERROR");
  if (getenv("FAULTY_DISK_COUNTER") != NULL || error == 0 || !is_here) return 0;
  errno = error;
  return 1;
}

#define WRITER(name, result, parameters, arguments, ...)                              \
  result name parameters {                                                            \
    REAL(#name, result, __VA_ARGS__);                                                 \
    if (fails_on(#name, descriptor) || always_fails(is_open_on_affected(descriptor))) \
      return -1;                                                                      \
    return real arguments;                                                            \
  }

WRITER(write, ssize_t, (int descriptor, const void* data, size_t bytes), (descriptor, data, bytes), int, const void*,
       size_t)
WRITER(writev, ssize_t, (int descriptor, const struct iovec* parts, int count), (descriptor, parts, count), int,
       const struct iovec*, int)
WRITER(pwrite, ssize_t, (int descriptor, const void* data, size_t bytes, off_t at), (descriptor, data, bytes, at), int,
       const void*, size_t, off_t)
WRITER(pwrite64, ssize_t, (int descriptor, const void* data, size_t bytes, off64_t at), (descriptor, data, bytes, at),
       int, const void*, size_t, off64_t)

#define CHANGER(name, parameters, arguments, failing, ...) \
  int name parameters {                                    \
    REAL(#name, int, __VA_ARGS__);                         \
    if (failing) return -1;                                \
    return real arguments;                                 \
  }

CHANGER(ftruncate, (int descriptor, off_t size), (descriptor, size), fails_on("ftruncate", descriptor), int, off_t)
CHANGER(ftruncate64, (int descriptor, off64_t size), (descriptor, size), fails_on("ftruncate64", descriptor), int,
        off64_t)
CHANGER(fdatasync, (int descriptor), (descriptor), fails_on("fdatasync", descriptor), int)
CHANGER(mkdir, (const char* path, mode_t mode), (path, mode), fails("mkdir", path) || always_fails(is_affected(path)),
        const char*, mode_t)
CHANGER(rename, (const char* from, const char* to), (from, to), fails("rename", to), const char*, const char*)
CHANGER(link, (const char* from, const char* to), (from, to), fails("link", to), const char*, const char*)
CHANGER(unlink, (const char* path), (path), fails("unlink", path), const char*)
CHANGER(remove, (const char* path), (path), fails("remove", path), const char*)
CHANGER(rmdir, (const char* path), (path), fails("rmdir", path), const char*)

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  REAL("renameat2", int, int, const char*, int, const char*, unsigned);
  if (fails("renameat2", to)) return -1;
  return real(from_folder, from, to_folder, to, flags);
}

int unlinkat(int folder, const char* name, int flags) {
  REAL("unlinkat", int, int, const char*, int);
  char path[PATH_MAX];
  if (name[0] == '/' ? fails("unlinkat", name) : fails("unlinkat", path_of(folder, path))) return -1;
  return real(folder, name, flags);
}

int fsync(int descriptor) {
  REAL("fsync", int, int);
  const char* gate = getenv("FAULTY_DISK_GATE");
  while (gate != NULL && is_open_on_affected(descriptor) && access(gate, F_OK) != 0) usleep(1000);
  if (fails_on("fsync", descriptor)) return -1;
  return real(descriptor);
}

static mode_t mode_in(int flags, va_list rest) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; }

#define OPENER(name)                                                                   \
  int name(const char* path, int flags, ...) {                                         \
    REAL(#name, int, const char*, int, ...);                                           \
    va_list rest;                                                                      \
    va_start(rest, flags);                                                             \
    const mode_t mode = mode_in(flags, rest);                                          \
    va_end(rest);                                                                      \
    if ((flags & O_ACCMODE) != O_RDONLY && fails(#name, path)) return -1;              \
    return real(path, flags, mode);                                                    \
  }

OPENER(open)
OPENER(open64)

#define STREAM_OPENER(name)                                              \
  FILE* name(const char* path, const char* mode) {                       \
    REAL(#name, FILE*, const char*, const char*);                        \
    if (strpbrk(mode, "wa+") != NULL && fails(#name, path)) return NULL; \
    return real(path, mode);                                             \
  }

STREAM_OPENER(fopen)
STREAM_OPENER(fopen64)
