#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl.h"
#include "stat/file.h"

/* A counters file as a gxd at site b of {a, b, c} would leave it, and what one command line printed. */
struct world {
    char directory[64], socket[96], state[128];
    struct gx_stat_file *file;
    int fd;
    char *out, *err;
};

static uint64_t monotonic_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void fill_links(struct gx_stat_file *f)
{
    f->counters.link[0][GX_LINK_up] = 1;
    f->counters.link[0][GX_LINK_heard_ns] = monotonic_ns() - 100000000;
    f->counters.link[0][GX_LINK_rtt_ns] = 50000000;
    f->counters.link[0][GX_LINK_loss_ppm] = 10000;
    f->counters.link[0][GX_LINK_sent_bytes_total] = 26600000;
    f->counters.link[0][GX_LINK_drop_checksum_total] = 2;
    f->counters.link[0][GX_LINK_drop_replay_total] = 3;
    f->counters.link[2][GX_LINK_refused] = GX_REASON_SITE_LIST;
    gx_stat_error(f, "link a: refused: not this one", 1);
    gx_stat_error(f, "link c: refused: site list 00aa here, 00bb there", 2);
}

static void fill_rounds(struct gx_stat_file *f)
{
    struct gx_round_row *row = &f->view.rows[3];

    strcpy(row->run, "demo");
    row->used = 1;
    row->phase = GX_PHASE_OFFERED;
    row->applied = 6;
    row->decided = 6;
    row->offered = 7;
    row->cohort = 1u << 0 | 1u << 1;
    row->present = 1u << 0 | 1u << 1 | 1u << 2;
    row->trainer = 1;
    row->bytes = 25000000;
    row->state.b[0] = 0xab;
    f->view.rows[4] = *row;
    f->view.rows[4].fragment = 1;
    f->view.rows[4].applied = 5;
}

static int setup(void **state)
{
    static const char *const names[] = {"a", "b", "c"};
    struct world *w = calloc(1, sizeof(*w));

    strcpy(w->directory, "/tmp/gx-test-ctl-XXXXXX");
    if (!mkdtemp(w->directory))
        return -1;
    snprintf(w->socket, sizeof(w->socket), "%s/gxd.sock", w->directory);
    snprintf(w->state, sizeof(w->state), "%s.state", w->socket);
    if (gx_stat_create(w->state, &w->file, &w->fd) != 0)
        return -1;
    w->file->site_count = 3;
    w->file->self = 1;
    for (int i = 0; i < 3; i++) {
        strcpy(w->file->site_names[i], names[i]);
        snprintf(w->file->site_addresses[i], 64, "127.0.0.1:74%d0", i + 4);
    }
    strcpy(w->file->port, "udp 127.0.0.1:7450 (io_uring)");
    w->file->rate_bps = 200000000;
    w->file->mtu = 1500;
    w->file->shard_bytes = 1408;
    w->file->counters.site[GX_SITE_heartbeat_ns] = monotonic_ns();
    fill_links(w->file);
    fill_rounds(w->file);
    w->file->ready = 1;
    unsetenv("GX_SOCKET");
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    char path[160];

    gx_stat_close(w->file, w->fd);
    snprintf(path, sizeof(path), "%s/counters", w->state);
    unlink(path);
    rmdir(w->state);
    rmdir(w->directory);
    free(w->out);
    free(w->err);
    free(w);
    return 0;
}

/* The gxd dies: its counters stay. */
static void die(struct world *w)
{
    gx_stat_close(w->file, w->fd);
    w->file = NULL;
    w->fd = -1;
}

/* Runs `gxctl -s SOCKET words…`; returns the exit code. */
static int run_words(struct world *w, const char *words, bool with_socket)
{
    char text[256], option[] = "-s", name[] = "gxctl", *argv[16] = {name};
    int argc = 1;
    size_t bytes;

    free(w->out);
    free(w->err);
    FILE *out = open_memstream(&w->out, &bytes), *err = open_memstream(&w->err, &bytes);
    if (with_socket) {
        argv[argc++] = option;
        argv[argc++] = w->socket;
    }
    strcpy(text, words);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    int code = gx_ctl_run(argc, argv, out, err);
    fclose(out);
    fclose(err);
    return code;
}

