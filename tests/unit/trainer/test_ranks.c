/* trainer/ranks.c, ranks/tcp.c, ranks/nccl.c: the ranks of a site, here as threads that speak TCP on loopback. MPI needs
 * mpirun: tests/integration/test_ranks.py. */
#include "ranks_fixture.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <time.h>

#define VALUES 200001u /* several chunks and a rest */

static const char *const variables[] = {"RANK",
                                        "WORLD_SIZE",
                                        "LOCAL_RANK",
                                        "MASTER_ADDR",
                                        "MASTER_PORT",
                                        "PMI_RANK",
                                        "PMI_SIZE",
                                        "PMIX_RANK",
                                        "OMPI_COMM_WORLD_RANK",
                                        "OMPI_COMM_WORLD_SIZE",
                                        "SLURM_NTASKS",
                                        "SLURM_LOCALID",
                                        "MPI_LOCALRANKID",
                                        "TORCHELASTIC_USE_AGENT_STORE"};

static int clean_environment(void **state)
{
    (void)state;
    unsetenv("GX_NCCL");
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        unsetenv(variables[i]);
    return 0;
}

static void expect_text(const struct gx_ranks *ranks, const char *text)
{
    if (!strstr(ranks->failure.text, text))
        fail_msg("\"%s\" does not say \"%s\"", ranks->failure.text, text);
}

static void wait_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* ---- what they say to each other ---- */

/* Values whose sums round, so that another order of adding would show. */
static float value(uint32_t rank, uint32_t i)
{
    return 1.0f / (float)(1 + i % 1000 + 7 * rank);
}

static void sum_values(struct rank *r)
{
    float *v = malloc(VALUES * sizeof(*v));
    for (uint32_t i = 0; i < VALUES; i++)
        v[i] = value(r->ranks.rank, i);
    r->rc = gx_ranks_sum(&r->ranks, v, VALUES);
    for (uint32_t i = 0; r->rc == 0 && i < VALUES; i++) {
        float sum = value(0, i);
        for (uint32_t k = 1; k < r->ranks.count; k++)
            sum += value(k, i);
        r->rc = v[i] == sum ? 0 : -EBADMSG;
    }
    free(v);
}

static void sums_are_the_same_at_every_rank(void **state)
{
    (void)state;
    for (uint32_t count = 2; count <= RANKS_MAX; count++) {
        struct rank r[RANKS_MAX];
        ranks_run(r, count, sum_values, NULL);
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(r[i].rc, 0);
    }
}

static void send_around(struct rank *r)
{
    const uint32_t rank = r->ranks.rank;
    uint32_t word = rank == 0 ? 4711 : 0, mine = 0, all[RANKS_MAX] = {10, 11, 12, 13};
    uint32_t gathered[RANKS_MAX] = {0};
    r->rc = gx_ranks_broadcast(&r->ranks, &word, sizeof(word));
    if (r->rc == 0 && word != 4711)
        r->rc = -EBADMSG;
    if (r->rc == 0)
        r->rc = gx_ranks_scatter(&r->ranks, rank == 0 ? all : NULL, &mine, sizeof(mine));
    if (r->rc == 0 && mine != 10 + rank)
        r->rc = -EBADMSG;
    mine *= 2;
    if (r->rc == 0)
        r->rc = gx_ranks_gather(&r->ranks, &mine, rank == 0 ? gathered : NULL, sizeof(mine));
    for (uint32_t i = 0; r->rc == 0 && rank == 0 && i < r->ranks.count; i++)
        r->rc = gathered[i] == 2 * (10 + i) ? 0 : -EBADMSG;
}

static void bytes_reach_the_rank_that_they_are_for(void **state)
{
    (void)state;
    struct rank r[RANKS_MAX];
    ranks_run(r, RANKS_MAX, send_around, NULL);
    for (uint32_t i = 0; i < RANKS_MAX; i++)
        assert_int_equal(r[i].rc, 0);
}

/* ---- death ---- */

static void die_in_a_sum(struct rank *r)
{
    float *v = calloc(VALUES, sizeof(*v));
    if (r->ranks.rank == 1)
        gx_ranks_abort(&r->ranks, 1);
    else
        r->rc = gx_ranks_sum(&r->ranks, v, VALUES);
    if (r->rc != 0)
        gx_ranks_abort(&r->ranks, 1);
    free(v);
}

static void a_dead_rank_ends_the_others(void **state)
{
    (void)state;
    struct rank r[3];
    ranks_run(r, 3, die_in_a_sum, NULL);
    assert_int_equal(r[0].rc, -ECONNRESET);
    expect_text(&r[0].ranks, "rank 1 is gone");
    assert_int_equal(r[2].rc, -ECONNRESET);
    expect_text(&r[2].ranks, "rank 0 is gone");
}

