/* libgx: the arena's owner. It survives gxd: what a new gxd must be told after a restart, the last published states
 * and the pending offers, is remembered here and not in shared memory, where a broken gxd could spoil it. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "arena/claim.h"
#include "arena/connect.h"
#include "arena/memfd.h"
#include "arena/ring.h"
#include "arena.h"
#include "gx.h"

struct fragment {
    bool published;
    uint64_t published_round;
    bool offered; /* not answered by an event yet */
    uint64_t offer_round, offer_weight, offer_time_ns;
    bool claimed; /* the contribution to claim_round is written, and its digest known */
    uint64_t claim_round;
    uint8_t claim[GX_CLAIM_BYTES];
    bool behind;     /* the state area belongs to gxd */
    bool accept_due; /* and gxd is still to be told that it may have it */
    uint64_t accept_round;
};

struct gx {
    char path[108];
    char error[GX_CONNECT_TEXT_MAX];
    int socket; /* -1: not connected */
    int wake_gxd, wake_self, epoll;
    bool registered, gone;
    struct gx_attach_request request;
    struct gx_attach_reply reply;
    struct gx_arena_layout layout;
    struct gx_memfd arena;
    struct gx_ring_end commands, events;
    struct fragment fragments[GX_FRAGMENTS_MAX];
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static int fail(struct gx *gx, int error, const char *what)
{
    snprintf(gx->error, sizeof(gx->error), "%s", what);
    return error;
}

static struct gx_arena_header *header_of(const struct gx *gx)
{
    return (struct gx_arena_header *)(void *)gx->arena.base;
}

/* ---- connection ---- */

static void disconnect(struct gx *gx)
{
    if (gx->socket >= 0)
        close(gx->socket); /* leaves the epoll set by itself */
    gx->socket = -1;
}

static int connect_new(struct gx *gx)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};
    int ret;

    disconnect(gx);
    ret = gx_connect(gx->path, &gx->socket, gx->error);
    if (ret)
        return ret;
    if (epoll_ctl(gx->epoll, EPOLL_CTL_ADD, gx->socket, &event)) {
        ret = fail(gx, -errno, "epoll_ctl failed");
        disconnect(gx);
    }
    return ret;
}

static int descriptors_make(struct gx *gx)
{
    struct epoll_event event = {.events = EPOLLIN};

    gx->epoll = epoll_create1(EPOLL_CLOEXEC);
    gx->wake_gxd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    gx->wake_self = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (gx->epoll < 0 || gx->wake_gxd < 0 || gx->wake_self < 0 ||
        epoll_ctl(gx->epoll, EPOLL_CTL_ADD, gx->wake_self, &event))
        return fail(gx, -errno, "cannot make descriptors: the process has too many (ulimit -n)");
    return 0;
}

int gx_attach(const char *socket_path, struct gx **out)
{
    struct gx *gx = calloc(1, sizeof(*gx));
    int ret;

    *out = gx;
    if (!gx)
        return -ENOMEM;
    gx->socket = gx->arena.fd = gx->wake_gxd = gx->wake_self = gx->epoll = -1;
    if (strlen(socket_path) >= sizeof(gx->path))
        return gx_connect(socket_path, &gx->socket, gx->error); /* says what is wrong */
    strcpy(gx->path, socket_path);
    ret = descriptors_make(gx);
    return ret ? ret : connect_new(gx);
}

void gx_detach(struct gx *gx)
{
    if (!gx)
        return;
    disconnect(gx);
    gx_memfd_close(&gx->arena);
    if (gx->wake_gxd >= 0)
        close(gx->wake_gxd);
    if (gx->wake_self >= 0)
        close(gx->wake_self);
    if (gx->epoll >= 0)
        close(gx->epoll);
    free(gx);
}

/* ---- arena ---- */

