/* Preloaded into a run, makes the disk misbehave under paths that hold a given text.
 *
 *   FAULTY_DISK_PATHS   texts, separated by commas: a path with any of them is affected
 *   FAULTY_DISK_ERROR   an errno (28: no space left on device; 30: read-only file system) that writes
 *                       there, and new folders, fail with
 *   FAULTY_DISK_GATE    instead: flushes there wait until this file exists
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static int is_open_on_affected(int descriptor) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = '\0';
  return is_affected(path);
}

static int fault(void) {
  const char* error = getenv("FAULTY_DISK_ERROR");
  return error == NULL ? 0 : atoi(error);
}

ssize_t write(int descriptor, const void* data, size_t bytes) {
  static ssize_t (*real)(int, const void*, size_t);
  if (real == NULL) real = (ssize_t(*)(int, const void*, size_t))dlsym(RTLD_NEXT, "write");
  if (fault() != 0 && is_open_on_affected(descriptor)) {
    errno = fault();
    return -1;
  }
  return real(descriptor, data, bytes);
}

int mkdir(const char* path, mode_t mode) {
  static int (*real)(const char*, mode_t);
  if (real == NULL) real = (int (*)(const char*, mode_t))dlsym(RTLD_NEXT, "mkdir");
  if (fault() != 0 && is_affected(path)) {
    errno = fault();
    return -1;
  }
  return real(path, mode);
}

int fsync(int descriptor) {
  static int (*real)(int);
  if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  const char* gate = getenv("FAULTY_DISK_GATE");
  while (gate != NULL && is_open_on_affected(descriptor) && access(gate, F_OK) != 0) usleep(1000);
  return real(descriptor);
}