static void watch_for_death(struct rank *r)
{
    if (r->ranks.rank == 2) {
        wait_ms(50);
        gx_ranks_abort(&r->ranks, 1);
    }
    for (int i = 0; r->ranks.rank == 0 && r->rc == 0 && i < 2000; i++) {
        r->rc = gx_ranks_check(&r->ranks);
        wait_ms(5);
    }
    if (r->ranks.rank == 1) {
        uint32_t word;
        r->rc = gx_ranks_broadcast(&r->ranks, &word, sizeof(word));
    }
}

static void a_death_is_seen_while_nothing_is_exchanged(void **state)
{
    (void)state;
    struct rank r[3];
    ranks_run(r, 3, watch_for_death, NULL);
    assert_int_equal(r[0].rc, -ECONNRESET);
    expect_text(&r[0].ranks, "rank 2 is gone");
    assert_int_equal(r[1].rc, -ECONNRESET);
}

static void call_after_abort(struct rank *r)
{
    float v = 1;
    gx_ranks_abort(&r->ranks, 1);
    r->rc = gx_ranks_sum(&r->ranks, &v, 1);
}

static void nothing_goes_on_after_an_abort(void **state)
{
    (void)state;
    struct rank r[2];
    ranks_run(r, 2, call_after_abort, NULL);
    assert_int_equal(r[0].rc, -ECONNRESET);
    assert_int_equal(r[1].rc, -ECONNRESET);
}

/* ---- meeting ---- */

static struct gx_ranks alone(uint32_t rank, uint32_t count)
{
    ranks_choose_port();
    return (struct gx_ranks){
        .rank = rank, .count = count, .transport = &gx_ranks_tcp, .meet_ms = 200};
}

static void a_rank_that_does_not_come_is_named(void **state)
{
    (void)state;
    struct gx_ranks ranks = alone(0, 2);
    assert_int_equal(gx_ranks_tcp.init(&ranks), -ETIMEDOUT);
    expect_text(&ranks, "rank 1 did not come");
    expect_text(&ranks, getenv("MASTER_PORT"));
    gx_ranks_fini(&ranks);
}

static void a_missing_rank_0_is_named(void **state)
{
    (void)state;
    struct gx_ranks ranks = alone(1, 2);
    assert_int_equal(gx_ranks_tcp.init(&ranks), -ECONNREFUSED);
    expect_text(&ranks, "no rank 0 at 127.0.0.1");
    gx_ranks_fini(&ranks);
}

static int listen_at_master_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)atoi(getenv("MASTER_PORT")))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void a_port_in_use_is_named(void **state)
{
    (void)state;
    struct gx_ranks ranks = alone(0, 2);
    int fd = listen_at_master_port();
    assert_int_equal(gx_ranks_tcp.init(&ranks), -EADDRINUSE);
    expect_text(&ranks, getenv("MASTER_PORT"));
    close(fd);
}

/* The next port may be another process's by chance, not ten times in a row. */
static void the_next_port_is_taken_where_torchruns_agent_has_it(void **state)
{
    (void)state;
    int rc = -EADDRINUSE;
    for (int i = 0; i < 10 && rc == -EADDRINUSE; i++) {
        struct gx_ranks ranks = alone(0, 2);
        int fd = listen_at_master_port();
        setenv("TORCHELASTIC_USE_AGENT_STORE", "True", 1);
        rc = gx_ranks_tcp.init(&ranks);
        unsetenv("TORCHELASTIC_USE_AGENT_STORE");
        gx_ranks_fini(&ranks);
        close(fd);
    }
    assert_int_equal(rc, -ETIMEDOUT);
}

/* Connects until it can, says `bytes` bytes, and stays until the ranks have met. */
struct stranger {
    size_t bytes;
    bool said;
    pthread_t thread;
};

static void *be_strange(void *argument)
{
    struct stranger *s = argument;
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)atoi(getenv("MASTER_PORT")))};
    for (int i = 0; i < 500; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0) {
            char junk[64] = "GET / HTTP/1.0\r\n\r\n";
            s->said = s->bytes == 0 || send(fd, junk, s->bytes, MSG_NOSIGNAL) > 0;
            char answer;
            s->said = s->said && recv(fd, &answer, 1, 0) <= 0; /* shown the door */
            close(fd);
            return NULL;
        }
        close(fd);
        wait_ms(10);
    }
    return NULL;
}

