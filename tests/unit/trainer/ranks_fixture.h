/* What the tests of ranks share: several ranks as threads of one process, over TCP on loopback. */
#ifndef GX_TRAINER_RANKS_FIXTURE_H
#define GX_TRAINER_RANKS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ranks.h"
#include "ranks/transports.h"

#define RANKS_MAX 4

struct rank {
    struct gx_ranks ranks;
    int init_rc, rc; /* rc: the test's */
    void *argument;
    void (*work)(struct rank *r);
    pthread_t thread;
};

/* A free port of 127.0.0.1, which MASTER_PORT then names. */
static inline void ranks_choose_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &length), 0);
    close(fd);
    char text[16];
    snprintf(text, sizeof(text), "%u", ntohs(a.sin_port));
    setenv("MASTER_ADDR", "127.0.0.1", 1);
    setenv("MASTER_PORT", text, 1);
}

static inline void *ranks_main(void *argument)
{
    struct rank *r = argument;
    r->init_rc = r->ranks.transport->init(&r->ranks);
    if (r->init_rc == 0)
        r->work(r);
    gx_ranks_fini(&r->ranks);
    return NULL;
}

/* Starts `count` ranks, each in a thread that runs work() and ends its part in the ranks. */
static inline void ranks_start(struct rank *r, uint32_t count, uint32_t meet_ms,
                               void (*work)(struct rank *r), void *argument)
{
    ranks_choose_port();
    memset(r, 0, count * sizeof(*r));
    for (uint32_t i = 0; i < count; i++) {
        r[i].ranks = (struct gx_ranks){.rank = i,
                                       .count = count,
                                       .local_rank = i,
                                       .transport = &gx_ranks_tcp,
                                       .meet_ms = meet_ms};
        r[i].work = work;
        r[i].argument = argument;
    }
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(pthread_create(&r[i].thread, NULL, ranks_main, &r[i]), 0);
}

static inline void ranks_join(struct rank *r, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        pthread_join(r[i].thread, NULL);
}

static inline void ranks_run(struct rank *r, uint32_t count, void (*work)(struct rank *r),
                             void *argument)
{
    ranks_start(r, count, 20000, work, argument);
    ranks_join(r, count);
    for (uint32_t i = 0; i < count; i++)
        if (r[i].init_rc != 0)
            fail_msg("rank %u: %s", i, r[i].ranks.failure.text);
}

#endif
