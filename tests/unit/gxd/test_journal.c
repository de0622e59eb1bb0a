#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "journal.h"

/* Entries of the test: a byte that says how many equal bytes follow. */
struct seen {
    uint32_t count;
    uint8_t first[64];
};

static int entry_see(void *ctx, const uint8_t *entry, size_t bytes)
{
    struct seen *seen = ctx;

    for (size_t i = 1; i < bytes; i++)
        if (entry[i] != entry[0])
            return -EBADMSG;
    seen->first[seen->count++] = entry[0];
    return 0;
}

struct fixture {
    char directory[64], path[512];
    struct gx_journal_file file;
    struct seen seen;
    uint64_t count, torn_bytes;
};

static int reopen(struct fixture *f)
{
    memset(&f->seen, 0, sizeof(f->seen));
    return gx_journal_file_open(&f->file, f->path, entry_see, &f->seen, &f->count, &f->torn_bytes);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->directory, "/tmp/gx-journal-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof(f->path), "%s/journal-0.log", f->directory);
    *state = f;
    return reopen(f);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    gx_journal_file_close(&f->file);
    unlink(f->path);
    rmdir(f->directory);
    free(f);
    return 0;
}

static int append(struct fixture *f, uint8_t first, uint32_t count)
{
    uint8_t bytes[8][100];
    struct gx_journal_slice slices[8];

    for (uint32_t i = 0; i < count; i++) {
        memset(bytes[i], first + (int)i, sizeof(bytes[i]));
        slices[i] = (struct gx_journal_slice){bytes[i], 50u + i};
    }
    return gx_journal_file_append(&f->file, slices, count);
}

static void size_is(const struct fixture *f, off_t bytes)
{
    struct stat status;

    assert_int_equal(stat(f->path, &status), 0);
    assert_int_equal(status.st_size, bytes);
}

static void test_entries_come_back_in_order(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(f->count, 0);
    assert_int_equal(append(f, 1, 1), 0);
    assert_int_equal(append(f, 2, 3), 0);
    gx_journal_file_close(&f->file);
    assert_int_equal(reopen(f), 0);
    assert_int_equal(f->count, 4);
    assert_int_equal(f->torn_bytes, 0);
    assert_memory_equal(f->seen.first, "\1\2\3\4", 4);
    assert_int_equal(append(f, 5, 1), 0);
    gx_journal_file_close(&f->file);
    assert_int_equal(reopen(f), 0);
    assert_int_equal(f->count, 5);
}

/* A crash may leave any prefix of the last write. */
static void test_every_torn_tail_is_cut(void **state)
{
    struct fixture *f = *state;
    off_t good = 4 + 50, full = good + 4 + 50;

    assert_int_equal(append(f, 1, 1), 0);
    for (off_t cut = good + 1; cut < full; cut++) {
        assert_int_equal(append(f, 2, 1), 0);
        gx_journal_file_close(&f->file);
        assert_int_equal(truncate(f->path, cut), 0);
        assert_int_equal(reopen(f), 0);
        assert_int_equal(f->count, 1);
        assert_int_equal(f->torn_bytes, cut - good);
        size_is(f, good);
    }
}

static void damaged(struct fixture *f, off_t at, uint32_t value)
{
    int fd = open(f->path, O_WRONLY);

    assert_int_equal(pwrite(fd, &value, sizeof(value), at), sizeof(value));
    close(fd);
}

static void test_bad_entry_and_bad_length_end_the_log(void **state)
{
    static const uint32_t lengths[] = {0, 4097, UINT32_MAX};
    struct fixture *f = *state;
    off_t good = 4 + 50;

    assert_int_equal(append(f, 1, 1), 0);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        assert_int_equal(append(f, 2, 1), 0);
        damaged(f, good, lengths[i]);
        gx_journal_file_close(&f->file);
        assert_int_equal(reopen(f), 0);
        assert_int_equal(f->count, 1);
        size_is(f, good);
    }
    assert_int_equal(append(f, 2, 1), 0);
    damaged(f, good + 10, 0x12345678);
    gx_journal_file_close(&f->file);
    assert_int_equal(reopen(f), 0);
    assert_int_equal(f->count, 1);
    size_is(f, good);
}

