/* The attach socket with a real worker, core and port behind it; clients are libgx, and hand-made ones that misbehave. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "arena/guard.h"
#include "arena/map.h"
#include "control.h"
#include "gx.h"
#include "log.h"
#include "port/clock.h"

#define PARAMS 100000ull
#define WAIT_MS 20000 /* only a failure takes so long; a loaded machine, seconds */

struct world {
    struct gx_config config;
    struct gx_core_config core_config;
    struct gx_counters counters;
    struct gx_view view;
    struct gx_port *port;
    struct gx_core *core;
    struct gx_worker worker;
    struct gx_control_socket control;
    int main_fd, stop;
    pthread_t main_thread;
};

static void *main_loop(void *ctx)
{
    struct world *w = ctx;
    struct pollfd fds[1 + GX_CONTROL_FDS] = {{.fd = w->main_fd, .events = POLLIN}};
    const struct gx_notice *notice;
    eventfd_t wakes;

    while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
        uint32_t count = gx_control_fds(&w->control, fds + 1);

        poll(fds, 1 + count, gx_control_due_ns(&w->control) == 0 ? 0 : 20);
        eventfd_read(w->main_fd, &wakes);
        while ((notice = gx_mailbox_peek(&w->worker.notices, 0))) {
            gx_control_notice(&w->control, notice);
            gx_mailbox_done(&w->worker.notices, 1);
        }
        for (const struct gx_entry *e; (e = gx_mailbox_peek(&w->worker.journal, 0));) {
            struct gx_order order = {.type = GX_ORDER_JOURNALLED, .sequence = e->sequence};

            gx_worker_order(&w->worker, &order);
            gx_mailbox_done(&w->worker.journal, 1);
        }
        gx_control_serve(&w->control, fds + 1, count);
    }
    return NULL;
}

static void world_configure(struct world *w)
{
    struct gx_config *config = &w->config;
    struct gx_core_config *core = &w->core_config;

    snprintf(config->socket, sizeof(config->socket), "/tmp/gx-control-%d.sock", (int)getpid());
    config->site_count = 1;
    strcpy(config->site, "alone");
    strcpy(config->sites[0].name, "alone");
    config->memory_bytes = 16 << 20; /* three trainers, should each get whole huge pages */
    core->links.site_count = 1;
    strcpy(core->links.names[0], "alone");
    core->links.rate_bps = core->links.recv_rate_bps = 1000000000;
    core->links.mtu = 1500;
    core->links.shard_bytes = 1408;
    core->links.incarnation = 1;
    core->links.seed = 2;
    core->links.counters = core->counters = &w->counters;
    core->view = &w->view;
    core->deadline_ns = core->fetch_wait_ns = 60 * GX_NS_PER_S;
    core->rewind_after_ns = 600 * GX_NS_PER_S;
    core->start_sites = core->min_sites = 1;
    core->keep_rounds = 2;
    core->memory_bytes = config->memory_bytes;
}