static int arena_create(struct gx *gx)
{
    struct gx_arena_header *header;
    int ret = gx_memfd_open(&gx->arena, gx->layout.bytes);

    if (ret) {
        snprintf(gx->error, sizeof(gx->error), "cannot make an arena of %llu bytes: %s",
                 (unsigned long long)gx->layout.bytes, strerror(-ret));
        return ret;
    }
    gx->request.arena_bytes = gx->arena.bytes;
    header = header_of(gx);
    header->magic = GX_ARENA_MAGIC;
    header->fragment_count = gx->layout.fragment_count;
    header->bytes = gx->layout.bytes;
    /* Release: whoever sees the version sees a whole header. */
    __atomic_store_n(&header->version, GX_ARENA_VERSION, __ATOMIC_RELEASE);
    return 0;
}

static void rings_reset(struct gx *gx)
{
    struct gx_arena_header *header = header_of(gx);
    eventfd_t count;

    header->commands.head = header->commands.tail = 0;
    header->events.head = header->events.tail = 0;
    gx_ring_produce(&gx->commands, &header->commands, gx->arena.base + gx->layout.commands,
                    sizeof(struct gx_command));
    gx_ring_consume(&gx->events, &header->events, gx->arena.base + gx->layout.events,
                    sizeof(struct gx_event));
    eventfd_read(gx->wake_self, &count);
}

/* ---- registration ---- */

static int request_make(struct gx *gx, const struct gx_schema *schema)
{
    struct gx_attach_request *request = &gx->request;

    if (gx_arena_layout(&gx->layout, schema))
        return fail(gx, -EINVAL,
                    "schema: a run's name has 1 to 31 of A-Z a-z 0-9 . _ -, there are 1 to 64 "
                    "fragments, each with at least one parameter, and a known format and digest");
    memset(request, 0, sizeof(*request));
    request->version_min = request->version_max = GX_ATTACH_VERSION;
    strcpy(request->run, schema->run);
    request->format = (uint32_t)schema->format;
    request->digest_kind = (uint32_t)schema->digest;
    request->fragment_count = schema->fragment_count;
    memcpy(request->param_counts, schema->param_counts,
           schema->fragment_count * sizeof(schema->param_counts[0]));
    return 0;
}

static int handshake(struct gx *gx)
{
    const int descriptors[3] = {gx->arena.fd, gx->wake_gxd, gx->wake_self};
    int ret;

    rings_reset(gx);
    ret = gx_connect_register(gx->socket, &gx->request, descriptors, &gx->reply, gx->error);
    if (ret)
        disconnect(gx);
    gx->gone = ret != 0;
    return ret;
}

int gx_register(struct gx *gx, const struct gx_schema *schema)
{
    int ret;

    if (gx->registered)
        return fail(gx, -EALREADY, "a schema is registered already: detach first");
    ret = request_make(gx, schema);
    if (ret)
        return ret;
    /* gxd does not keep a silent connection for ever, and closes one that it refused. */
    if (gx->socket < 0 || gx_connect_gone(gx->socket, gx->error)) {
        ret = connect_new(gx);
        if (ret)
            return ret;
    }
    ret = arena_create(gx);
    if (!ret)
        ret = handshake(gx);
    if (ret) {
        gx_memfd_close(&gx->arena);
        return ret;
    }
    gx->registered = true;
    return 0;
}

uint32_t gx_site_index(const struct gx *gx)
{
    return gx->reply.site_index;
}

uint32_t gx_site_count(const struct gx *gx)
{
    return gx->reply.site_count;
}

const char *gx_site_name(const struct gx *gx, uint32_t site)
{
    return site < gx->reply.site_count ? gx->reply.site_names[site] : "";
}

/* ---- areas ---- */

static uint8_t *area(const struct gx *gx, uint32_t fragment, uint64_t offset)
{
    return fragment < gx->layout.fragment_count && gx->arena.base ? gx->arena.base + offset : NULL;
}

void *gx_arena(struct gx *gx, uint64_t *bytes)
{
    *bytes = gx->arena.bytes;
    return gx->arena.base;
}

float *gx_theta(struct gx *gx, uint32_t fragment)
{
    return (float *)(void *)area(gx, fragment,
                                 gx->layout.fragments[fragment % GX_FRAGMENTS_MAX].state);
}