static int run(struct world *w, const char *words)
{
    return run_words(w, words, true);
}

static json_t *run_json(struct world *w, const char *words)
{
    json_error_t error;

    assert_int_equal(run(w, words), GX_CTL_OK);
    json_t *object = json_loads(w->out, JSON_REJECT_DUPLICATES, &error);
    assert_non_null(object);
    assert_string_equal(json_string_value(json_object_get(object, "site")), "b");
    assert_string_equal(json_string_value(json_object_get(object, "state")), "running");
    return object;
}

static json_int_t integer(const json_t *object, const char *key)
{
    assert_true(json_is_integer(json_object_get(object, key)));
    return json_integer_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void show_sums_up(void **state)
{
    struct world *w = *state;

    assert_int_equal(run(w, "show"), GX_CTL_OK);
    assert_non_null(strstr(w->out, "gxd      running, pid "));
    assert_non_null(strstr(w->out, "site     b, one of 3, coordinator a\n"));
    assert_non_null(strstr(w->out, "rate     200 Mbit/s, MTU 1500, shards of 1408 bytes\n"));
    assert_non_null(strstr(w->out, "links    1 up, 0 down, 1 refused\n"));
    assert_non_null(strstr(w->out, "runs     demo: 2 fragments, applied round 5 to 6\n"));
    assert_string_equal(w->err, "");
}

static void no_command_is_show(void **state)
{
    struct world *w = *state;

    assert_int_equal(run(w, ""), GX_CTL_OK);
    assert_non_null(strstr(w->out, "coordinator a\n"));
}

static void show_json_has_units_in_its_keys(void **state)
{
    json_t *object = run_json(*state, "show --json");

    assert_int_equal(integer(object, "rate_bps"), 200000000);
    assert_int_equal(integer(object, "shard_bytes"), 1408);
    assert_int_equal(integer(object, "site_count"), 3);
    assert_int_equal(integer(json_object_get(object, "links"), "up"), 1);
    assert_int_equal(integer(json_object_get(object, "links"), "refused"), 1);
    json_t *demo = json_array_get(json_object_get(object, "runs"), 0);
    assert_string_equal(text_of(demo, "run"), "demo");
    assert_int_equal(integer(demo, "applied_round_min"), 5);
    assert_int_equal(integer(demo, "applied_round_max"), 6);
    assert_int_equal(integer(object, "distinct_errors"), 2);
    json_decref(object);
}

static void links_show_state_and_reason(void **state)
{
    struct world *w = *state;
    json_t *object = run_json(w, "show links --json"), *links = json_object_get(object, "links");

    assert_int_equal(json_array_size(links), 2);
    json_t *up = json_array_get(links, 0), *refused = json_array_get(links, 1);
    assert_string_equal(text_of(up, "peer"), "a");
    assert_string_equal(text_of(up, "state"), "up");
    assert_true(json_is_null(json_object_get(up, "refused")));
    assert_true(json_real_value(json_object_get(up, "rtt_seconds")) == 0.05);
    assert_true(json_real_value(json_object_get(up, "loss")) == 0.01);
    assert_int_equal(integer(up, "dropped_packets"), 5);
    assert_string_equal(text_of(refused, "state"), "refused");
    assert_string_equal(text_of(refused, "refused"), "the peer's list of sites differs");
    assert_string_equal(text_of(refused, "refused_detail"),
                        "link c: refused: site list 00aa here, 00bb there");
    json_decref(object);
    assert_int_equal(run(w, "show links"), GX_CTL_OK);
    assert_non_null(strstr(w->out, "c is refused: the peer's list of sites differs: link c: "));
    assert_non_null(strstr(w->out, " 1.00%"));
}

static void a_path_too_small_is_a_state_of_its_link(void **state)
{
    struct world *w = *state;
    uint64_t *link = w->file->counters.link[0];

    link[GX_LINK_path_needs_bytes] = 1484;
    link[GX_LINK_path_short] = 1;
    assert_int_equal(run(w, "why"), GX_CTL_OK);
    assert_non_null(strstr(w->out, "link a: full packets (1484 bytes, `mtu: 1500`) get lost"));
    link[GX_LINK_path_bytes] = 1436;
    json_t *object = run_json(w, "show links --json");
    json_t *small = json_array_get(json_object_get(object, "links"), 0);
    assert_string_equal(text_of(small, "state"), "mtu");
    assert_int_equal(integer(small, "path_bytes"), 1436);
    assert_int_equal(integer(small, "path_needs_bytes"), 1484);
    json_decref(object);
    assert_int_equal(run(w, "show links"), GX_CTL_OK);
    assert_non_null(strstr(w->out, "a: the path carries 1436 bytes, a full packet has 1484"));
    assert_int_equal(run(w, "show"), GX_CTL_OK);
    assert_non_null(strstr(w->out, "0 up, 0 down, 1 refused, 1 lose full packets"));
    assert_int_equal(run(w, "why"), GX_CTL_OK);
    assert_non_null(strstr(w->out, "do: write `mtu: 1436` into the config of every site"));
    link[GX_LINK_path_short] = 0;
    link[GX_LINK_path_back_bytes] = 1400;
    assert_int_equal(run(w, "why"), GX_CTL_OK);
    assert_non_null(strstr(w->out, "link a: its path to here carries 1400 bytes"));
}

static void rounds_show_cohort_by_name(void **state)
{
    struct world *w = *state;
    json_t *object = run_json(w, "show rounds --json");
    json_t *row = json_array_get(json_object_get(object, "rounds"), 0);

    assert_int_equal(json_array_size(json_object_get(object, "rounds")), 2);
    assert_string_equal(text_of(row, "phase"), "offered");
    assert_int_equal(integer(row, "offered_round"), 7);
    json_t *cohort = json_object_get(row, "cohort");
    assert_int_equal(json_array_size(cohort), 2);
    assert_string_equal(json_string_value(json_array_get(cohort, 1)), "b");
    assert_true(json_is_null(json_object_get(row, "deadline_seconds")));
    assert_int_equal(strlen(text_of(row, "state_digest")), 64);
    json_decref(object);
    assert_int_equal(run(w, "show rounds"), GX_CTL_OK);
    assert_non_null(strstr(w->out, "a,b,c"));
}

static void sites_show_who_is_heard(void **state)
{
    struct world *w = *state;
    json_t *object = run_json(w, "show sites --json"), *sites = json_object_get(object, "sites");

    assert_int_equal(json_array_size(sites), 3);
    assert_true(json_is_true(json_object_get(json_array_get(sites, 0), "coordinator")));
    assert_true(json_real_value(json_object_get(json_array_get(sites, 0), "heard_seconds_ago")) <
                5);
    assert_string_equal(text_of(json_array_get(sites, 1), "link"), "self");
    assert_true(json_is_null(json_object_get(json_array_get(sites, 2), "heard_seconds_ago")));
    json_decref(object);
    assert_int_equal(run(w, "show sites"), GX_CTL_OK);
    assert_non_null(strstr(w->out, "127.0.0.1:7440"));
}

static void counters_show_every_row_of_the_table(void **state)
{
    struct world *w = *state;
    json_t *object = run_json(w, "show counters --json");
    json_t *links = json_object_get(object, "link_counters");

    assert_int_equal(json_object_size(json_object_get(object, "site_counters")),
                     GX_SITE_COUNTER_COUNT);
    assert_int_equal(json_object_size(links), 2);
    assert_int_equal(json_object_size(json_object_get(links, "a")), GX_LINK_COUNTER_COUNT);
    assert_int_equal(integer(json_object_get(links, "a"), "sent_bytes_total"), 26600000);
    json_decref(object);
    assert_int_equal(run(w, "show counters"), GX_CTL_OK);
    assert_non_null(strstr(w->out, "drop_replay_total"));
}

static void errors_show_count_and_text(void **state)
{
    struct world *w = *state;
    json_t *object = run_json(w, "show errors --json");
    json_t *error = json_array_get(json_object_get(object, "errors"), 1);

    assert_int_equal(integer(error, "count"), 1);
    assert_int_equal(integer(error, "last_unix_ns"), 2);
    assert_string_equal(text_of(error, "text"), "link c: refused: site list 00aa here, 00bb there");
    json_decref(object);
    assert_int_equal(run(w, "show errors"), GX_CTL_OK);
    assert_non_null(strstr(w->out, "link a: refused"));
}

static void a_dead_gxd_prints_its_last_counters_and_exits_3(void **state)
{
    struct world *w = *state;

    die(w);
    assert_int_equal(run(w, "show --json"), GX_CTL_ABSENT);
    assert_non_null(strstr(w->out, "\"state\": \"dead\""));
    assert_non_null(strstr(w->err, "gxd is dead"));
    assert_int_equal(run(w, "show links"), GX_CTL_ABSENT);
    assert_non_null(strstr(w->out, " down"));
    assert_non_null(strstr(w->out, "26.6 MB"));
}

static void a_gxd_that_is_not_ready_exits_3(void **state)
{
    struct world *w = *state;

    w->file->ready = 0;
    assert_int_equal(run(w, "show --json"), GX_CTL_ABSENT);
    assert_non_null(strstr(w->out, "\"state\": \"starting\""));
}

static void a_gxd_whose_worker_does_not_beat_is_stuck(void **state)
{
    struct world *w = *state;

    w->file->counters.site[GX_SITE_heartbeat_ns] = monotonic_ns() - 4000000000;
    assert_int_equal(run(w, "show"), GX_CTL_OK);
    w->file->counters.site[GX_SITE_heartbeat_ns] = monotonic_ns() - 6000000000;
    assert_int_equal(run(w, "show"), GX_CTL_FAILED);
    assert_non_null(strstr(w->out, "gxd      stuck"));
    assert_non_null(strstr(w->err, "is stuck: its worker's last sign of life is 6 s old"));
}

static void no_gxd_exits_3(void **state)
{
    struct world *w = *state;

    assert_int_equal(run(w, "-s /tmp/gx-no-such.sock show --json"), GX_CTL_ABSENT);
    assert_string_equal(w->out, "");
    assert_non_null(strstr(w->err, "no gxd has ever run at /tmp/gx-no-such.sock"));
}

static void another_version_names_both(void **state)
{
    struct world *w = *state;

    w->file->version_major = 9;
    assert_int_equal(run(w, "show"), GX_CTL_FAILED);
    assert_non_null(strstr(w->err, "has version 9.0"));
    assert_non_null(strstr(w->err, "this gxctl reads 1.0"));
    w->file->version_major = GX_STAT_VERSION_MAJOR;
}

static void the_environment_names_the_socket(void **state)
{
    struct world *w = *state;

    setenv("GX_SOCKET", w->socket, 1);
    assert_int_equal(run_words(w, "show sites", false), GX_CTL_OK);
    unsetenv("GX_SOCKET");
}

static void a_state_directory_can_be_named(void **state)
{
    struct world *w = *state;
    char words[200];

    snprintf(words, sizeof(words), "-s /nowhere --state %s show", w->state);
    assert_int_equal(run(w, words), GX_CTL_OK);
}

static void hostile_counters_do_no_harm(void **state)
{
    static const char *const shows[] = {"show",
                                        "show sites",
                                        "show links",
                                        "show rounds",
                                        "show counters",
                                        "show errors",
                                        "show --json",
                                        "show links --json",
                                        "show rounds --json",
                                        "show sites --json",
                                        "show errors --json",
                                        "show memory",
                                        "show memory --json",
                                        "why",
                                        "why --json",
                                        "monitor --count 1 --interval 10ms",
                                        "monitor --count 1 --interval 10ms --json"};
    struct world *w = *state;

    memset(w->file->site_names, 0xff, sizeof(w->file->site_names));
    memset(&w->file->counters, 0xff, sizeof(w->file->counters));
    memset(&w->file->view, 0xff, sizeof(w->file->view));
    memset(w->file->errors, 0xff, sizeof(w->file->errors));
    w->file->site_count = 1000;
    w->file->self = 1000;
    for (size_t i = 0; i < sizeof(shows) / sizeof(shows[0]); i++) {
        assert_int_equal(run(w, shows[i]), GX_CTL_OK);
        assert_true(strlen(w->out) > 0);
    }
}

static void wrong_usage_exits_2(void **state)
{
    struct world *w = *state;

    assert_int_equal(run(w, "shw"), GX_CTL_USAGE);
    assert_string_equal(w->err, "gxctl: 'shw' is no command; gxctl --help lists them\n");
    assert_int_equal(run(w, "show nothing"), GX_CTL_USAGE);
    assert_int_equal(run(w, "--bogus"), GX_CTL_USAGE);
    assert_string_equal(w->err, "gxctl: --bogus is no option; gxctl --help lists them\n");
    assert_int_equal(run(w, "config check"), GX_CTL_USAGE);
    assert_int_equal(run(w, "config"), GX_CTL_USAGE);
    assert_int_equal(run(w, "help --json"), GX_CTL_USAGE);
    assert_int_equal(run(w, "show sites all"), GX_CTL_USAGE);
    assert_string_equal(w->err,
                        "gxctl: 'all' is one word too many; the command is: gxctl show sites\n");
    assert_int_equal(run(w, "why a 1 2"), GX_CTL_USAGE);
    assert_int_equal(run(w, "monitor --interval 5"), GX_CTL_USAGE);
    assert_int_equal(run(w, "monitor --interval 1ms"), GX_CTL_USAGE);
    assert_int_equal(run(w, "monitor --count 0"), GX_CTL_USAGE);
    assert_int_equal(run(w, "key"), GX_CTL_USAGE);
    assert_int_equal(run_words(w, "-s", false), GX_CTL_USAGE);
    assert_string_equal(w->err, "gxctl: -s needs a value\n");
}

static void generated_keys_are_right_and_differ(void **state)
{
    struct world *w = *state;
    char first[65];

    assert_int_equal(run(w, "key generate"), GX_CTL_OK);
    assert_int_equal(strspn(w->out, "0123456789abcdef"), 64);
    assert_string_equal(w->out + 64, "\n");
    snprintf(first, sizeof(first), "%s", w->out);
    assert_int_equal(run(w, "key generate"), GX_CTL_OK);
    assert_memory_not_equal(w->out, first, 64);
}

static void help_names_every_command(void **state)
{
    static const char *const words[] = {
#define GX_COMMAND(function, words, arguments, min, max, json, help) words,
#include "commands.def"
#undef GX_COMMAND
    };
    struct world *w = *state;

    assert_int_equal(run(w, "--help"), GX_CTL_OK);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        assert_non_null(strstr(w->out, words[i]));
}

static void the_page_describes_every_command(void **state)
{
    static const char *const words[] = {
#define GX_COMMAND(function, words, arguments, min, max, json, help) words,
#include "commands.def"
#undef GX_COMMAND
    };
    char page[1 << 16] = "", needle[64];
    FILE *f = fopen("docs/gxctl.md", "r");

    (void)state;
    assert_non_null(f);
    assert_true(fread(page, 1, sizeof(page) - 1, f) > 0);
    fclose(f);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        snprintf(needle, sizeof(needle), "`gxctl %s", words[i]);
        if (!strstr(page, needle))
            fail_msg("docs/gxctl.md lacks %s", needle);
    }
}

