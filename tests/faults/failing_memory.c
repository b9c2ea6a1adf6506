/* Memory that ends: the nth large allocation fails.

   Preloaded by LD_PRELOAD, so that also libraries in C and C++ (NumPy, Arrow, TensorFlow) allocate
   here. Arrow does so with ARROW_DEFAULT_MEMORY_POOL=system. */

#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static size_t least = (size_t)-1;
static long failing = -1;
static int stays_empty;
static atomic_long count;
static char failed[64];

/* Let the nth allocation (from 0) of at least some bytes fail; or, if it stays empty, all from it. */
void failing_memory_arm(size_t bytes, long nth, int stays)
{
    failing = nth;
    stays_empty = stays;
    failed[0] = 0;
    atomic_store(&count, 0);
    least = bytes;
}

/* Let all allocations succeed. */
void failing_memory_end(void)
{
    least = (size_t)-1;
}

/* The number of large allocations so far. */
long failing_memory_count(void)
{
    return atomic_load(&count);
}

/* The first allocation that failed, or nothing. */
const char *failing_memory_failed(void)
{
    return failed;
}

static int fails(const char *name, size_t bytes)
{
    if (bytes < least)
        return 0;
    long nth = atomic_fetch_add(&count, 1);
    if (failing < 0 || nth < failing || (nth > failing && !stays_empty))
        return 0;
    if (!failed[0])
        snprintf(failed, sizeof failed, "%s %zu", name, bytes);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t bytes)
{
    return fails("malloc", bytes) ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t items, size_t size)
{
    return fails("calloc", items * size) ? NULL : __libc_calloc(items, size);
}

void *realloc(void *old, size_t bytes)
{
    return fails("realloc", bytes) ? NULL : __libc_realloc(old, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return fails("aligned_alloc", bytes) ? NULL : __libc_memalign(alignment, bytes);
}

void *memalign(size_t alignment, size_t bytes)
{
    return fails("memalign", bytes) ? NULL : __libc_memalign(alignment, bytes);
}

int posix_memalign(void **result, size_t alignment, size_t bytes)
{
    void *memory = fails("posix_memalign", bytes) ? NULL : __libc_memalign(alignment, bytes);
    if (!memory)
        return ENOMEM;
    *result = memory;
    return 0;
}