float *gx_momentum(struct gx *gx, uint32_t fragment)
{
    float *theta = gx_theta(gx, fragment);

    return theta ? theta + gx->layout.fragments[fragment].param_count : NULL;
}

const float *gx_result(struct gx *gx, uint32_t fragment)
{
    return (const float *)(const void *)area(
        gx, fragment, gx->layout.fragments[fragment % GX_FRAGMENTS_MAX].result);
}

static uint8_t *contribution(const struct gx *gx, uint32_t fragment, uint64_t round)
{
    uint32_t slot = (uint32_t)(round & 1);

    if (fragment >= gx->layout.fragment_count || !gx->arena.base)
        return NULL;
    /* A gxd that is gone sends nothing any more, whatever it left here. */
    if (!gx->gone &&
        __atomic_load_n(&header_of(gx)->contribution_busy[fragment][slot], __ATOMIC_ACQUIRE))
        return NULL;
    return gx->arena.base + gx->layout.fragments[fragment].contribution[slot];
}

void *gx_contribution(struct gx *gx, uint32_t fragment, uint64_t round)
{
    /* Whoever asks may write other bytes than those that were digested. */
    if (fragment < gx->layout.fragment_count && gx->fragments[fragment].claim_round == round)
        gx->fragments[fragment].claimed = false;
    return contribution(gx, fragment, round);
}

static bool state_open(const struct gx *gx, uint32_t fragment)
{
    return header_of(gx)->state_sequence[fragment] & 1;
}