static void config_check_judges_a_file(void **state)
{
    struct world *w = *state;

    assert_int_equal(run(w, "config check docs/examples/gxd.yaml"), GX_CTL_OK);
    assert_non_null(strstr(w->out, "docs/examples/gxd.yaml: right. Site paris of 3"));
    assert_int_equal(run(w, "config check /dev/null"), GX_CTL_USAGE);
    assert_string_equal(w->err, "gxctl: /dev/null:1: the file is empty: docs/examples/gxd.yaml "
                                "shows every key\n");
}

static void why_tells_who_was_left_out(void **state)
{
    struct world *w = *state;
    struct gx_decision *d = &w->file->view.decisions[5];
    struct gx_trace *t = &w->file->view.traces[3][7 % GX_TRACES];

    *d = (struct gx_decision){.used = 1, .round = 7, .epoch = 1, .members = 1, .present = 7};
    strcpy(d->run, "demo");
    d->flags = GX_DECISION_STARTED | GX_DECISION_OVER;
    d->opened_ns = 1000000000;
    d->decided_ns = 3000000000;
    d->why[0] = GX_WHY_MEMBER;
    d->why[1] = GX_WHY_NOT_HELD;
    d->why[2] = GX_WHY_WRONG_BASE;
    d->holders[1] = 2;
    d->offered_ns[1] = 1500000000;
    *t = (struct gx_trace){.round = 7, .epoch = 1, .members = 1};
    t->at_ns[GX_STAGE_OFFERED] = 1250000000;
    t->at_ns[GX_STAGE_DECIDED] = 3500000000;
    t->came_ns[0] = 2000000000;

    json_t *object = run_json(w, "why demo 7 --json");
    json_t *round = json_array_get(json_object_get(object, "rounds"), 0);
    assert_string_equal(text_of(round, "outcome_here"), "left out");
    json_t *stages = json_object_get(round, "stages");
    assert_true(json_real_value(json_object_get(stages, "offered_seconds")) == 0.25);
    assert_true(json_real_value(json_object_get(stages, "decided_seconds")) == 2.5);
    assert_true(json_is_null(json_object_get(stages, "reduced_seconds")));
    json_t *b = json_array_get(json_object_get(round, "sites"), 1);
    assert_string_equal(text_of(b, "why"), "NOT_HELD");
    assert_string_equal(json_string_value(json_array_get(json_object_get(b, "holders"), 0)), "b");
    assert_true(json_real_value(json_object_get(b, "offered_seconds")) == 0.5);
    json_decref(object);
    assert_int_equal(run(w, "why demo 7"), GX_CTL_OK);
    assert_non_null(strstr(w->out, "left out, cohort a\n"));
    assert_non_null(strstr(w->out, "it offered on another base than the round's"));
    assert_int_equal(run(w, "why demo 8"), GX_CTL_FAILED);
    assert_int_equal(run(w, "why other"), GX_CTL_FAILED);
}

