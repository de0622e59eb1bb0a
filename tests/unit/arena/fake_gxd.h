/* A gxd that a test of libgx plays: the other end of the socket, step by step, in a thread where libgx waits. */
#ifndef GX_TESTS_UNIT_ARENA_FAKE_GXD_H
#define GX_TESTS_UNIT_ARENA_FAKE_GXD_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "arena/map.h"
#include "arena/ring.h"
#include "gx.h"

#define FRAGMENTS 2

/* The gxd of the test. */
struct fake {
    char path[108];
    int listen_fd, fd;
    int arena_fd, wake_gxd, wake_trainer;
    struct gx_attach_request request;
    struct gx_attach_reply reply;
    bool mute; /* dies instead of replying */
    uint8_t *base;
    struct gx_arena_layout layout;
    struct gx_ring_end commands, events;
    pthread_t thread;
};

static const uint64_t counts[FRAGMENTS] = {1000, 300};

static inline struct gx_schema schema_make(void)
{
    return (struct gx_schema){.run = "test",
                              .format = GX_FP32,
                              .digest = GX_XXH3,
                              .fragment_count = FRAGMENTS,
                              .param_counts = counts};
}

static inline void fake_listen(struct fake *fake)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    strcpy(name.sun_path, fake->path);
    unlink(fake->path);
    fake->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fake->listen_fd, (struct sockaddr *)(void *)&name, sizeof(name)), 0);
    assert_int_equal(listen(fake->listen_fd, 4), 0);
}

static inline bool fake_receive(struct fake *fake)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))];
    struct iovec iov = {&fake->request, sizeof(fake->request)};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    struct pollfd ready = {.fd = fake->fd, .events = POLLIN};
    int descriptors[3];

    if (poll(&ready, 1, 5000) != 1 ||
        recvmsg(fake->fd, &message, MSG_CMSG_CLOEXEC) != sizeof(fake->request) ||
        !CMSG_FIRSTHDR(&message))
        return false;
    memcpy(descriptors, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(descriptors));
    fake->arena_fd = descriptors[0];
    fake->wake_gxd = descriptors[1];
    fake->wake_trainer = descriptors[2];
    return true;
}

static inline void fake_map(struct fake *fake)
{
    struct gx_schema schema;
    struct gx_arena_header *header;
    char text[GX_MAP_TEXT_MAX];

    gx_map_schema(&schema, &fake->request, text);
    gx_arena_layout(&fake->layout, &schema);
    fake->base = mmap(NULL, fake->request.arena_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                      fake->arena_fd, 0);
    header = (struct gx_arena_header *)(void *)fake->base;
    gx_ring_consume(&fake->commands, &header->commands, fake->base + fake->layout.commands,
                    sizeof(struct gx_command));
    gx_ring_produce(&fake->events, &header->events, fake->base + fake->layout.events,
                    sizeof(struct gx_event));
}

/* kill -9. */
static inline void fake_die(struct fake *fake)
{
    if (fake->base)
        munmap(fake->base, fake->request.arena_bytes);
    fake->base = NULL;
    close(fake->arena_fd);
    close(fake->wake_gxd);
    close(fake->wake_trainer);
    close(fake->fd);
    close(fake->listen_fd);
}

/* Accepts a trainer and answers its registration with fake->reply. */
static inline void *fake_accept(void *ctx)
{
    struct fake *fake = ctx;
    struct pollfd ready = {.fd = fake->listen_fd, .events = POLLIN};

    if (poll(&ready, 1, 5000) != 1)
        return NULL;
    fake->fd = accept4(fake->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (!fake_receive(fake))
        return NULL;
    fake_map(fake);
    if (fake->mute)
        fake_die(fake);
    else
        send(fake->fd, &fake->reply, sizeof(fake->reply), MSG_NOSIGNAL);
    return NULL;
}

static inline void fake_serve(struct fake *fake)
{
    assert_int_equal(pthread_create(&fake->thread, NULL, fake_accept, fake), 0);
}

static inline void fake_served(struct fake *fake)
{
    pthread_join(fake->thread, NULL);
    assert_non_null(fake->base);
}

static inline void fake_event(struct fake *fake, uint32_t type, uint32_t fragment, uint64_t round)
{
    struct gx_event event = {.type = type, .fragment = fragment, .round = round, .divisor = 9};

    assert_int_equal(gx_ring_push(&fake->events, &event), 0);
    assert_int_equal(eventfd_write(fake->wake_trainer, 1), 0);
}

static inline void command_is(struct fake *fake, uint32_t type, uint32_t fragment, uint64_t round)
{
    struct gx_command command;

    assert_int_equal(gx_ring_pop(&fake->commands, &command), 1);
    assert_int_equal(command.type, type);
    assert_int_equal(command.fragment, fragment);
    assert_int_equal(command.round, round);
}

static inline void no_command(struct fake *fake)
{
    struct gx_command command;

    assert_int_equal(gx_ring_pop(&fake->commands, &command), 0);
}

struct world {
    struct fake fake;
    struct gx *gx;
};

static inline int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    snprintf(w->fake.path, sizeof(w->fake.path), "/tmp/gx-libgx-%d.sock", (int)getpid());
    w->fake.reply.version = GX_ATTACH_VERSION;
    w->fake.reply.site_index = 1;
    w->fake.reply.site_count = 2;
    strcpy(w->fake.reply.site_names[0], "north");
    strcpy(w->fake.reply.site_names[1], "south");
    fake_listen(&w->fake);
    *state = w;
    return 0;
}

static inline int teardown(void **state)
{
    struct world *w = *state;

    gx_detach(w->gx);
    if (w->fake.base)
        fake_die(&w->fake);
    unlink(w->fake.path);
    free(w);
    return 0;
}

static inline void registered(struct world *w)
{
    struct gx_schema schema = schema_make();

    assert_int_equal(gx_attach(w->fake.path, &w->gx), 0);
    fake_serve(&w->fake);
    assert_int_equal(gx_register(w->gx, &schema), 0);
    fake_served(&w->fake);
}

static inline void restarted(struct world *w)
{
    fake_listen(&w->fake);
    fake_serve(&w->fake);
    assert_int_equal(gx_reattach(w->gx), 0);
    fake_served(&w->fake);
}

static inline uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