static int setup(void **state)
{
    struct world *w = aligned_alloc(64, (sizeof(*w) + 63) / 64 * 64);
    struct gx_port_config port = {.address = "127.0.0.1:0"};
    char error[256];

    memset(w, 0, sizeof(*w));
    gx_log_init(GX_LOG_ERROR, NULL);
    world_configure(w);
    w->main_fd = eventfd(0, EFD_NONBLOCK);
    gx_guard_install(w->main_fd);
    assert_int_equal(gx_port_open(&port, &w->port, error, sizeof(error)), 0);
    w->core_config.links.addrs[0] = w->port->ops->local(w->port);
    w->core = gx_core_create(&w->core_config, gx_clock_ns());
    assert_non_null(w->core);
    assert_int_equal(gx_worker_init(&w->worker, 0, w->core, w->port, &w->counters, w->main_fd), 0);
    assert_int_equal(gx_control_open(&w->control, &w->config, &w->core_config, &w->worker,
                                     &w->counters, error, sizeof(error)),
                     0);
    assert_int_equal(gx_worker_start(&w->worker, 0), 0);
    assert_int_equal(pthread_create(&w->main_thread, NULL, main_loop, w), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    __atomic_store_n(&w->stop, 1, __ATOMIC_RELEASE);
    pthread_join(w->main_thread, NULL);
    assert_int_equal(gx_worker_stop(&w->worker, WAIT_MS * GX_NS_PER_MS), 0);
    w->port->ops->close(w->port);
    w->worker.port = NULL; /* arenas are taken out of a port that is open only */
    gx_core_destroy(w->core);
    gx_control_close(&w->control);
    gx_worker_fini(&w->worker);
    close(w->main_fd);
    free(w);
    return 0;
}

/* ---- clients ---- */

static const uint64_t counts[] = {PARAMS};

static struct gx_schema schema_make(const char *run)
{
    return (struct gx_schema){.run = run,
                              .format = GX_FP32,
                              .digest = GX_XXH3,
                              .fragment_count = 1,
                              .param_counts = counts};
}

static int client_register(const struct world *w, const char *run, struct gx **gx)
{
    struct gx_schema schema = schema_make(run);

    assert_int_equal(gx_attach(w->config.socket, gx), 0);
    int ret = gx_register(*gx, &schema);
    if (ret)
        print_message("# %s: %s\n", run, gx_error(*gx));
    return ret;
}

/* A hand-made client: everything right, for a test to make one thing wrong. */
struct raw {
    int fd;
    struct gx_attach_request request;
    struct gx_attach_reply reply;
    struct gx_arena_layout layout;
    struct gx_arena_header *header;
    int descriptors[3];
    int descriptor_count;
};

static void raw_make(struct raw *raw, const struct world *w, int seals)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct gx_schema schema = schema_make("raw");

    memset(raw, 0, sizeof(*raw));
    strcpy(name.sun_path, w->config.socket);
    raw->fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    assert_int_equal(connect(raw->fd, (struct sockaddr *)(void *)&name, sizeof(name)), 0);
    gx_arena_layout(&raw->layout, &schema);
    raw->request.version_min = raw->request.version_max = GX_ATTACH_VERSION;
    strcpy(raw->request.run, "raw");
    raw->request.fragment_count = 1;
    raw->request.param_counts[0] = PARAMS;
    raw->request.arena_bytes = raw->layout.bytes;
    raw->descriptors[0] = memfd_create("raw", MFD_ALLOW_SEALING);
    raw->descriptors[1] = eventfd(0, EFD_NONBLOCK);
    raw->descriptors[2] = eventfd(0, EFD_NONBLOCK);
    raw->descriptor_count = 3;
    assert_int_equal(ftruncate(raw->descriptors[0], (off_t)raw->layout.bytes), 0);
    raw->header =
        mmap(NULL, raw->layout.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, raw->descriptors[0], 0);
    raw->header->magic = GX_ARENA_MAGIC;
    raw->header->version = GX_ARENA_VERSION;
    raw->header->fragment_count = 1;
    raw->header->bytes = raw->layout.bytes;
    if (seals)
        assert_int_equal(fcntl(raw->descriptors[0], F_ADD_SEALS, seals), 0);
}

static void raw_close(struct raw *raw)
{
    munmap(raw->header, raw->layout.bytes);
    for (int i = 0; i < 3; i++)
        close(raw->descriptors[i]);
    close(raw->fd);
}

static void raw_send(struct raw *raw, size_t bytes)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))] = {0};
    size_t rights = (size_t)raw->descriptor_count * sizeof(int);
    struct iovec iov = {&raw->request, bytes};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    if (rights) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(rights);
        CMSG_FIRSTHDR(&message)->cmsg_level = SOL_SOCKET;
        CMSG_FIRSTHDR(&message)->cmsg_type = SCM_RIGHTS;
        CMSG_FIRSTHDR(&message)->cmsg_len = CMSG_LEN(rights);
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), raw->descriptors, rights);
    }
    assert_int_equal(sendmsg(raw->fd, &message, MSG_NOSIGNAL), (ssize_t)bytes);
}

/* Bytes of the next message, 0 when gxd hung up, -1 when it says nothing for `timeout_ms`. */
static ssize_t raw_reply(struct raw *raw, int timeout_ms)
{
    struct pollfd ready = {.fd = raw->fd, .events = POLLIN};

    if (poll(&ready, 1, timeout_ms) != 1)
        return -1;
    return recv(raw->fd, &raw->reply, sizeof(raw->reply), 0);
}