static void why_names_what_is_wrong(void **state)
{
    struct world *w = *state;

    assert_int_equal(run(w, "why"), GX_CTL_OK);
    assert_non_null(strstr(w->out, "link c: refused: the peer's list of sites differs\n"));
    assert_non_null(strstr(w->out, "round 7 is offered here and waits for the offers of a,b,c"));
    w->file->view.rows[3].phase = GX_PHASE_REDUCED;
    assert_int_equal(run(w, "why demo"), GX_CTL_OK);
    assert_non_null(strstr(w->out, "round 7 is ready; the trainer has not published"));
    memset(&w->file->view, 0, sizeof(w->file->view));
    assert_int_equal(run(w, "why"), GX_CTL_OK);
    assert_non_null(strstr(w->out, "no trainer is registered at this site"));
}

static void monitor_turns_counters_into_rates(void **state)
{
    struct world *w = *state;

    assert_int_equal(run(w, "monitor --json --count 2 --interval 20ms"), GX_CTL_OK);
    char *second = strchr(w->out, '\n') + 1;
    json_t *sample = json_loads(second, 0, NULL);
    assert_non_null(sample);
    assert_true(json_real_value(json_object_get(sample, "interval_seconds")) >= 0.02);
    json_t *link = json_array_get(json_object_get(sample, "links"), 0);
    assert_string_equal(text_of(link, "send_pressure"), "nothing to send");
    assert_true(json_real_value(json_object_get(link, "send_bps")) == 0);
    json_decref(sample);
    assert_int_equal(run(w, "monitor --count 1 --interval 10ms"), GX_CTL_OK);
    assert_null(strchr(w->out, '\033'));
    assert_non_null(strstr(w->out, "back-pressure"));
}