/* The sequence lock's writer side: Linux, Documentation/locking/seqlock.rst. */
void gx_state_begin(struct gx *gx, uint32_t fragment)
{
    if (fragment >= gx->layout.fragment_count || !gx->arena.base || state_open(gx, fragment))
        return;
    __atomic_add_fetch(&header_of(gx)->state_sequence[fragment], 1, __ATOMIC_RELAXED);
    /* No write to the state may be seen before the sequence is odd. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static void state_end(struct gx *gx, uint32_t fragment)
{
    if (state_open(gx, fragment))
        __atomic_add_fetch(&header_of(gx)->state_sequence[fragment], 1, __ATOMIC_RELEASE);
}

/* ---- commands ---- */

static int command_push(struct gx *gx, const struct gx_command *command)
{
    int ret;

    if (!gx->gone && gx_connect_gone(gx->socket, gx->error))
        gx->gone = true;
    if (gx->gone)
        return -EPIPE;
    ret = gx_ring_push(&gx->commands, command);
    if (ret == -ENOSPC)
        return fail(gx, -EAGAIN,
                    "gxd does not take commands: read events, or look whether it is stuck");
    if (ret) {
        gx->gone = true;
        return fail(gx, -EPIPE, "gxd broke the command ring: attach again");
    }
    eventfd_write(gx->wake_gxd, 1);
    return 0;
}

static int command_check(struct gx *gx, uint32_t fragment)
{
    if (!gx->registered)
        return fail(gx, -ENOTCONN, "no schema is registered: call gx_register() first");
    if (fragment >= gx->layout.fragment_count)
        return fail(gx, -EINVAL, "the schema has no such fragment");
    if (gx->fragments[fragment].behind)
        return fail(gx, -EBUSY, "gxd is fetching this fragment's state: wait for the STATE event");
    return 0;
}

static int publish_push(struct gx *gx, uint32_t fragment)
{
    struct gx_command command = {.type = GX_COMMAND_PUBLISH,
                                 .fragment = fragment,
                                 .round = gx->fragments[fragment].published_round,
                                 .offset = gx->layout.fragments[fragment].state,
                                 .bytes = gx->layout.fragments[fragment].param_count * 8,
                                 .time_ns = now_ns()};

    return command_push(gx, &command);
}

int gx_publish(struct gx *gx, uint32_t fragment, uint64_t round)
{
    struct fragment *f = &gx->fragments[fragment % GX_FRAGMENTS_MAX];
    int ret = command_check(gx, fragment);

    if (ret)
        return ret;
    state_end(gx, fragment);
    f->published = true;
    f->published_round = round;
    return publish_push(gx, fragment);
}

int gx_contribute(struct gx *gx, uint32_t fragment, uint64_t round, const float *src)
{
    struct fragment *f = &gx->fragments[fragment % GX_FRAGMENTS_MAX];
    int ret = command_check(gx, fragment);
    uint8_t *to = contribution(gx, fragment, round);
    enum gx_format format = (enum gx_format)gx->request.format;
    uint64_t count = gx->layout.fragments[fragment % GX_FRAGMENTS_MAX].param_count;

    if (ret)
        return ret;
    if (!to)
        return fail(gx, -EAGAIN, "the port still sends from this round's buffer: wait a little");
    f->claimed = false;
    f->claim_round = round;
    ret = gx->request.digest_kind == GX_XXH3 ? gx_claim_encode(format, to, src, count, f->claim)
                                             : gx_encode(format, to, src, count);
    if (ret)
        return fail(gx, ret, "a value of the contribution is not finite");
    f->claimed = gx->request.digest_kind == GX_XXH3;
    return 0;
}

static int offer_push(struct gx *gx, uint32_t fragment)
{
    const struct fragment *f = &gx->fragments[fragment];
    const struct gx_arena_fragment *layout = &gx->layout.fragments[fragment];
    struct gx_command command = {.type = GX_COMMAND_OFFER,
                                 .fragment = fragment,
                                 .round = f->offer_round,
                                 .weight = f->offer_weight,
                                 .offset = layout->contribution[f->offer_round & 1],
                                 .bytes = layout->wire_bytes,
                                 .time_ns = f->offer_time_ns};

    if (f->claimed && f->claim_round == f->offer_round)
        memcpy(command.claim, f->claim, sizeof(command.claim));
    return command_push(gx, &command);
}

int gx_offer(struct gx *gx, uint32_t fragment, uint64_t round, uint64_t weight)
{
    struct fragment *f = &gx->fragments[fragment % GX_FRAGMENTS_MAX];
    int ret = command_check(gx, fragment);

    if (ret)
        return ret;
    /* Asked again after -EPIPE and gx_reattach(), which has repeated it. */
    if (f->offered && f->offer_round == round && f->offer_weight == weight)
        return gx->gone ? -EPIPE : 0;
    f->offered = true;
    f->offer_round = round;
    f->offer_weight = weight;
    f->offer_time_ns = now_ns();
    ret = offer_push(gx, fragment);
    if (ret && ret != -EPIPE)
        f->offered = false;
    return ret;
}

/* ---- events ---- */

static void event_note(struct gx *gx, const struct gx_event *event)
{
    struct fragment *f = &gx->fragments[event->fragment];
    switch ((enum gx_event_type)event->type) {
    case GX_EVENT_MEMBER:
    case GX_EVENT_LEFT_OUT:
    case GX_EVENT_VOID:
        if (f->offered && f->offer_round <= event->round)
            f->offered = false;
        break;
    case GX_EVENT_REFUSED:
        if (f->offered && f->offer_round == event->round)
            f->offered = false;
        break;
    case GX_EVENT_BEHIND:
        f->behind = true;
        f->accept_due = true;
        f->accept_round = event->round;
        f->offered = false;
        break;
    case GX_EVENT_STATE:
        f->behind = f->accept_due = false;
        f->published = true;
        f->published_round = event->round;
        break;
    }
}

/* 1: an event, 0: none, -EPIPE: gxd wrote nonsense. */
static int event_pop(struct gx *gx, struct gx_event *event)
{
    int ret = gx_ring_pop(&gx->events, event);

    if (ret == 0)
        return 0;
    if (ret < 0 || event->fragment >= gx->layout.fragment_count || event->type > GX_EVENT_REFUSED) {
        gx->gone = true;
        return fail(gx, -EPIPE, "gxd broke the event ring: attach again");
    }
    event_note(gx, event);
    return 1;
}

/* Looks for an event so that gx_fd() stays readable as long as one is there. */
static int event_look(struct gx *gx, struct gx_event *event)
{
    int ret = event_pop(gx, event);
    eventfd_t count;

    if (ret)
        return ret;
    eventfd_read(gx->wake_self, &count);
    ret = event_pop(gx, event);
    if (ret > 0)
        eventfd_write(gx->wake_self, 1); /* others may stand behind it */
    return ret;
}

static int sleep_for(struct gx *gx, int timeout_ms)
{
    struct pollfd ready[2] = {{.fd = gx->wake_self, .events = POLLIN},
                              {.fd = gx->socket, .events = POLLIN | POLLRDHUP}};

    return poll(ready, 2, timeout_ms) < 0 ? -errno : 0;
}

static int time_left_ms(uint64_t end_ns)
{
    uint64_t now = now_ns();

    return now >= end_ns ? 0 : (int)((end_ns - now + 999999) / 1000000);
}

/* Answers each BEHIND. Where the ring is full, gxd hears of it at a later look. */
static void accepts_push(struct gx *gx)
{
    for (uint32_t i = 0; i < gx->layout.fragment_count; i++) {
        struct fragment *f = &gx->fragments[i];
        struct gx_command accept = {.type = GX_COMMAND_ACCEPT,
                                    .fragment = i,
                                    .round = f->accept_round,
                                    .time_ns = now_ns()};

        if (f->accept_due && command_push(gx, &accept) == 0)
            f->accept_due = false;
    }
}

int gx_wait(struct gx *gx, struct gx_event *event, int timeout_ms)
{
    uint64_t end_ns = now_ns() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000000;

    if (!gx->registered)
        return fail(gx, -ENOTCONN, "no schema is registered: call gx_register() first");
    for (;;) {
        bool gone = gx->gone || gx_connect_gone(gx->socket, gx->error);
        int ret = event_look(gx, event); /* after `gone`: what it said before it went is not lost */
        int left_ms = timeout_ms < 0 ? -1 : time_left_ms(end_ns);

        accepts_push(gx);
        if (ret)
            return ret < 0 ? ret : 0;
        gx->gone = gone;
        if (gone)
            return -EPIPE;
        if (!left_ms)
            return fail(gx, -ETIMEDOUT, "no event within the time given");
        ret = sleep_for(gx, left_ms);
        if (ret)
            return fail(gx, ret, "a signal interrupted the wait");
    }
}

int gx_fd(const struct gx *gx)
{
    return gx->epoll;
}

/* ---- after gxd's death ---- */

static int fragment_repeat(struct gx *gx, uint32_t fragment)
{
    struct fragment *f = &gx->fragments[fragment];
    int ret;

    /* The old gxd may have died half-way through writing a fetched state: what lies there is no state of any round. As
     * round 0 it is a newcomer's, which is behind and fetches again. */
    if (f->behind) {
        f->behind = f->accept_due = false;
        f->published = true;
        f->published_round = 0;
    }
    if (!f->published)
        return 0;
    ret = publish_push(gx, fragment);
    if (!ret && f->offered)
        ret = offer_push(gx, fragment);
    return ret;
}

int gx_reattach(struct gx *gx)
{
    int ret;

    if (!gx->registered)
        return fail(gx, -ENOTCONN, "no schema is registered: call gx_register() first");
    if (!gx->gone && !gx_connect_gone(gx->socket, gx->error))
        return 0;
    gx->gone = true;
    for (uint32_t f = 0; f < gx->layout.fragment_count; f++)
        if (state_open(gx, f))
            return fail(gx, -EBUSY,
                        "a state is half written: call gx_publish() first, then attach again");
    ret = connect_new(gx);
    if (ret)
        return ret;
    gx->request.again = 1;
    ret = handshake(gx);
    for (uint32_t f = 0; !ret && f < gx->layout.fragment_count; f++)
        ret = fragment_repeat(gx, f);
    return ret;
}

const char *gx_error(const struct gx *gx)
{
    return gx ? gx->error : "out of memory";
}