static void strangers_are_ignored(void **state)
{
    (void)state;
    static const size_t says[] = {0, 5, 64};
    for (size_t i = 0; i < sizeof(says) / sizeof(says[0]); i++) {
        struct stranger s = {.bytes = says[i]};
        struct rank r[2];
        ranks_choose_port();
        memset(r, 0, sizeof(r));
        for (uint32_t k = 0; k < 2; k++) {
            r[k].ranks = (struct gx_ranks){
                .rank = k, .count = 2, .transport = &gx_ranks_tcp, .meet_ms = 20000};
            r[k].work = sum_values;
        }
        pthread_create(&r[0].thread, NULL, ranks_main, &r[0]);
        pthread_create(&s.thread, NULL, be_strange, &s);
        wait_ms(50);
        pthread_create(&r[1].thread, NULL, ranks_main, &r[1]);
        ranks_join(r, 2);
        pthread_join(s.thread, NULL);
        assert_true(s.said);
        assert_int_equal(r[0].init_rc, 0);
        assert_int_equal(r[0].rc, 0);
        assert_int_equal(r[1].rc, 0);
    }
}

static void do_nothing(struct rank *r)
{
    (void)r;
}

static void two_of_the_same_rank_are_refused(void **state)
{
    (void)state;
    struct rank r[3];
    ranks_choose_port();
    memset(r, 0, sizeof(r));
    for (uint32_t i = 0; i < 3; i++) {
        r[i].ranks = (struct gx_ranks){
            .rank = i > 0, .count = 3, .transport = &gx_ranks_tcp, .meet_ms = 20000};
        r[i].work = do_nothing;
        pthread_create(&r[i].thread, NULL, ranks_main, &r[i]);
    }
    ranks_join(r, 3);
    assert_int_equal(r[0].init_rc, -EPROTO);
    expect_text(&r[0].ranks, "RANK=1");
    assert_true(r[1].init_rc != 0 && r[2].init_rc != 0);
}

static void another_runs_rank_is_refused(void **state)
{
    (void)state;
    struct rank r[2];
    ranks_choose_port();
    memset(r, 0, sizeof(r));
    for (uint32_t i = 0; i < 2; i++) {
        r[i].ranks = (struct gx_ranks){
            .rank = i, .count = 2 + i, .transport = &gx_ranks_tcp, .meet_ms = 20000};
        r[i].work = do_nothing;
        pthread_create(&r[i].thread, NULL, ranks_main, &r[i]);
    }
    ranks_join(r, 2);
    assert_int_equal(r[0].init_rc, -EPROTO);
    expect_text(&r[0].ranks, "WORLD_SIZE=3 there, 2 here");
    assert_true(r[1].init_rc != 0);
}

/* ---- the environment ---- */

static void without_a_launcher_there_is_one_rank(void **state)
{
    (void)state;
    struct gx_ranks ranks;
    assert_int_equal(gx_ranks_init(&ranks), 0);
    assert_int_equal(ranks.count, 1);
    assert_int_equal(ranks.rank, 0);
    gx_ranks_fini(&ranks);
    setenv("RANK", "3", 1); /* alone it says nothing: other programs use the name too */
    assert_int_equal(gx_ranks_init(&ranks), 0);
    assert_int_equal(ranks.count, 1);
    setenv("WORLD_SIZE", "1", 1);
    assert_int_equal(gx_ranks_init(&ranks), 0);
    assert_int_equal(ranks.count, 1);
}

