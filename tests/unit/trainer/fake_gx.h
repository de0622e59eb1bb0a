/* A libgx without gxd, for tests of trainer/diloco.c: one site in a script's hands.
 *
 * The test's wait function decides what each gx_wait() gives; it sees what the trainer has published and offered.
 * Included by one test file: its functions stand in for libgx's. Formats are the real ones.
 */
#ifndef GX_FAKE_GX_H
#define GX_FAKE_GX_H

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "gx.h"

#define FAKE_OFFERS_MAX 64

struct fake_offer {
    uint64_t round, weight;
    float *delta; /* decoded */
};

struct gx {
    void *arena; /* everything below that has a pointer lies in it */
    uint64_t arena_bytes;
    uint64_t count;
    enum gx_format format;
    float *theta, *momentum, *result;
    void *contribution;
    bool writing;       /* between gx_state_begin() and gx_publish() */
    uint64_t published; /* last */
    uint32_t publishes;
    struct fake_offer offers[FAKE_OFFERS_MAX];
    uint32_t offer_count;
    bool gone;                  /* every call gives -EPIPE until reattached */
    uint32_t reattach_failures; /* attempts that fail before one works */
    uint32_t reattaches;
    uint32_t busy; /* times that gx_contribution() gives NULL */
    uint32_t full; /* times that gx_publish() gives -EAGAIN */
    uint32_t register_failures;
    uint32_t waits;
    bool state_is_gxd; /* between BEHIND and STATE */
};

/* The script: 0 with *event filled, or -ETIMEDOUT, -EPIPE, … */
static int (*fake_wait)(struct gx *gx, struct gx_event *event);
static struct gx *fake_last; /* the object of the last attach; freed by fake_free() */
static struct {
    bool refuse_attach;
    uint32_t register_failures;
    uint32_t busy, full;
} fake_setup;

static inline void fake_free(void)
{
    struct gx *gx = fake_last;
    fake_last = NULL;
    if (!gx)
        return;
    for (uint32_t i = 0; i < gx->offer_count; i++)
        free(gx->offers[i].delta);
    free(gx->arena);
    free(gx);
}

int gx_attach(const char *socket_path, struct gx **out)
{
    (void)socket_path;
    fake_free();
    *out = fake_last = calloc(1, sizeof(struct gx));
    if (!*out)
        return -ENOMEM;
    (*out)->register_failures = fake_setup.register_failures;
    (*out)->busy = fake_setup.busy;
    (*out)->full = fake_setup.full;
    return fake_setup.refuse_attach ? -ECONNREFUSED : 0;
}

int gx_register(struct gx *gx, const struct gx_schema *schema)
{
    if (gx->register_failures > 0) {
        gx->register_failures--;
        return -EAGAIN;
    }
    gx->count = schema->param_counts[0];
    gx->format = schema->format;
    const uint64_t array = (gx->count * sizeof(float) + 63) / 64 * 64;
    gx->arena_bytes = (3 * array + gx_wire_bytes(gx->format, gx->count) + 4095) / 4096 * 4096;
    gx->arena = aligned_alloc(4096, gx->arena_bytes);
    if (!gx->arena)
        return -ENOMEM;
    memset(gx->arena, 0, gx->arena_bytes);
    gx->theta = gx->arena;
    gx->momentum = (float *)(void *)((char *)gx->arena + array);
    gx->result = (float *)(void *)((char *)gx->arena + 2 * array);
    gx->contribution = (char *)gx->arena + 3 * array;
    return 0;
}

void *gx_arena(struct gx *gx, uint64_t *bytes)
{
    *bytes = gx->arena_bytes;
    return gx->arena;
}

uint32_t gx_site_index(const struct gx *gx)
{
    (void)gx;
    return 0;
}

uint32_t gx_site_count(const struct gx *gx)
{
    (void)gx;
    return 2;
}

const char *gx_site_name(const struct gx *gx, uint32_t site)
{
    (void)gx;
    return site == 0 ? "a" : "b";
}

float *gx_theta(struct gx *gx, uint32_t fragment)
{
    (void)fragment;
    return gx->theta;
}

float *gx_momentum(struct gx *gx, uint32_t fragment)
{
    (void)fragment;
    return gx->momentum;
}

void gx_state_begin(struct gx *gx, uint32_t fragment)
{
    (void)fragment;
    if (gx->state_is_gxd || gx->writing)
        abort(); /* the trainer wrote a state that is not its own, or nested two writes */
    gx->writing = true;
}

int gx_publish(struct gx *gx, uint32_t fragment, uint64_t round)
{
    (void)fragment;
    gx->writing = false;
    if (gx->full > 0) {
        gx->full--;
        return -EAGAIN;
    }
    gx->published = round;
    gx->publishes++;
    return gx->gone ? -EPIPE : 0;
}

void *gx_contribution(struct gx *gx, uint32_t fragment, uint64_t round)
{
    (void)fragment;
    (void)round;
    if (gx->busy > 0) {
        gx->busy--;
        return NULL;
    }
    return gx->contribution;
}

int gx_contribute(struct gx *gx, uint32_t fragment, uint64_t round, const float *src)
{
    void *wire = gx_contribution(gx, fragment, round);

    return wire ? gx_encode(gx->format, wire, src, gx->count) : -EAGAIN;
}

int gx_offer(struct gx *gx, uint32_t fragment, uint64_t round, uint64_t weight)
{
    (void)fragment;
    if (gx->offer_count == FAKE_OFFERS_MAX)
        return -ENOSPC;
    struct fake_offer *o = &gx->offers[gx->offer_count++];
    *o = (struct fake_offer){round, weight, malloc(gx->count * sizeof(float))};
    if (!o->delta)
        return -ENOMEM;
    gx_decode(gx->format, o->delta, gx->contribution, gx->count);
    return gx->gone ? -EPIPE : 0;
}

int gx_wait(struct gx *gx, struct gx_event *event, int timeout_ms)
{
    (void)timeout_ms;
    gx->waits++;
    if (gx->gone)
        return -EPIPE;
    memset(event, 0, sizeof(*event));
    return fake_wait(gx, event);
}

const float *gx_result(struct gx *gx, uint32_t fragment)
{
    (void)fragment;
    return gx->result;
}

int gx_reattach(struct gx *gx)
{
    gx->reattaches++;
    if (gx->reattach_failures > 0) {
        gx->reattach_failures--;
        return -ECONNREFUSED;
    }
    gx->gone = false;
    return 0;
}

void gx_detach(struct gx *gx)
{
    (void)gx; /* fake_last stays for the test to look at */
}

const char *gx_error(const struct gx *gx)
{
    (void)gx;
    return "the fake gxd says so";
}

const char *gx_reason_text(enum gx_reason reason)
{
    static const char *const texts[] = {
#define GX_REASON(name, text) text,
#include "errors.def"
#undef GX_REASON
    };
    return texts[reason];
}

#endif