/* RLIMIT_FSIZE stands for a full disk. */
static void test_damage_before_more_than_one_batch_is_refused_and_nothing_is_cut(void **state)
{
    struct fixture *f = *state;
    static uint8_t big[4096];
    struct gx_journal_slice slices[GX_JOURNAL_BATCH_MAX];
    struct stat before, after;

    memset(big, 7, sizeof(big));
    for (uint32_t i = 0; i < GX_JOURNAL_BATCH_MAX; i++)
        slices[i] = (struct gx_journal_slice){big, sizeof(big)};
    assert_int_equal(append(f, 1, 1), 0);
    assert_int_equal(gx_journal_file_append(&f->file, slices, 2), 0);
    assert_int_equal(gx_journal_file_append(&f->file, slices, GX_JOURNAL_BATCH_MAX), 0);
    gx_journal_file_close(&f->file);
    damaged(f, 4 + 50 + 4 + 100, 0); /* in the second entry, acknowledged long ago */
    assert_int_equal(stat(f->path, &before), 0);
    assert_int_equal(reopen(f), -EBADMSG);
    assert_int_equal(f->count, 1);
    assert_int_equal(stat(f->path, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
}

static void test_failed_append_leaves_nothing_and_may_be_repeated(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit, small;

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(append(f, 1, 1), 0);
    getrlimit(RLIMIT_FSIZE, &limit);
    small = limit;
    small.rlim_cur = 54 + 70; /* the first of three entries fits, the second in part */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(append(f, 2, 3), -EFBIG);
    assert_int_equal(append(f, 2, 3), -EFBIG);
    assert_int_equal(f->file.durable_bytes, 54);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(append(f, 2, 3), 0);
    gx_journal_file_close(&f->file);
    assert_int_equal(reopen(f), 0);
    assert_int_equal(f->count, 4);
    assert_memory_equal(f->seen.first, "\1\2\3\4", 4);
}

static void test_closed_file_does_not_pretend(void **state)
{
    struct fixture *f = *state;

    gx_journal_file_close(&f->file);
    assert_int_equal(append(f, 1, 1), -EBADF);
    assert_int_equal(reopen(f), 0);
    assert_int_equal(f->count, 0);
}

static void test_name_depends_on_the_sites_and_their_order(void **state)
{
    struct gx_config config = {.site_count = 2};
    char ab[256], ba[256], again[256], joined[256];

    (void)state;
    strcpy(config.sites[0].name, "a");
    strcpy(config.sites[1].name, "b");
    gx_journal_file_path(ab, sizeof(ab), "/s", &config);
    gx_journal_file_path(again, sizeof(again), "/s", &config);
    strcpy(config.sites[0].name, "b");
    strcpy(config.sites[1].name, "a");
    gx_journal_file_path(ba, sizeof(ba), "/s", &config);
    config.site_count = 1;
    strcpy(config.sites[0].name, "ab");
    gx_journal_file_path(joined, sizeof(joined), "/s", &config);
    assert_string_equal(ab, again);
    assert_string_not_equal(ab, ba);
    assert_string_not_equal(ab, joined);
    assert_int_equal(strlen(ab), strlen("/s/journal-01234567.log"));
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_entries_come_back_in_order),
        CASE(test_every_torn_tail_is_cut),
        CASE(test_damage_before_more_than_one_batch_is_refused_and_nothing_is_cut),
        CASE(test_bad_entry_and_bad_length_end_the_log),
        CASE(test_failed_append_leaves_nothing_and_may_be_repeated),
        CASE(test_closed_file_does_not_pretend),
        cmocka_unit_test(test_name_depends_on_the_sites_and_their_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
