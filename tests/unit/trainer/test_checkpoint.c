/* trainer/checkpoint.c */
#include "fixture.h"

#include <errno.h>
#include <sys/stat.h>

#include "checkpoint.h"
#include "philox.h"

#define COUNT 300u

static float arrays[5][COUNT];

static struct gx_checkpoint checkpoint(float a[5][COUNT])
{
    return (struct gx_checkpoint){
        .run = {.model = {256, 8, 1, 2, 16},
                .batch = 4,
                .shared = 1,
                .inner_steps = 5,
                .seed = 7,
                .data_count = 2000,
                .data_digest = 0x1234567890abcdef},
        .state = {.round = 3, .inner_done = 2, .steps = 17, .updates = 16, .weight = 999},
        .params = a[0],
        .moment1 = a[1],
        .moment2 = a[2],
        .theta = a[3],
        .momentum = a[4],
    };
}

static void write_one(const char *path)
{
    struct gx_failure failure;
    for (uint32_t i = 0; i < 5 * COUNT; i++)
        arrays[i / COUNT][i % COUNT] = gx_philox_normal(1, GX_PHILOX_INIT, i);
    const struct gx_checkpoint c = checkpoint(arrays);
    assert_int_equal(gx_checkpoint_write(path, &c, COUNT, &failure), 0);
}

static void refuse(const char *path, struct gx_checkpoint *c, int error, const char *word)
{
    struct gx_failure failure = {""};
    assert_int_equal(gx_checkpoint_read(path, c, COUNT, &failure), error);
    if (!strstr(failure.text, path) || !strstr(failure.text, word))
        fail_msg("'%s' names not both %s and %s", failure.text, path, word);
}

static void what_was_written_is_read(void **state)
{
    struct fixture *f = *state;
    static float back[5][COUNT];
    struct gx_failure failure;
    write_one(f->checkpoint_path);
    struct gx_checkpoint c = checkpoint(back);
    c.state = (struct gx_checkpoint_state){0};
    assert_int_equal(gx_checkpoint_read(f->checkpoint_path, &c, COUNT, &failure), 0);
    assert_memory_equal(arrays, back, sizeof(back));
    const struct gx_checkpoint want = checkpoint(back);
    assert_memory_equal(&c.state, &want.state, sizeof(c.state));
}

static void no_file_is_no_error_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct gx_checkpoint c = checkpoint(arrays);
    refuse(f->checkpoint_path, &c, -ENOENT, "No such file");
}

/* Every byte counts: wherever one changes, reading names it. */
static void any_flipped_byte_is_found(void **state)
{
    struct fixture *f = *state;
    static float back[5][COUNT];
    write_one(f->checkpoint_path);
    struct stat st;
    assert_int_equal(stat(f->checkpoint_path, &st), 0);
    FILE *file = fopen(f->checkpoint_path, "r+b");
    assert_non_null(file);
    for (long at = 0; at < st.st_size; at += at < 160 ? 1 : 97) {
        struct gx_failure failure;
        struct gx_checkpoint c = checkpoint(back);
        for (int undo = 0; undo < 2; undo++) {
            fseek(file, at, SEEK_SET);
            int byte = fgetc(file);
            fseek(file, at, SEEK_SET);
            fputc(byte ^ 0x40, file);
            fflush(file);
            int rc = gx_checkpoint_read(f->checkpoint_path, &c, COUNT, &failure);
            if ((rc == 0) != (undo == 1))
                fail_msg("byte %ld: %d", at, rc);
        }
    }
    fclose(file);
}

static void a_truncated_or_longer_file_is_named(void **state)
{
    struct fixture *f = *state;
    struct gx_checkpoint c = checkpoint(arrays);
    write_one(f->checkpoint_path);
    struct stat st;
    assert_int_equal(stat(f->checkpoint_path, &st), 0);
    assert_int_equal(truncate(f->checkpoint_path, st.st_size + 1), 0);
    refuse(f->checkpoint_path, &c, -EINVAL, "too long");
    assert_int_equal(truncate(f->checkpoint_path, st.st_size - 1), 0);
    refuse(f->checkpoint_path, &c, -EINVAL, "truncated");
    assert_int_equal(truncate(f->checkpoint_path, 50), 0);
    refuse(f->checkpoint_path, &c, -EINVAL, "truncated");
}

static void another_runs_checkpoint_is_named(void **state)
{
    struct fixture *f = *state;
    write_one(f->checkpoint_path);
    struct gx_checkpoint c = checkpoint(arrays);
    c.run.model.width = 32;
    refuse(f->checkpoint_path, &c, -EINVAL, "--width 16, this run says 32");
    c = checkpoint(arrays);
    c.run.seed = 8;
    refuse(f->checkpoint_path, &c, -EINVAL, "--seed 7");
    c = checkpoint(arrays);
    c.run.shared = 0;
    refuse(f->checkpoint_path, &c, -EINVAL, "made with -s");
    c = checkpoint(arrays);
    c.run.data_digest++;
    refuse(f->checkpoint_path, &c, -EINVAL, "other training tokens");
}

static void a_failed_write_leaves_the_old_file(void **state)
{
    struct fixture *f = *state;
    static float back[5][COUNT];
    char temporary[128];
    struct gx_failure failure;
    write_one(f->checkpoint_path);
    snprintf(temporary, sizeof(temporary), "%s.tmp", f->checkpoint_path);
    assert_int_equal(mkdir(temporary, 0700), 0); /* where the new one would be written */
    struct gx_checkpoint c = checkpoint(arrays);
    assert_int_equal(gx_checkpoint_write(f->checkpoint_path, &c, COUNT, &failure), -EISDIR);
    assert_non_null(strstr(failure.text, temporary));
    rmdir(temporary);
    c = checkpoint(back);
    assert_int_equal(gx_checkpoint_read(f->checkpoint_path, &c, COUNT, &failure), 0);
}

static void no_temporary_file_stays(void **state)
{
    struct fixture *f = *state;
    char temporary[128];
    write_one(f->checkpoint_path);
    snprintf(temporary, sizeof(temporary), "%s.tmp", f->checkpoint_path);
    assert_int_not_equal(access(temporary, F_OK), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_written_is_read),         TEST(no_file_is_no_error_of_its_own),
        TEST(any_flipped_byte_is_found),        TEST(a_truncated_or_longer_file_is_named),
        TEST(another_runs_checkpoint_is_named), TEST(a_failed_write_leaves_the_old_file),
        TEST(no_temporary_file_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
