#include "simt/simt.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <deque>
#include <numeric>
#include <sys/random.h>
#include <utility>
#include <vector>

#include "cuda/gpu.h"
#include "simt/fibre.h"
#include "simt/inside.h"

dim3 gx_simt_thread_idx, gx_simt_block_idx, gx_simt_block_dim, gx_simt_grid_dim;

struct thread {
    struct gx_fibre fibre;
    dim3 idx;
    struct gx_simt_site barrier; /* where it stands, if in its warp's `at_barrier` */
};

/* Masks of lanes. A lane that is in none of the last three has ended. */
struct warp {
    uint32_t runnable, at_barrier, collected;
    const char *collect_name;
    void *operands[32];
};

static std::deque<struct thread>
    threads; /* as many as the largest block had, used again and again */
static std::vector<struct warp> warps;
static struct gx_fibre scheduler;
static struct thread *self;
static const std::function<void()> *body;
static const char *kernel_name;

/* ---- random numbers and failures ---- */

static uint64_t seed, random_state;

extern "C" void gx_simt_seed(uint64_t to)
{
    seed = to;
    random_state = to * 2 + 1; /* never 0: that is "not seeded" */
}

static uint32_t random_below(size_t bound)
{
    if (random_state == 0) {
        const char *text = getenv("GX_SIMT_SEED");
        uint64_t fresh = 0;
        if (text)
            fresh = strtoull(text, NULL, 0);
        else if (getrandom(&fresh, sizeof fresh, 0) != static_cast<ssize_t>(sizeof fresh))
            abort();
        gx_simt_seed(fresh);
    }
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return static_cast<uint32_t>(((random_state * 0x9e3779b97f4a7c15u) >> 32) * bound >> 32);
}

void gx_simt_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "simt: %s, block (%u, %u, %u): ", kernel_name ? kernel_name : "no kernel",
            blockIdx.x, blockIdx.y, blockIdx.z);
    vfprintf(stderr, format, args);
    fprintf(stderr, " (GX_SIMT_SEED=%llu)\n", static_cast<unsigned long long>(seed));
    va_end(args);
    abort();
}

/* ---- one warp ---- */

static struct warp *own_warp(void)
{
    return &warps[threadIdx.x / GX_WARP_LANES];
}

/* Some set lane of `mask`, at random. */
static unsigned draw_lane(uint32_t mask)
{
    const unsigned shift = random_below(32);
    const uint32_t turned = shift ? mask >> shift | mask << (32 - shift) : mask;
    return (static_cast<unsigned>(__builtin_ctz(turned)) + shift) % 32;
}

static void resume(struct gx_fibre *from, struct thread *to)
{
    self = to;
    gx_simt_thread_idx = to->idx;
    gx_fibre_switch(from, &to->fibre);
}

/* Goes on with another lane of the warp, or, when none can run, with the scheduler. Returns when this lane may go on. */
static void give_way(struct warp *w)
{
    struct thread *me = self;
    if (w->runnable)
        resume(&me->fibre, &threads[(me->idx.x & ~31u) + draw_lane(w->runnable)]);
    else
        gx_fibre_switch(&me->fibre, &scheduler);
}

void gx_simt_collect(const char *name, void *operand, void (*work)(void *const operands[32]))
{
    struct warp *w = own_warp();
    const uint32_t mine = 1u << threadIdx.x % 32;
    if (w->collected && w->collect_name != name && strcmp(w->collect_name, name) != 0)
        gx_simt_fail("lane %u of warp %u is at %s, others at %s", threadIdx.x % 32,
                     threadIdx.x / 32, name, w->collect_name);
    w->collect_name = name;
    w->operands[threadIdx.x % 32] = operand;
    w->collected |= mine;
    w->runnable &= ~mine;
    if (w->collected != UINT32_MAX) {
        give_way(w);
        return;
    }
    work(w->operands);
    w->collected = 0;
    w->runnable = UINT32_MAX;
}

void gx_simt_warp_barrier(struct gx_simt_site site)
{
    if (!gx_simt_fault_at(GX_SIMT_NO_WARP_BARRIER, site))
        gx_simt_collect("gx_syncwarp", NULL, [](void *const[32]) {});
}

uint32_t gx_ballot(bool value)
{
    struct gx_simt_exchange<uint32_t> mine = {
        value, 0, 0
    };
    gx_simt_collect("gx_ballot", &mine, [](void *const operands[32]) {
        uint32_t bits = 0;
        for (unsigned lane = 0; lane < 32; lane++)
            bits |= static_cast<gx_simt_exchange<uint32_t> *>(operands[lane])->value << lane;
        for (unsigned lane = 0; lane < 32; lane++)
            static_cast<gx_simt_exchange<uint32_t> *>(operands[lane])->result = bits;
    });
    return mine.result;
}