static void a_bad_environment_is_quoted(void **state)
{
    (void)state;
    static const struct {
        const char *rank, *count, *address, *port, *says;
    } cases[] = {
        {NULL, "2", NULL, NULL, "RANK is not set"},
        {"2", "2", NULL, NULL, "RANK=2: must be a whole number from 0 to 1"},
        {"-1", "2", NULL, NULL, "RANK=-1"},
        {"0", "two", NULL, NULL, "WORLD_SIZE=two"},
        {"0", "0", NULL, NULL, "WORLD_SIZE=0"},
        {"0", "2", NULL, "29500", "MASTER_ADDR is not set"},
        {"0", "2", "127.0.0.1", NULL, "MASTER_PORT is not set"},
        {"0", "2", "127.0.0.1", "29500x", "MASTER_PORT=29500x"},
        {"0", "2", "127.0.0.1", "70000", "MASTER_PORT=70000"},
        {"0", "2", "no such host", "29500", "MASTER_ADDR=no such host"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gx_ranks ranks;
        clean_environment(NULL);
        if (cases[i].rank)
            setenv("RANK", cases[i].rank, 1);
        setenv("WORLD_SIZE", cases[i].count, 1);
        if (cases[i].address)
            setenv("MASTER_ADDR", cases[i].address, 1);
        if (cases[i].port)
            setenv("MASTER_PORT", cases[i].port, 1);
        assert_true(gx_ranks_init(&ranks) < 0);
        expect_text(&ranks, cases[i].says);
        gx_ranks_fini(&ranks);
    }
}

/* This program has no ../lib with a plugin. */
static void mpirun_without_the_plugin_says_what_to_install(void **state)
{
    (void)state;
    struct gx_ranks ranks;
    setenv("PMI_RANK", "0", 1);
    setenv("PMI_SIZE", "2", 1);
    setenv("RANK", "0", 1); /* mpirun's word counts */
    setenv("WORLD_SIZE", "4", 1);
    assert_int_equal(gx_ranks_init(&ranks), -ENOENT);
    expect_text(&ranks, "PMI_SIZE=2");
    expect_text(&ranks, GX_RANKS_MPI_FILE);
    expect_text(&ranks, "libmpich-dev");
    gx_ranks_fini(&ranks);
}

/* ---- NCCL ---- */

static void ask_for_nccl(struct rank *r)
{
    r->rc = gx_ranks_gpu_init(&r->ranks);
}

static bool have_nccl(void)
{
    void *library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (library)
        dlclose(library);
    return library != NULL;
}

static void expect_nccl_fails(int rc, const char *text)
{
    struct rank r[2];
    ranks_run(r, 2, ask_for_nccl, NULL);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(r[i].rc, rc);
        assert_null(r[i].ranks.nccl);
        expect_text(&r[i].ranks, text);
    }
}

static void without_nccl_every_rank_says_what_to_install(void **state)
{
    (void)state;
    setenv("GX_NCCL", "/nowhere/libnccl.so.2", 1);
    expect_nccl_fails(-ENOENT, "/nowhere/libnccl.so.2");
    expect_nccl_fails(-ENOENT, "nvidia-nccl-cu12");
    setenv("GX_NCCL", "libm.so.6", 1);
    expect_nccl_fails(-ENOENT, "libm.so.6 has no ncclGetUniqueId");
}

static void ask_where_one_has_none(struct rank *r)
{
    /* The environment is the process's, so the other rank is played: it says that it failed. */
    if (r->ranks.rank == 1) {
        float failed = 1;
        r->rc = gx_ranks_sum(&r->ranks, &failed, 1);
    } else {
        r->rc = gx_ranks_gpu_init(&r->ranks);
    }
}

static void need_nccl(void)
{
    if (have_nccl())
        return;
    print_message("skip: no libnccl.so.2 here (docs/training.md)\n");
    skip();
}

static void nccl_missing_at_one_rank_ends_all(void **state)
{
    (void)state;
    need_nccl();
    struct rank r[2];
    ranks_run(r, 2, ask_where_one_has_none, NULL);
    assert_int_equal(r[0].rc, -ENOENT);
    expect_text(&r[0].ranks, "at 1 other rank");
}

/* The real library on a machine without a GPU: it is loaded, called, and what it says is told. */
static void nccls_own_refusal_is_told(void **state)
{
    (void)state;
    need_nccl();
    if (access("/dev/nvidiactl", F_OK) == 0) {
        print_message("skip: there is a GPU here\n");
        skip();
    }
    setenv("NCCL_SOCKET_IFNAME", "lo", 1);
    expect_nccl_fails(-EIO, "ncclCommInitRank: ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, clean_environment, clean_environment)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sums_are_the_same_at_every_rank),
        TEST(bytes_reach_the_rank_that_they_are_for),
        TEST(a_dead_rank_ends_the_others),
        TEST(a_death_is_seen_while_nothing_is_exchanged),
        TEST(nothing_goes_on_after_an_abort),
        TEST(a_rank_that_does_not_come_is_named),
        TEST(a_missing_rank_0_is_named),
        TEST(a_port_in_use_is_named),
        TEST(the_next_port_is_taken_where_torchruns_agent_has_it),
        TEST(strangers_are_ignored),
        TEST(two_of_the_same_rank_are_refused),
        TEST(another_runs_rank_is_refused),
        TEST(without_a_launcher_there_is_one_rank),
        TEST(a_bad_environment_is_quoted),
        TEST(mpirun_without_the_plugin_says_what_to_install),
        TEST(without_nccl_every_rank_says_what_to_install),
        TEST(nccl_missing_at_one_rank_ends_all),
        TEST(nccls_own_refusal_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
