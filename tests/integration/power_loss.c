/* Notes every change below one folder, in order, so that a test can rebuild what a power failure leaves of it.

   Preloaded into a process (LD_PRELOAD). Nothing is noted until power_trace(folder, trace) is called. A record is
   {kind, number of the file, offset, lengths of two byte strings} and the two strings: paths, or what was written. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static char root[PATH_MAX];
static size_t root_length;
static int trace = -1;
static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;

struct record { uint64_t kind, file; int64_t offset; uint64_t first, second; };

void power_trace(const char *folder, const char *file) {
    snprintf(root, sizeof root, "%s", folder);
    root_length = strlen(root);
    trace = REAL(open)(file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
}

static int is_below(const char *path) {
    return trace >= 0 && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

/* The absolute name of a path; 1 where it is below the folder. */
static int absolute(int folder, const char *path, char *name) {
    char place[PATH_MAX];
    if (trace < 0 || !path)
        return 0;
    if (path[0] == '/') {
        snprintf(name, PATH_MAX, "%s", path);
        return is_below(name);
    }
    if (folder == AT_FDCWD) {
        if (!getcwd(place, sizeof place))
            return 0;
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t n = readlink(link, place, sizeof place - 1);
        if (n < 0)
            return 0;
        place[n] = 0;
    }
    if (snprintf(name, PATH_MAX, "%s/%s", place, path) >= PATH_MAX)
        return 0;
    return is_below(name);
}

static int of_descriptor(int fd, char *name) {
    char link[64];
    if (trace < 0 || fd == trace)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, name, PATH_MAX - 1);
    if (n < 0)
        return 0;
    name[n] = 0;
    return is_below(name);
}

static uint64_t number_of(int fd) {
    struct stat found;
    return fstat(fd, &found) ? 0 : found.st_ino;
}

static void note(char kind, uint64_t file, int64_t offset, const void *a, size_t n, const void *b, size_t m) {
    int before = errno;
    struct record head = {kind, file, offset, n, m};
    char *all = malloc(sizeof head + n + m);
    memcpy(all, &head, sizeof head);
    memcpy(all + sizeof head, a, n);
    if (m)
        memcpy(all + sizeof head + n, b, m);
    if (REAL(write)(trace, all, sizeof head + n + m) < 0)
        abort();
    free(all);
    errno = before;
}

static void note_path(char kind, uint64_t file, int64_t offset, const char *path) {
    note(kind, file, offset, path, strlen(path), NULL, 0);
}

static int opened(int fd, const char *name, int flags, int is_new) {
    if (fd >= 0 && is_new)
        note_path('C', number_of(fd), 0, name);
    else if (fd >= 0 && (flags & O_TRUNC))
        note_path('T', number_of(fd), 0, name);
    return fd;
}

#define OPEN(function, before, folder, at)                                                                             \
    int function(before const char *path, int flags, ...) {                                                            \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                                        \
        va_end(more);                                                                                                  \
        char name[PATH_MAX];                                                                                           \
        if (!absolute(folder, path, name))                                                                             \
            return REAL(function)(at path, flags, mode);                                                               \
        pthread_mutex_lock(&one);                                                                                      \
        int is_new = (flags & O_CREAT) && access(name, F_OK);                                                          \
        int fd = opened(REAL(function)(at path, flags, mode), name, flags, is_new);                                    \
        pthread_mutex_unlock(&one);                                                                                    \
        return fd;                                                                                                     \
    }
#define COMMA ,
OPEN(open, , AT_FDCWD, )
OPEN(open64, , AT_FDCWD, )
OPEN(openat, int dir COMMA, dir, dir COMMA)
OPEN(openat64, int dir COMMA, dir, dir COMMA)

#define NOTED(call, expression)                                                                                        \
    pthread_mutex_lock(&one);                                                                                          \
    __typeof__(call) done = call;                                                                                      \
    if (done >= 0)                                                                                                     \
        expression;                                                                                                    \
    pthread_mutex_unlock(&one);                                                                                        \
    return done;

ssize_t write(int fd, const void *data, size_t n) {
    char name[PATH_MAX];
    if (!of_descriptor(fd, name))
        return REAL(write)(fd, data, n);
    struct stat found;
    int64_t offset = fcntl(fd, F_GETFL) & O_APPEND && !fstat(fd, &found) ? found.st_size : lseek(fd, 0, SEEK_CUR);
    NOTED(REAL(write)(fd, data, n), note('W', number_of(fd), offset, data, done, name, strlen(name)))
}

#define PWRITE(function, type)                                                                                         \
    ssize_t function(int fd, const void *data, size_t n, type offset) {                                                \
        char name[PATH_MAX];                                                                                           \
        if (!of_descriptor(fd, name))                                                                                  \
            return REAL(function)(fd, data, n, offset);                                                                \
        NOTED(REAL(function)(fd, data, n, offset), note('W', number_of(fd), offset, data, done, name, strlen(name)))   \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define TRUNCATE(function, type)                                                                                       \
    int function(int fd, type size) {                                                                                  \
        char name[PATH_MAX];                                                                                           \
        if (!of_descriptor(fd, name))                                                                                  \
            return REAL(function)(fd, size);                                                                           \
        NOTED(REAL(function)(fd, size), note_path('T', number_of(fd), size, name))                                     \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define SYNC(function)                                                                                                 \
    int function(int fd) {                                                                                             \
        char name[PATH_MAX];                                                                                           \
        if (!of_descriptor(fd, name))                                                                                  \
            return REAL(function)(fd);                                                                                 \
        NOTED(REAL(function)(fd), note_path('S', number_of(fd), 0, name))                                              \
    }
SYNC(fsync)
SYNC(fdatasync)

int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    char a[PATH_MAX], b[PATH_MAX];
    if (!absolute(from_dir, from, a) || !absolute(to_dir, to, b))
        return REAL(renameat)(from_dir, from, to_dir, to);
    NOTED(REAL(renameat)(from_dir, from, to_dir, to), note('R', 0, 0, a, strlen(a), b, strlen(b)))
}
int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int unlinkat(int dir, const char *path, int flags) {
    char name[PATH_MAX];
    if (!absolute(dir, path, name))
        return REAL(unlinkat)(dir, path, flags);
    NOTED(REAL(unlinkat)(dir, path, flags), note_path('U', 0, 0, name))
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int dir, const char *path, mode_t mode) {
    char name[PATH_MAX];
    if (!absolute(dir, path, name))
        return REAL(mkdirat)(dir, path, mode);
    NOTED(REAL(mkdirat)(dir, path, mode), note_path('M', 0, 0, name))
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* What copies between descriptors is refused, so that the caller reads and writes instead. */
ssize_t sendfile64(int to, int from, off64_t *offset, size_t n) {
    char name[PATH_MAX];
    ssize_t (*send)(int, int, off64_t *, size_t) = dlsym(RTLD_NEXT, "sendfile64");
    if (!of_descriptor(to, name))
        return send(to, from, offset, n);
    errno = EINVAL;
    return -1;
}
