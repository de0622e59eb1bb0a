/* Shared memory, copies under way, global memory at the edge of a page, and planted faults. */
#include <algorithm>
#include <cstdio>
#include <sanitizer/asan_interface.h>
#include <sys/mman.h>
#include <vector>

#include "cuda/gpu.h"
#include "cuda/ptx.h"
#include "simt/inside.h"

static const unsigned char poison = 0xff;
static const size_t guard_bytes = 64;

/* ---- planted faults ---- */

struct place {
    enum gx_simt_fault fault;
    struct gx_simt_site site;
};

static std::vector<struct place> places; /* where a fault could be, in the order of file and line */
static struct place planted;

static bool before(const struct place &a, const struct place &b)
{
    const int files = strcmp(a.site.file, b.site.file);
    return files != 0 ? files < 0 : a.site.line < b.site.line;
}

bool gx_simt_fault_at(enum gx_simt_fault fault, struct gx_simt_site site)
{
    if (planted.fault == fault)
        return gx_simt_site_equal(planted.site, site);
    if (planted.fault != GX_SIMT_NO_FAULT)
        return false;
    for (const struct place &p : places)
        if (p.fault == fault && gx_simt_site_equal(p.site, site))
            return false;
    const struct place here = {fault, site};
    places.insert(std::upper_bound(places.begin(), places.end(), here, before), here);
    return false;
}

extern "C" bool gx_simt_plant(enum gx_simt_fault fault, unsigned index)
{
    planted = {GX_SIMT_NO_FAULT, {NULL, 0}};
    if (fault == GX_SIMT_NO_FAULT)
        places.clear();
    for (const struct place &p : places)
        if (p.fault == fault && index-- == 0) {
            planted = p;
            return true;
        }
    return false;
}

extern "C" const char *gx_simt_planted(void)
{
    static char text[256];
    const char *file = planted.fault == GX_SIMT_NO_FAULT ? "none" : planted.site.file;
    const char *slash = strrchr(file, '/');
    snprintf(text, sizeof text, "%s:%d", slash ? slash + 1 : file, planted.site.line);
    return text;
}

/* ---- shared memory ---- */

struct array {
    int key;
    struct gx_simt_site site;
    size_t bytes;
    unsigned char *memory; /* guard, values, guard */
};

static std::vector<struct array> arrays;
static size_t dynamic_bytes, static_bytes;

static void *array_create(int key, size_t bytes, size_t value_bytes, struct gx_simt_site site)
{
    if (gx_simt_fault_at(GX_SIMT_SHORT_SHARED, site))
        bytes -= value_bytes;
    const size_t whole = (bytes + 2 * guard_bytes + 63) / 64 * 64;
    unsigned char *memory = static_cast<unsigned char *>(aligned_alloc(64, whole));
    if (!memory)
        abort();
    memset(memory, poison, whole);
    ASAN_POISON_MEMORY_REGION(memory, guard_bytes);
    ASAN_POISON_MEMORY_REGION(memory + guard_bytes + bytes, guard_bytes);
    arrays.push_back({key, site, bytes, memory});
    return memory + guard_bytes;
}

static void *array_find(int key)
{
    for (const struct array &a : arrays)
        if (a.key == key)
            return a.memory + guard_bytes;
    return NULL;
}

void *gx_simt_shared(int key, size_t bytes, size_t value_bytes, struct gx_simt_site site)
{
    if (void *found = array_find(key))
        return found;
    static_bytes += bytes;
    if (static_bytes + dynamic_bytes > GX_SHARED_BYTES_MAX || static_bytes > 48u << 10)
        gx_simt_fail("%s:%d: more shared memory than a block can have", site.file, site.line);
    return array_create(key, bytes, value_bytes, site);
}

void *gx_simt_shared_dynamic(int key, size_t offset_bytes, size_t bytes, size_t value_bytes,
                             struct gx_simt_site site)
{
    if (void *found = array_find(key))
        return found;
    if (offset_bytes % 16 != 0 || offset_bytes + bytes > dynamic_bytes)
        gx_simt_fail("%s:%d: bytes %zu to %zu of the %zu that were asked for", site.file, site.line,
                     offset_bytes, offset_bytes + bytes, dynamic_bytes);
    return array_create(key, bytes, value_bytes, site);
}

void gx_simt_memory_begin(size_t bytes)
{
    dynamic_bytes = bytes;
    static_bytes = 0;
    if (bytes > GX_SHARED_BYTES_MAX)
        gx_simt_fail("%zu bytes of shared memory: not every device has them", bytes);
}

static bool is_poison(const unsigned char *at, size_t bytes)
{
    return std::all_of(at, at + bytes, [](unsigned char c) { return c == poison; });
}