static void raw_is_refused(struct raw *raw, int error, enum gx_reason reason, const char *text)
{
    raw_send(raw, sizeof(raw->request));
    assert_int_equal(raw_reply(raw, WAIT_MS), sizeof(raw->reply));
    assert_int_equal(raw->reply.error, error);
    assert_int_equal(raw->reply.reason, reason);
    assert_non_null(strstr(raw->reply.text, text));
    assert_int_equal(raw_reply(raw, WAIT_MS), 0);
    raw_close(raw);
}

static void raw_attached(struct raw *raw, const struct world *w)
{
    raw_make(raw, w, F_SEAL_SHRINK | F_SEAL_GROW);
    raw_send(raw, sizeof(raw->request));
    assert_int_equal(raw_reply(raw, WAIT_MS), sizeof(raw->reply));
    assert_int_equal(raw->reply.error, 0);
}

/* gxd let go of everything: no memory is counted any more. */
static bool all_released(const struct world *w)
{
    for (int i = 0; i < WAIT_MS / 10; i++) {
        if (!__atomic_load_n(&w->counters.site[GX_SITE_arena_bytes], __ATOMIC_RELAXED))
            return true;
        usleep(10000);
    }
    return false;
}

/* ---- tests ---- */

static void test_trainer_registers_trains_alone_and_goes(void **state)
{
    struct world *w = *state;
    struct gx_event event;
    struct gx *gx;

    assert_int_equal(client_register(w, "solo", &gx), 0);
    assert_true(w->counters.site[GX_SITE_arena_bytes] > 20 * PARAMS);
    assert_int_equal(gx_site_count(gx), 1);
    assert_string_equal(gx_site_name(gx, 0), "alone");
    gx_state_begin(gx, 0);
    assert_int_equal(gx_publish(gx, 0, 0), 0);
    for (uint64_t round = 1; round <= 3; round++) {
        float *contribution = gx_contribution(gx, 0, round);

        assert_non_null(contribution);
        contribution[5] = (float)round;
        assert_int_equal(gx_offer(gx, 0, round, 10), 0);
        assert_int_equal(gx_wait(gx, &event, WAIT_MS), 0);
        assert_int_equal(event.type, GX_EVENT_MEMBER);
        assert_int_equal(event.round, round);
        assert_int_equal(event.divisor, 10);
        assert_true(gx_result(gx, 0)[5] == (float)round);
        gx_state_begin(gx, 0);
        assert_int_equal(gx_publish(gx, 0, round), 0);
    }
    gx_detach(gx);
    assert_true(all_released(w));
}

static void test_wrong_round_and_weight_are_refused_by_event(void **state)
{
    struct world *w = *state;
    struct gx_event event;
    struct gx *gx;

    assert_int_equal(client_register(w, "solo", &gx), 0);
    gx_publish(gx, 0, 0);
    gx_offer(gx, 0, 5, 10);
    assert_int_equal(gx_wait(gx, &event, WAIT_MS), 0);
    assert_int_equal(event.type, GX_EVENT_REFUSED);
    assert_int_equal(event.reason, GX_REASON_ROUND);
    gx_offer(gx, 0, 1, GX_WEIGHT_MAX + 1);
    assert_int_equal(gx_wait(gx, &event, WAIT_MS), 0);
    assert_int_equal(event.type, GX_EVENT_REFUSED);
    assert_int_equal(event.reason, GX_REASON_WEIGHT);
    gx_detach(gx);
}

static void test_second_trainer_of_a_run_is_refused(void **state)
{
    struct world *w = *state;
    struct gx *first, *second, *other;
    int ret;

    assert_int_equal(client_register(w, "run", &first), 0);
    assert_int_equal(client_register(w, "run", &second), -EBUSY);
    assert_non_null(strstr(gx_error(second), "another trainer"));
    assert_int_equal(client_register(w, "run2", &other), 0);
    gx_detach(first);
    /* The first has hung up: its run is free at once, or in a moment. */
    for (int i = 0; i < WAIT_MS / 10; i++) {
        struct gx_schema schema = schema_make("run");

        ret = gx_register(second, &schema);
        if (ret != -EAGAIN)
            break;
        usleep(10000);
    }
    assert_int_equal(ret, 0);
    gx_detach(second);
    gx_detach(other);
    assert_true(all_released(w));
}

