/* The ranks as a star of TCP connections around rank 0, which listens at MASTER_ADDR:MASTER_PORT. Rank 0 sums, in the
 * order of the ranks. Its traffic grows with the ranks: for a handful on one machine, and beside NCCL, where it carries
 * commands and the model once a round. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ranks/transports.h"

#define MAGIC 0x726b7867u /* "gxkr", in this machine's byte order: all ranks must have the same */
#define CHUNK_FLOATS 65536u
#define HELLO_MS 2000u  /* for a stranger who connects and says nothing */
#define RETRY_MS 50u    /* between two attempts to connect */
#define REPORT_MS 5000u /* between two lines that say who is waited for */

struct hello {
    uint32_t magic, version, rank, count;
};

struct tcp {
    int *fds;       /* rank 0: [count], its own is -1; else: one, to rank 0 */
    float *scratch; /* rank 0: [CHUNK_FLOATS] */
    char where[300];
};

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static void sleep_ms(uint32_t ms)
{
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

/* ---- bytes ---- */

static int lost(struct gx_ranks *ranks, uint32_t rank, int rc)
{
    if (rc == -ECONNRESET || rc == -EPIPE)
        return gx_fail(&ranks->failure, -ECONNRESET, "rank %u is gone; its last line says why",
                       rank);
    return gx_fail(&ranks->failure, rc, "the connection to rank %u: %s", rank, strerror(-rc));
}

static int send_all(int fd, const void *data, uint64_t bytes)
{
    const char *p = data;
    while (bytes > 0) {
        ssize_t n = send(fd, p, bytes, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        bytes -= (uint64_t)n;
    }
    return 0;
}

static int recv_all(int fd, void *data, uint64_t bytes)
{
    char *p = data;
    while (bytes > 0) {
        ssize_t n = recv(fd, p, bytes, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? -ECONNRESET : -errno;
        p += n;
        bytes -= (uint64_t)n;
    }
    return 0;
}

static int to_rank(struct gx_ranks *ranks, uint32_t rank, const void *data, uint64_t bytes)
{
    struct tcp *t = ranks->state;
    int rc = send_all(t->fds[ranks->rank == 0 ? rank : 0], data, bytes);
    return rc == 0 ? 0 : lost(ranks, rank, rc);
}

static int from_rank(struct gx_ranks *ranks, uint32_t rank, void *data, uint64_t bytes)
{
    struct tcp *t = ranks->state;
    int rc = recv_all(t->fds[ranks->rank == 0 ? rank : 0], data, bytes);
    return rc == 0 ? 0 : lost(ranks, rank, rc);
}

/* ---- the calls ---- */

static int sum_here(struct gx_ranks *ranks, float *values, uint64_t count)
{
    struct tcp *t = ranks->state;
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && at < count; at += CHUNK_FLOATS) {
        const uint64_t floats = count - at < CHUNK_FLOATS ? count - at : CHUNK_FLOATS;
        for (uint32_t r = 1; rc == 0 && r < ranks->count; r++) {
            rc = from_rank(ranks, r, t->scratch, floats * sizeof(float));
            for (uint64_t i = 0; rc == 0 && i < floats; i++)
                values[at + i] += t->scratch[i];
        }
        for (uint32_t r = 1; rc == 0 && r < ranks->count; r++)
            rc = to_rank(ranks, r, values + at, floats * sizeof(float));
    }
    return rc;
}

/* Sends all values and takes the sums as they come: rank 0 never waits for a rank that is itself waiting to send. A sum
 * comes only after the value whose place it takes has left. */
static int sum_there(struct gx_ranks *ranks, float *values, uint64_t count)
{
    struct tcp *t = ranks->state;
    const uint64_t bytes = count * sizeof(float);
    uint64_t sent = 0, taken = 0;
    char *data = (char *)values;
    while (taken < bytes) {
        struct pollfd p = {t->fds[0], (short)(sent < bytes ? POLLIN | POLLOUT : POLLIN), 0};
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            return lost(ranks, 0, -errno);
        if (sent < bytes) {
            ssize_t n = send(t->fds[0], data + sent, bytes - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && errno != EINTR && errno != EAGAIN)
                return lost(ranks, 0, -errno);
            sent += n > 0 ? (uint64_t)n : 0;
        }
        ssize_t n = recv(t->fds[0], data + taken, sent - taken, MSG_DONTWAIT);
        if (n == 0 && sent > taken)
            return lost(ranks, 0, -ECONNRESET);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return lost(ranks, 0, -errno);
        taken += n > 0 ? (uint64_t)n : 0;
    }
    return 0;
}

static int tcp_sum(struct gx_ranks *ranks, float *values, uint64_t count)
{
    return ranks->rank == 0 ? sum_here(ranks, values, count) : sum_there(ranks, values, count);
}

static int tcp_broadcast(struct gx_ranks *ranks, void *data, uint64_t bytes)
{
    if (ranks->rank != 0)
        return from_rank(ranks, 0, data, bytes);
    int rc = 0;
    for (uint32_t r = 1; rc == 0 && r < ranks->count; r++)
        rc = to_rank(ranks, r, data, bytes);
    return rc;
}

static int tcp_scatter(struct gx_ranks *ranks, const void *all, void *mine, uint64_t bytes)
{
    if (ranks->rank != 0)
        return from_rank(ranks, 0, mine, bytes);
    int rc = 0;
    for (uint32_t r = 1; rc == 0 && r < ranks->count; r++)
        rc = to_rank(ranks, r, (const char *)all + r * bytes, bytes);
    if (mine)
        memcpy(mine, all, bytes);
    return rc;
}

static int tcp_gather(struct gx_ranks *ranks, const void *mine, void *all, uint64_t bytes)
{
    if (ranks->rank != 0)
        return to_rank(ranks, 0, mine, bytes);
    int rc = 0;
    memcpy(all, mine, bytes);
    for (uint32_t r = 1; rc == 0 && r < ranks->count; r++)
        rc = from_rank(ranks, r, (char *)all + r * bytes, bytes);
    return rc;
}

static int tcp_check(struct gx_ranks *ranks)
{
    const struct tcp *t = ranks->state;
    const uint32_t first = ranks->rank == 0 ? 1 : 0, end = ranks->rank == 0 ? ranks->count : 1;
    for (uint32_t i = first; i < end; i++) {
        struct pollfd p = {t->fds[i], POLLRDHUP, 0};
        if (poll(&p, 1, 0) > 0)
            return lost(ranks, i, -ECONNRESET);
    }
    return 0;
}

static void tcp_fini(struct gx_ranks *ranks)
{
    struct tcp *t = ranks->state;
    for (uint32_t i = 0; t->fds && i < (ranks->rank == 0 ? ranks->count : 1); i++)
        if (t->fds[i] >= 0)
            close(t->fds[i]);
    free(t->fds);
    free(t->scratch);
    free(t);
}

static void tcp_abort(struct gx_ranks *ranks, int status)
{
    (void)status;
    tcp_fini(ranks);
}

/* ---- meeting ---- */

/* Where torchrun's agent serves a store of its own at MASTER_PORT, the next port is ours. */
static int find_address(struct gx_ranks *ranks, struct tcp *t, struct addrinfo **out)
{
    const char *host = getenv("MASTER_ADDR"), *port = getenv("MASTER_PORT");
    const char *store = getenv("TORCHELASTIC_USE_AGENT_STORE");
    if (!host || !port)
        return gx_fail(&ranks->failure, -EINVAL,
                       "WORLD_SIZE=%u, but %s is not set: where rank 0 listens for the others",
                       ranks->count, host ? "MASTER_PORT" : "MASTER_ADDR");
    char *end;
    long number = strtol(port, &end, 10) + (store && strcmp(store, "True") == 0);
    if (*end != '\0' || end == port || number < 1 || number > 65535)
        return gx_fail(&ranks->failure, -EINVAL, "MASTER_PORT=%s: must be a port", port);
    char service[16];
    snprintf(service, sizeof(service), "%ld", number);
    snprintf(t->where, sizeof(t->where), "%.255s:%s", host, service);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    int rc = getaddrinfo(host, service, &hints, out);
    if (rc != 0)
        return gx_fail(&ranks->failure, -EHOSTUNREACH, "MASTER_ADDR=%s: %s", host,
                       gai_strerror(rc));
    return 0;
}

/* A machine that is cut off is noticed within half a minute. */
static void tune(int fd)
{
    const int on = 1, idle_s = 10, interval_s = 5, probes = 4;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

static void limit_receive(int fd, uint32_t ms)
{
    const struct timeval t = {ms / 1000, (long)(ms % 1000) * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
}

static int listen_at(struct gx_ranks *ranks, const struct tcp *t, const struct addrinfo *address)
{
    const int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd >= 0 && bind(fd, address->ai_addr, address->ai_addrlen) == 0 &&
        listen(fd, (int)ranks->count) == 0)
        return fd;
    int rc = -errno;
    if (fd >= 0)
        close(fd);
    return gx_fail(&ranks->failure, rc,
                   "rank 0 cannot listen at %s: %s (MASTER_ADDR is an address of rank 0's machine, "
                   "MASTER_PORT a free port)",
                   t->where, strerror(-rc));
}

/* Takes a connection for the rank that it says it is; whoever says something else is no rank of ours. */
static int welcome(struct gx_ranks *ranks, struct tcp *t, int fd, bool *taken)
{
    struct hello hello;
    tune(fd);
    limit_receive(fd, HELLO_MS);
    *taken = false;
    if (recv_all(fd, &hello, sizeof(hello)) != 0 || hello.magic != MAGIC)
        return 0;
    if (hello.version != sizeof(*ranks) || hello.count != ranks->count)
        return gx_fail(&ranks->failure, -EPROTO,
                       "a rank of another run or release came to %s: WORLD_SIZE=%u there, %u here",
                       t->where, hello.count, ranks->count);
    if (hello.rank == 0 || hello.rank >= ranks->count || t->fds[hello.rank] >= 0)
        return gx_fail(&ranks->failure, -EPROTO, "two processes have RANK=%u", hello.rank);
    limit_receive(fd, 0);
    t->fds[hello.rank] = fd;
    *taken = true;
    return 0;
}

static uint32_t first_missing(const struct gx_ranks *ranks, const struct tcp *t)
{
    uint32_t r = 1;
    while (r < ranks->count && t->fds[r] >= 0)
        r++;
    return r;
}

static int accept_all(struct gx_ranks *ranks, struct tcp *t, int listener)
{
    const uint64_t start = now_ms();
    uint64_t report = start + REPORT_MS;
    uint32_t missing;
    while ((missing = first_missing(ranks, t)) < ranks->count) {
        const uint64_t now = now_ms();
        if (now - start >= ranks->meet_ms)
            return gx_fail(&ranks->failure, -ETIMEDOUT, "rank %u did not come to %s within %u s",
                           missing, t->where, (ranks->meet_ms + 999) / 1000);
        if (now >= report) {
            fprintf(stderr, "gx-train: waiting for rank %u at %s since %u s\n", missing, t->where,
                    (unsigned)((now - start) / 1000));
            report = now + REPORT_MS;
        }
        struct pollfd p = {listener, POLLIN, 0};
        int fd = poll(&p, 1, (int)RETRY_MS) > 0 ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;
        if (fd < 0)
            continue;
        bool taken;
        int rc = welcome(ranks, t, fd, &taken);
        if (!taken)
            close(fd);
        if (rc != 0)
            return rc;
    }
    const uint32_t all_here = MAGIC;
    return tcp_broadcast(ranks, (void *)&all_here, sizeof(all_here));
}

static int connect_once(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

static int connect_to_first(struct gx_ranks *ranks, struct tcp *t, const struct addrinfo *address)
{
    const struct hello hello = {MAGIC, sizeof(*ranks), ranks->rank, ranks->count};
    const uint64_t end = now_ms() + ranks->meet_ms;
    int fd;
    while ((fd = connect_once(address)) < 0) { /* rank 0 may not have started yet */
        if (now_ms() >= end)
            return gx_fail(&ranks->failure, fd, "no rank 0 at %s within %u s: %s", t->where,
                           (ranks->meet_ms + 999) / 1000, strerror(-fd));
        sleep_ms(RETRY_MS);
    }
    t->fds[0] = fd;
    tune(fd);
    uint32_t all_here;
    int rc = to_rank(ranks, 0, &hello, sizeof(hello));
    if (rc == 0)
        rc = from_rank(ranks, 0, &all_here, sizeof(all_here));
    if (rc == 0 && all_here != MAGIC)
        rc = gx_fail(&ranks->failure, -EPROTO, "who listens at %s is not rank 0 of a gx-train",
                     t->where);
    return rc;
}

static int meet(struct gx_ranks *ranks, struct tcp *t)
{
    struct addrinfo *address;
    int rc = find_address(ranks, t, &address);
    if (rc != 0)
        return rc;
    if (ranks->rank != 0) {
        rc = connect_to_first(ranks, t, address);
    } else {
        int listener = listen_at(ranks, t, address);
        rc = listener < 0 ? listener : accept_all(ranks, t, listener);
        if (listener >= 0)
            close(listener);
    }
    freeaddrinfo(address);
    return rc;
}

static int tcp_init(struct gx_ranks *ranks)
{
    struct tcp *t = calloc(1, sizeof(*t));
    if (!t)
        return gx_fail(&ranks->failure, -ENOMEM, "no memory");
    ranks->state = t;
    t->fds = malloc(ranks->count * sizeof(*t->fds));
    t->scratch = malloc(CHUNK_FLOATS * sizeof(*t->scratch));
    for (uint32_t i = 0; t->fds && i < ranks->count; i++)
        t->fds[i] = -1;
    int rc = t->fds && t->scratch ? meet(ranks, t) : gx_fail(&ranks->failure, -ENOMEM, "no memory");
    if (rc != 0) {
        tcp_fini(ranks);
        ranks->state = NULL;
    }
    return rc;
}

const struct gx_ranks_transport gx_ranks_tcp = {
    .name = "tcp",
    .ranks_bytes = sizeof(struct gx_ranks),
    .init = tcp_init,
    .sum = tcp_sum,
    .broadcast = tcp_broadcast,
    .scatter = tcp_scatter,
    .gather = tcp_gather,
    .check = tcp_check,
    .abort = tcp_abort,
    .fini = tcp_fini,
};