void gx_simt_barrier(struct gx_simt_site site)
{
    if (gx_simt_fault_at(GX_SIMT_NO_BARRIER, site))
        return;
    struct warp *w = own_warp();
    const uint32_t mine = 1u << threadIdx.x % 32;
    self->barrier = site;
    w->at_barrier |= mine;
    w->runnable &= ~mine;
    give_way(w);
}

/* ---- one block ---- */

static void thread_main(void)
{
    for (;;) {
        (*body)();
        gx_simt_copies_end(threadIdx.x);
        struct warp *w = own_warp();
        w->runnable &= ~(1u << threadIdx.x % 32);
        give_way(w);
    }
}

/* One that can run, at random; NULL when there is none. */
static struct warp *draw_warp(void)
{
    static std::vector<struct warp *> ready;
    ready.clear();
    for (struct warp &w : warps)
        if (w.runnable)
            ready.push_back(&w);
    return ready.empty() ? NULL : ready[random_below(ready.size())];
}

/* Every thread stands at one barrier: lets them go. False: every thread has ended. */
static bool release_barrier(void)
{
    size_t waiting = 0;
    struct gx_simt_site site = {NULL, 0};
    for (size_t i = 0; i < blockDim.x; i++) {
        if (!(warps[i / 32].at_barrier >> i % 32 & 1))
            continue;
        if (waiting++ > 0 && !gx_simt_site_equal(site, threads[i].barrier))
            gx_simt_fail("thread %zu stands at the barrier in %s:%d, others in %s:%d", i,
                         threads[i].barrier.file, threads[i].barrier.line, site.file, site.line);
        site = threads[i].barrier;
    }
    if (waiting != 0 && waiting != blockDim.x)
        gx_simt_fail("%zu of %u threads stand at the barrier in %s:%d, the others have ended",
                     waiting, blockDim.x, site.file, site.line);
    for (struct warp &w : warps)
        w.runnable = std::exchange(w.at_barrier, 0);
    return waiting != 0;
}

static void run_block(size_t shared_bytes)
{
    gx_simt_memory_begin(shared_bytes);
    warps.assign(blockDim.x / 32, {UINT32_MAX, 0, 0, NULL, {}});
    do {
        while (struct warp *w = draw_warp()) {
            const size_t first = static_cast<size_t>(w - warps.data()) * 32;
            resume(&scheduler, &threads[first + draw_lane(w->runnable)]);
            if (w->collected)
                gx_simt_fail("lanes 0x%x of warp %zu wait in %s; the others do not come",
                             w->collected, first / 32, w->collect_name);
        }
    } while (release_barrier());
    gx_simt_memory_end();
}

/* ---- one launch ---- */

void gx_simt_run(const char *kernel, dim3 grid, dim3 block, size_t shared_bytes,
                 const std::function<void()> &job)
{
    kernel_name = kernel;
    body = &job;
    gx_simt_grid_dim = grid;
    gx_simt_block_dim = block;
    gx_simt_block_idx = {0, 0, 0};
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 || grid.z > 65535)
        gx_simt_fail("no device takes a grid of (%u, %u, %u)", grid.x, grid.y, grid.z);
    if (block.x == 0 || block.x % 32 != 0 || block.x > 1024 || block.y != 1 || block.z != 1)
        gx_simt_fail("a block of (%u, %u, %u): whole warps in one dimension, at most 1024 threads",
                     block.x, block.y, block.z);
    while (threads.size() < block.x) {
        threads.push_back({{}, {static_cast<unsigned>(threads.size())}, {NULL, 0}});
        gx_fibre_create(&threads.back().fibre, thread_main);
    }
    std::vector<uint64_t> order(static_cast<size_t>(grid.x) * grid.y * grid.z);
    std::iota(order.begin(), order.end(), 0);
    for (size_t left = order.size(); left > 0; left--) {
        std::swap(order[left - 1], order[random_below(left)]);
        const uint64_t at = order[left - 1];
        gx_simt_block_idx = {static_cast<unsigned>(at % grid.x),
                             static_cast<unsigned>(at / grid.x % grid.y),
                             static_cast<unsigned>(at / grid.x / grid.y)};
        run_block(shared_bytes);
    }
    kernel_name = NULL;
}

static void submit_now(struct gx_dev_stream *stream, const char *kernel, std::function<void()> job)
{
    (void)stream;
    (void)kernel;
    job();
}

void (*gx_simt_submit)(struct gx_dev_stream *, const char *, std::function<void()>) = submit_now;