void gx_simt_memory_end(void)
{
    for (const struct array &a : arrays) {
        ASAN_UNPOISON_MEMORY_REGION(a.memory, 2 * guard_bytes + a.bytes);
        if (!is_poison(a.memory, guard_bytes) ||
            !is_poison(a.memory + guard_bytes + a.bytes, guard_bytes))
            gx_simt_fail("written beyond the shared array of %s:%d", a.site.file, a.site.line);
        free(a.memory);
    }
    arrays.clear();
}

/* ---- copies under way ---- */

struct copy {
    void *to;
    const void *from; /* NULL: zeros */
    size_t bytes;
};

/* One thread's groups, the oldest first; the last one is still open. */
static std::vector<std::vector<std::vector<struct copy>>> copies;

static std::vector<std::vector<struct copy>> &own_groups(void)
{
    if (copies.size() <= threadIdx.x)
        copies.resize(threadIdx.x + 1);
    if (copies[threadIdx.x].empty())
        copies[threadIdx.x].emplace_back();
    return copies[threadIdx.x];
}

static void copy_later(void *shared, const void *from, bool valid, size_t bytes)
{
    if (reinterpret_cast<uintptr_t>(shared) % bytes != 0 ||
        reinterpret_cast<uintptr_t>(from) % bytes != 0)
        gx_simt_fail("gx_copy_async%zu: %p and %p are not both aligned to it", bytes, shared, from);
    memset(shared, poison, bytes);
    own_groups().back().push_back({shared, valid ? from : NULL, bytes});
}

void gx_copy_async16(void *shared, const void *from, bool valid)
{
    copy_later(shared, from, valid, 16);
}

void gx_copy_async4(void *shared, const void *from, bool valid)
{
    copy_later(shared, from, valid, 4);
}

void gx_copy_async_commit(void)
{
    own_groups().emplace_back();
}

void gx_simt_copy_wait(unsigned pending, struct gx_simt_site site)
{
    if (gx_simt_fault_at(GX_SIMT_NO_WAIT, site))
        return;
    std::vector<std::vector<struct copy>> &groups = own_groups();
    while (groups.size() > pending + 1) {
        for (const struct copy &c : groups.front()) {
            if (c.from)
                memcpy(c.to, c.from, c.bytes);
            else
                memset(c.to, 0, c.bytes);
        }
        groups.erase(groups.begin());
    }
}

void gx_simt_copies_end(unsigned thread)
{
    if (copies.size() <= thread)
        return;
    for (const std::vector<struct copy> &group : copies[thread])
        if (!group.empty())
            gx_simt_fail("thread %u ends while copies of its own are under way", thread);
    copies[thread].clear();
}

/* ---- global memory ---- */

struct buffer {
    unsigned char *mapping, *memory;
    size_t mapped_bytes, bytes;
};

static std::vector<struct buffer> buffers;
static const size_t page_bytes = 4096;

extern "C" void *gx_simt_alloc(size_t bytes)
{
    const size_t room = (bytes + 15) / 16 * 16, pages = (room + page_bytes - 1) / page_bytes;
    struct buffer b = {NULL, NULL, (pages + 2) * page_bytes, bytes};
    void *mapping =
        mmap(NULL, b.mapped_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED)
        return NULL;
    b.mapping = static_cast<unsigned char *>(mapping);
    if (mprotect(b.mapping + page_bytes, pages * page_bytes, PROT_READ | PROT_WRITE) != 0)
        abort();
    b.memory = b.mapping + (pages + 1) * page_bytes - room;
    memset(b.mapping + page_bytes, poison, pages * page_bytes);
    ASAN_POISON_MEMORY_REGION(b.mapping + page_bytes, pages * page_bytes);
    ASAN_UNPOISON_MEMORY_REGION(b.memory, bytes);
    buffers.push_back(b);
    return b.memory;
}

extern "C" void gx_simt_free(void *memory)
{
    if (!memory)
        return;
    for (size_t i = 0; i < buffers.size(); i++) {
        const struct buffer b = buffers[i];
        if (b.memory != memory)
            continue;
        unsigned char *end = b.mapping + b.mapped_bytes - page_bytes;
        ASAN_UNPOISON_MEMORY_REGION(b.mapping, b.mapped_bytes);
        if (!is_poison(b.mapping + page_bytes,
                       static_cast<size_t>(b.memory - b.mapping) - page_bytes) ||
            !is_poison(b.memory + b.bytes, static_cast<size_t>(end - b.memory) - b.bytes))
            gx_simt_fail("written beyond a buffer of %zu bytes", b.bytes);
        munmap(b.mapping, b.mapped_bytes);
        buffers.erase(buffers.begin() + static_cast<std::ptrdiff_t>(i));
        return;
    }
    gx_simt_fail("gx_simt_free(%p): not from gx_simt_alloc()", memory);
}