static void test_run_beyond_the_budget_is_refused_with_the_sum(void **state)
{
    struct world *w = *state;
    struct gx *gx[8];
    int count = 0, ret;

    do {
        char run[16];

        snprintf(run, sizeof(run), "run%d", count);
        ret = client_register(w, run, &gx[count++]);
    } while (!ret && count < 8);
    assert_int_equal(ret, -ENOMEM);
    assert_non_null(strstr(gx_error(gx[count - 1]), "memory: "));
    assert_non_null(strstr(gx_error(gx[count - 1]), "MiB"));
    while (count)
        gx_detach(gx[--count]);
    assert_true(all_released(w));
}

static void test_unsealed_arena_is_refused(void **state)
{
    struct raw raw;

    raw_make(&raw, *state, 0);
    raw_is_refused(&raw, -EINVAL, GX_REASON_COMMAND, "seal");
}

static void test_arena_of_another_size_is_refused(void **state)
{
    struct raw raw;

    raw_make(&raw, *state, F_SEAL_SHRINK | F_SEAL_GROW);
    raw.request.param_counts[0] = PARAMS + 10000;
    raw_is_refused(&raw, -EINVAL, GX_REASON_COMMAND, "bytes");
}

static void test_impossible_schema_is_refused(void **state)
{
    struct raw raw;

    raw_make(&raw, *state, F_SEAL_SHRINK | F_SEAL_GROW);
    raw.request.fragment_count = 1000000;
    raw_is_refused(&raw, -EINVAL, GX_REASON_COMMAND, "schema");
    raw_make(&raw, *state, F_SEAL_SHRINK | F_SEAL_GROW);
    memset(raw.request.run, 'x', sizeof(raw.request.run)); /* no terminator */
    raw.request.run[0] = '/';
    raw_is_refused(&raw, -EINVAL, GX_REASON_COMMAND, "schema");
}

static void test_other_version_is_refused(void **state)
{
    struct raw raw;

    raw_make(&raw, *state, F_SEAL_SHRINK | F_SEAL_GROW);
    raw.request.version_min = 2;
    raw.request.version_max = 3;
    raw_is_refused(&raw, -EPROTO, GX_REASON_VERSION, "version 1");
}

static void test_what_is_no_eventfd_is_refused(void **state)
{
    struct raw raw;

    raw_make(&raw, *state, F_SEAL_SHRINK | F_SEAL_GROW);
    close(raw.descriptors[2]);
    raw.descriptors[2] = open("/dev/null", O_RDWR);
    raw_is_refused(&raw, -EINVAL, GX_REASON_COMMAND, "eventfd");
}

static void test_missing_descriptors_and_odd_sizes_are_refused(void **state)
{
    struct raw raw;

    raw_make(&raw, *state, F_SEAL_SHRINK | F_SEAL_GROW);
    raw.descriptor_count = 2;
    raw_is_refused(&raw, -EPROTO, GX_REASON_COMMAND, "three descriptors");
    raw_make(&raw, *state, F_SEAL_SHRINK | F_SEAL_GROW);
    raw_send(&raw, sizeof(raw.request) - 1);
    assert_int_equal(raw_reply(&raw, WAIT_MS), sizeof(raw.reply));
    assert_int_equal(raw.reply.error, -EPROTO);
    raw_close(&raw);
}