static void memory_is_told_per_run(void **state)
{
    struct world *w = *state;

    w->file->counters.site[GX_SITE_memory_budget_bytes] = 1000;
    w->file->counters.site[GX_SITE_arena_bytes] = 300;
    w->file->counters.site[GX_SITE_staging_bytes] = 200;
    w->file->view.rows[3].arena_bytes = w->file->view.rows[4].arena_bytes = 300;
    json_t *object = run_json(w, "show memory --json");
    assert_int_equal(integer(object, "free_bytes"), 500);
    assert_int_equal(json_array_size(json_object_get(object, "runs")), 1);
    json_decref(object);
}

static void config_show_says_what_is_in_effect(void **state)
{
    struct world *w = *state;

    assert_int_equal(run(w, "config show docs/examples/gxd.yaml"), GX_CTL_OK);
    assert_non_null(strstr(w->out, "rate: 1Gbit\nrecv_rate: 1Gbit  # default\n"));
    assert_int_equal(run(w, "config show docs/examples/gxd.yaml --json"), GX_CTL_OK);
    json_t *object = json_loads(w->out, 0, NULL);
    assert_int_equal(integer(json_object_get(object, "config"), "rate_bps"), 1000000000);
    json_decref(object);
    assert_int_equal(run(w, "config show /dev/null"), GX_CTL_USAGE);
    assert_int_equal(run(w, "config show"), GX_CTL_ABSENT);
}

