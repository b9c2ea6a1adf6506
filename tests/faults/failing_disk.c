/* A disk that fails: the nth write, sync, rename or new name below a folder ends in an error.

   Preloaded by LD_PRELOAD, so that also libraries in C (Arrow, HDF5, TensorFlow, SQLite) write
   through here. */

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
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char root[PATH_MAX];
static size_t root_length;
static long failing = -1;
static int number;
static int stays_broken;
static atomic_long count;
static char failed[PATH_MAX + 32];

/* Let the nth operation (from 0) below a folder fail; or, if it stays broken, all from the nth. */
void failing_disk_arm(const char *folder, int error_number, long nth, int stays)
{
    snprintf(root, sizeof root, "%s/", folder);
    root_length = strlen(root);
    failing = nth;
    number = error_number;
    stays_broken = stays;
    atomic_store(&count, 0);
    failed[0] = 0;
}

/* The number of operations so far. */
long failing_disk_count(void)
{
    return atomic_load(&count);
}

/* The first operation that failed, or nothing. */
const char *failing_disk_failed(void)
{
    return failed;
}

static int fails_at(const char *kind, const char *path)
{
    if (!root_length || strncmp(path, root, root_length))
        return 0;
    long nth = atomic_fetch_add(&count, 1);
    if (failing < 0 || nth < failing || (nth > failing && !stays_broken))
        return 0;
    if (!failed[0])
        snprintf(failed, sizeof failed, "%s %s", kind, path + root_length);
    errno = number;
    return 1;
}

static int fails(const char *kind, int folder, const char *path)
{
    char whole[2 * PATH_MAX], base[PATH_MAX] = "";
    if (!root_length || !path)
        return 0;
    if (path[0] == '/')
        return fails_at(kind, path);
    if (folder == AT_FDCWD) {
        if (!getcwd(base, sizeof base))
            return 0;
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t length = readlink(link, base, sizeof base - 1);
        base[length < 0 ? 0 : length] = 0;
    }
    snprintf(whole, sizeof whole, "%s/%s", base, path);
    return fails_at(kind, whole);
}

static int fails_to(const char *kind, int descriptor)
{
    char link[64], path[PATH_MAX];
    if (!root_length)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    int before = errno;
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0)
        return 0;
    path[length] = 0;
    if ((size_t)length + 1 == root_length && !strncmp(path, root, length))
        strcat(path, "/"); /* the folder itself */
    return fails_at(kind, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define BY_DESCRIPTOR(kind, type, name, parameters, descriptor, arguments)                         \
    type name parameters                                                                           \
    {                                                                                              \
        return fails_to(kind, descriptor) ? -1 : REAL(name) arguments;                             \
    }
#define BY_PATH(kind, name, parameters, folder, path, arguments)                                   \
    int name parameters                                                                            \
    {                                                                                              \
        return fails(kind, folder, path) ? -1 : REAL(name) arguments;                              \
    }

BY_DESCRIPTOR("write", ssize_t, write, (int fd, const void *data, size_t size), fd,
              (fd, data, size))
BY_DESCRIPTOR("write", ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), fd,
              (fd, data, size, at))
BY_DESCRIPTOR("write", ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), fd,
              (fd, data, size, at))
BY_DESCRIPTOR("write", ssize_t, writev, (int fd, const struct iovec *parts, int parts_count), fd,
              (fd, parts, parts_count))
BY_DESCRIPTOR("truncate", int, ftruncate, (int fd, off_t size), fd, (fd, size))
BY_DESCRIPTOR("truncate", int, ftruncate64, (int fd, off64_t size), fd, (fd, size))
BY_DESCRIPTOR("write", ssize_t, sendfile, (int fd, int from, off_t *at, size_t size), fd,
              (fd, from, at, size))
BY_DESCRIPTOR("write", ssize_t, copy_file_range,
              (int from, off64_t *at, int fd, off64_t *to, size_t size, unsigned flags), fd,
              (from, at, fd, to, size, flags))

/* Those that succeed do not wait for the disk: no test cuts the power. */
int fsync(int fd)
{
    return fails_to("sync", fd) ? -1 : 0;
}

int fdatasync(int fd)
{
    return fails_to("sync", fd) ? -1 : 0;
}

BY_PATH("rename", rename, (const char *from, const char *to), AT_FDCWD, to, (from, to))
BY_PATH("rename", renameat, (int folder, const char *from, int other, const char *to), other, to,
        (folder, from, other, to))
BY_PATH("mkdir", mkdir, (const char *path, mode_t mode), AT_FDCWD, path, (path, mode))
BY_PATH("mkdir", mkdirat, (int folder, const char *path, mode_t mode), folder, path,
        (folder, path, mode))

/* Files that are created; programs open them by one of four names. */
#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                    \
        va_end(more);                                                                              \
        if (flags & O_CREAT && fails("create", AT_FDCWD, path))                                    \
            return -1;                                                                             \
        return REAL(name)(path, flags, mode);                                                      \
    }
#define OPENAT(name)                                                                               \
    int name(int folder, const char *path, int flags, ...)                                         \
    {                                                                                              \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                    \
        va_end(more);                                                                              \
        if (flags & O_CREAT && fails("create", folder, path))                                      \
            return -1;                                                                             \
        return REAL(name)(folder, path, flags, mode);                                              \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

/* The C library writes and opens its own streams without these names. */
#define FOPEN(name)                                                                                \
    FILE *name(const char *path, const char *mode)                                                 \
    {                                                                                              \
        if (mode[0] != 'r' && fails("create", AT_FDCWD, path))                                     \
            return NULL;                                                                           \
        return REAL(name)(path, mode);                                                             \
    }
FOPEN(fopen)
FOPEN(fopen64)

size_t fwrite(const void *data, size_t size, size_t items, FILE *stream)
{
    return fails_to("write", fileno(stream)) ? 0 : REAL(fwrite)(data, size, items, stream);
}

int fflush(FILE *stream)
{
    return stream && fails_to("flush", fileno(stream)) ? EOF : REAL(fflush)(stream);
}