static int descriptors_open(void)
{
    int count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void test_refusals_leak_no_descriptor(void **state)
{
    int before = descriptors_open();

    for (int i = 0; i < 50; i++) {
        struct raw raw;

        raw_make(&raw, *state, i & 1 ? 0 : F_SEAL_SHRINK | F_SEAL_GROW);
        raw.descriptor_count = i % 4;
        raw_send(&raw, sizeof(raw.request));
        raw_reply(&raw, WAIT_MS);
        raw_close(&raw);
    }
    for (int i = 0; i < WAIT_MS / 10 && descriptors_open() != before; i++)
        usleep(10000);
    assert_int_equal(descriptors_open(), before);
}

static void test_silent_client_is_dropped_and_nobody_waits_for_it(void **state)
{
    struct world *w = *state;
    uint64_t start = gx_clock_ns();
    struct raw raw;
    struct gx *gx;

    raw_make(&raw, w, F_SEAL_SHRINK | F_SEAL_GROW);
    assert_int_equal(client_register(w, "run", &gx), 0);
    assert_int_equal(raw_reply(&raw, 0), -1); /* the silent one is still there */
    gx_detach(gx);
    assert_int_equal(raw_reply(&raw, WAIT_MS), 0);
    assert_true(gx_clock_ns() - start > 4500 * GX_NS_PER_MS);
    raw_close(&raw);
}

static void test_impossible_ring_position_hangs_up_with_an_event(void **state)
{
    struct raw raw;
    struct gx_event *events;

    raw_attached(&raw, *state);
    events = (struct gx_event *)(void *)((uint8_t *)raw.header + raw.layout.events);
    __atomic_store_n(&raw.header->commands.head, 1ull << 40, __ATOMIC_RELEASE);
    eventfd_write(raw.descriptors[1], 1);
    assert_int_equal(raw_reply(&raw, WAIT_MS), sizeof(raw.reply));
    assert_int_equal(raw.reply.error, -EPIPE);
    assert_int_equal(raw.reply.reason, GX_REASON_COMMAND);
    assert_int_equal(raw_reply(&raw, WAIT_MS), 0);
    assert_int_equal(raw.header->events.head, 1);
    assert_int_equal(events[0].type, GX_EVENT_REFUSED);
    assert_int_equal(events[0].reason, GX_REASON_COMMAND);
    raw_close(&raw);
    assert_true(all_released(*state));
}

static void test_nonsense_commands_are_answered_and_gxd_lives(void **state)
{
    struct world *w = *state;
    struct gx_command *commands;
    struct gx_event *events;
    unsigned seed = 1;
    struct raw raw;

    raw_attached(&raw, w);
    commands = (struct gx_command *)(void *)((uint8_t *)raw.header + raw.layout.commands);
    events = (struct gx_event *)(void *)((uint8_t *)raw.header + raw.layout.events);
    for (uint32_t i = 0; i < 500; i++) {
        uint8_t *bytes = (uint8_t *)&commands[i];

        for (size_t j = 0; j < sizeof(struct gx_command); j++)
            bytes[j] = (uint8_t)rand_r(&seed);
        commands[i].type = i % 5;
        if (i % 3)
            commands[i].fragment = 0;
    }
    __atomic_store_n(&raw.header->commands.head, 500, __ATOMIC_RELEASE);
    eventfd_write(raw.descriptors[1], 1);
    for (int i = 0;
         i < WAIT_MS / 10 && __atomic_load_n(&raw.header->commands.tail, __ATOMIC_ACQUIRE) != 500;
         i++)
        usleep(10000);
    assert_int_equal(raw.header->commands.tail, 500);
    for (int i = 0;
         i < WAIT_MS / 10 && !__atomic_load_n(&raw.header->events.head, __ATOMIC_ACQUIRE); i++)
        usleep(10000);
    assert_true(raw.header->events.head > 0);
    assert_int_equal(events[0].type, GX_EVENT_REFUSED);
    raw_close(&raw);
    assert_true(all_released(w));
    test_trainer_registers_trains_alone_and_goes(state);
}

static void test_unread_events_stop_commands_not_gxd(void **state)
{
    struct world *w = *state;
    struct gx_command *commands;
    struct raw raw;
    uint64_t head = 0;

    raw_attached(&raw, w);
    commands = (struct gx_command *)(void *)((uint8_t *)raw.header + raw.layout.commands);
    /* Each of these is answered by a REFUSED event, and nobody reads events. */
    for (int i = 0; i < 300 || (i < WAIT_MS && raw.header->events.head <= 100); i++) {
        while (head - __atomic_load_n(&raw.header->commands.tail, __ATOMIC_ACQUIRE) <
               GX_RING_ENTRIES)
            commands[head++ % GX_RING_ENTRIES] = (struct gx_command){.type = 99};
        __atomic_store_n(&raw.header->commands.head, head, __ATOMIC_RELEASE);
        eventfd_write(raw.descriptors[1], 1);
        usleep(1000);
    }
    assert_true(raw.header->events.head <= GX_RING_ENTRIES);
    assert_true(raw.header->events.head > 100);
    assert_int_equal(raw_reply(&raw, 50), -1); /* it is not hung up on: it only waits */
    raw_close(&raw);
    assert_true(all_released(w));
}

static void test_clients_are_bounded(void **state)
{
    struct raw raws[GX_CLIENTS_MAX + 1];

    for (int i = 0; i <= GX_CLIENTS_MAX; i++) {
        raw_make(&raws[i], *state, 0);
        usleep(2000); /* the backlog is shorter */
    }
    assert_int_equal(raw_reply(&raws[GX_CLIENTS_MAX], WAIT_MS), 0);
    assert_int_equal(raw_reply(&raws[0], 10), -1);
    for (int i = 0; i <= GX_CLIENTS_MAX; i++)
        raw_close(&raws[i]);
}

static void test_gxctl_commands_are_answered(void **state)
{
    struct gx_control_request request = {
        .version = GX_CONTROL_VERSION, .command = GX_CONTROL_REWIND, .run = "none"};
    struct gx_control_reply reply;
    struct raw raw;

    raw_make(&raw, *state, 0);
    assert_int_equal(send(raw.fd, &request, sizeof(request), 0), sizeof(request));
    assert_true(recv(raw.fd, &reply, sizeof(reply), 0) >
                (ssize_t)offsetof(struct gx_control_reply, text));
    assert_int_equal(reply.error, -ENOENT);
    raw_close(&raw);
    raw_make(&raw, *state, 0);
    request.command = 77;
    send(raw.fd, &request, sizeof(request), 0);
    assert_true(recv(raw.fd, &reply, sizeof(reply), 0) >
                (ssize_t)offsetof(struct gx_control_reply, text));
    assert_int_equal(reply.error, -EINVAL);
    raw_close(&raw);
    raw_make(&raw, *state, 0);
    request.command = GX_CONTROL_LEAVE;
    send(raw.fd, &request, sizeof(request), 0);
    assert_true(recv(raw.fd, &reply, sizeof(reply), 0) >
                (ssize_t)offsetof(struct gx_control_reply, text));
    assert_int_equal(reply.error, 0);
    raw_close(&raw);
}

static void test_lock_names_its_holder(void **state)
{
    struct world *w = *state;
    char error[256], pid[16];
    struct stat status;
    char path[128];
    int fd;

    fd = gx_control_lock(w->config.socket, error, sizeof(error));
    assert_true(fd >= 0);
    assert_int_equal(gx_control_lock(w->config.socket, error, sizeof(error)), -EWOULDBLOCK);
    snprintf(pid, sizeof(pid), "pid %d", (int)getpid());
    assert_non_null(strstr(error, pid));
    close(fd);
    fd = gx_control_lock(w->config.socket, error, sizeof(error));
    assert_true(fd >= 0);
    close(fd);
    snprintf(path, sizeof(path), "%s.lock", w->config.socket);
    unlink(path);
    assert_int_equal(stat(w->config.socket, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0660);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_trainer_registers_trains_alone_and_goes),
        CASE(test_wrong_round_and_weight_are_refused_by_event),
        CASE(test_second_trainer_of_a_run_is_refused),
        CASE(test_run_beyond_the_budget_is_refused_with_the_sum),
        CASE(test_unsealed_arena_is_refused),
        CASE(test_arena_of_another_size_is_refused),
        CASE(test_impossible_schema_is_refused),
        CASE(test_other_version_is_refused),
        CASE(test_what_is_no_eventfd_is_refused),
        CASE(test_missing_descriptors_and_odd_sizes_are_refused),
        CASE(test_refusals_leak_no_descriptor),
        CASE(test_silent_client_is_dropped_and_nobody_waits_for_it),
        CASE(test_impossible_ring_position_hangs_up_with_an_event),
        CASE(test_nonsense_commands_are_answered_and_gxd_lives),
        CASE(test_unread_events_stop_commands_not_gxd),
        CASE(test_clients_are_bounded),
        CASE(test_gxctl_commands_are_answered),
        CASE(test_lock_names_its_holder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