static void what_gxd_must_do_needs_a_gxd(void **state)
{
    struct world *w = *state;

    assert_int_equal(run(w, "set site.rate=1Mbit"), GX_CTL_ABSENT);
    assert_int_equal(run(w, "leave"), GX_CTL_ABSENT);
    assert_int_equal(run(w, "run rewind demo"), GX_CTL_ABSENT);
    assert_int_equal(run(w, "set site.mtu=9000"), GX_CTL_USAGE);
    assert_int_equal(run(w, "set site.rate"), GX_CTL_USAGE);
}

static void made_pages_hold_the_tables(void **state)
{
    struct world *w = *state;

    for (unsigned i = 0; i < gx_ctl_command_count; i++) {
        assert_int_equal(run(w, "help man gxctl"), GX_CTL_OK);
        assert_non_null(strstr(w->out, gx_ctl_commands[i].words));
        assert_int_equal(run(w, "help completion"), GX_CTL_OK);
        assert_non_null(strstr(w->out, gx_ctl_commands[i].words));
    }
    assert_int_equal(run(w, "help man gxd"), GX_CTL_OK);
    assert_non_null(strstr(w->out, "\\fBrewind_after\\fR"));
    assert_int_equal(run(w, "help man gx-perf"), GX_CTL_USAGE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(show_sums_up),
        TEST(no_command_is_show),
        TEST(show_json_has_units_in_its_keys),
        TEST(links_show_state_and_reason),
        TEST(a_path_too_small_is_a_state_of_its_link),
        TEST(rounds_show_cohort_by_name),
        TEST(sites_show_who_is_heard),
        TEST(counters_show_every_row_of_the_table),
        TEST(errors_show_count_and_text),
        TEST(a_dead_gxd_prints_its_last_counters_and_exits_3),
        TEST(a_gxd_that_is_not_ready_exits_3),
        TEST(a_gxd_whose_worker_does_not_beat_is_stuck),
        TEST(no_gxd_exits_3),
        TEST(another_version_names_both),
        TEST(the_environment_names_the_socket),
        TEST(a_state_directory_can_be_named),
        TEST(hostile_counters_do_no_harm),
        TEST(wrong_usage_exits_2),
        TEST(generated_keys_are_right_and_differ),
        TEST(help_names_every_command),
        TEST(the_page_describes_every_command),
        TEST(config_check_judges_a_file),
        TEST(why_tells_who_was_left_out),
        TEST(why_names_what_is_wrong),
        TEST(monitor_turns_counters_into_rates),
        TEST(memory_is_told_per_run),
        TEST(config_show_says_what_is_in_effect),
        TEST(what_gxd_must_do_needs_a_gxd),
        TEST(made_pages_hold_the_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
