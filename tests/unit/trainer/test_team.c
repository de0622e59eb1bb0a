/* trainer/team.c: several ranks as one device. Each rank is a thread of this process. */
#include "fixture.h"
#include "ranks_fixture.h"

#include <errno.h>
#include <math.h>

#include "team.h"

/* What the threads of a test get. */
struct run {
    struct gx_train_options options;
    const struct gx_device *device[RANKS_MAX];
    FILE *table;
    float *params; /* rank 0's at the end */
    double loss;   /* the last round's */
    struct gx_failure failure[RANKS_MAX];
};

static uint64_t param_count(const struct gx_train_options *options)
{
    struct gx_gpt2 model;
    struct gx_failure failure;
    assert_int_equal(gx_gpt2_init(&model, &options->model, &failure), 0);
    return model.param_count;
}

static int lead(struct run *run, struct gx_ranks *ranks)
{
    struct gx_train *t = calloc(1, sizeof(*t));
    int rc = gx_train_init(t, &run->options, run->device[0], ranks, run->table);
    if (rc == 0)
        rc = gx_train_alone(t);
    if (rc == 0)
        rc = gx_train_finish(t);
    if (rc == 0)
        rc = gx_train_validate(t, &run->loss);
    if (rc == 0)
        rc = t->device->get(t->device_state, GX_PARAMS, run->params);
    run->failure[0] = t->failure;
    if (rc != 0 && ranks)
        gx_ranks_abort(ranks, 1);
    gx_train_fini(t);
    free(t);
    return rc;
}

static void take_part(struct rank *r)
{
    struct run *run = r->argument;
    const uint32_t rank = r->ranks.rank;
    if (rank == 0) {
        r->rc = lead(run, &r->ranks);
        return;
    }
    const struct gx_device_config config = gx_train_device_config(&run->options);
    struct gx_gpt2 model;
    r->rc = gx_gpt2_init(&model, &run->options.model, &run->failure[rank]);
    if (r->rc == 0)
        r->rc = gx_team_serve(&r->ranks, run->device[rank], &model, &config, &run->failure[rank]);
    if (r->rc != 0)
        gx_ranks_abort(&r->ranks, 1);
}

static struct run prepare(const struct fixture *f)
{
    struct run run = {.options = fixture_options(f), .table = f->table};
    for (int i = 0; i < RANKS_MAX; i++)
        run.device[i] = &gx_cpu_device;
    run.params = calloc(param_count(&run.options), sizeof(float));
    return run;
}

static double largest_difference(const float *a, const float *b, uint64_t count)
{
    double largest = 0;
    for (uint64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)a[i] - (double)b[i]));
    return largest;
}

static void many_ranks_train_like_one(void **state)
{
    struct fixture *f = *state;
    struct run one = prepare(f);
    assert_int_equal(lead(&one, NULL), 0);
    for (uint32_t count = 2; count <= 4; count += 2) {
        struct run many = prepare(f);
        struct rank r[RANKS_MAX];
        ranks_run(r, count, take_part, &many);
        for (uint32_t i = 0; i < count; i++)
            if (r[i].rc != 0)
                fail_msg("rank %u of %u: %s", i, count, many.failure[i].text);
        const double far = largest_difference(one.params, many.params, param_count(&one.options));
        if (!(far < 2e-4) || !(fabs(one.loss - many.loss) < 1e-4))
            fail_msg("%u ranks: parameters differ by %g, losses %.6f and %.6f", count, far,
                     one.loss, many.loss);
        free(many.params);
    }
    free(one.params);
}

static void two_runs_of_the_same_ranks_are_equal(void **state)
{
    struct fixture *f = *state;
    struct run runs[2];
    for (int i = 0; i < 2; i++) {
        struct rank r[2];
        runs[i] = prepare(f);
        ranks_run(r, 2, take_part, &runs[i]);
        assert_int_equal(r[0].rc, 0);
    }
    assert_memory_equal(runs[0].params, runs[1].params,
                        param_count(&runs[0].options) * sizeof(float));
    free(runs[0].params);
    free(runs[1].params);
}

/* The CPU device, but it dies, as a process may. */
static uint64_t steps_left;

static int die_at_last(void *state, const uint16_t *inputs, const uint16_t *targets, float lr,
                       uint64_t update, float *loss)
{
    if (steps_left-- == 0)
        return -EIO;
    return gx_cpu_device.step(state, inputs, targets, lr, update, loss);
}

static void ranks_resume_bit_equal(void **state)
{
    struct fixture *f = *state;
    struct gx_device dying = gx_cpu_device;
    struct run whole = prepare(f), resumed = prepare(f);
    struct rank r[2];
    ranks_run(r, 2, take_part, &whole);
    assert_int_equal(r[0].rc, 0);

    resumed.options.checkpoint_path = f->checkpoint_path;
    dying.step = die_at_last;
    resumed.device[1] = &dying;
    steps_left = 2 * resumed.options.inner_steps + 3;
    ranks_run(r, 2, take_part, &resumed);
    assert_int_equal(r[0].rc, -ECONNRESET);
    assert_int_equal(r[1].rc, -EIO);
    assert_non_null(strstr(r[0].ranks.failure.text, "rank 1 is gone"));
    assert_non_null(strstr(resumed.failure[1].text, "inner step"));

    resumed.device[1] = &gx_cpu_device;
    ranks_run(r, 2, take_part, &resumed);
    assert_int_equal(r[0].rc, 0);
    assert_memory_equal(whole.params, resumed.params, param_count(&whole.options) * sizeof(float));
    free(whole.params);
    free(resumed.params);
}

/* The CPU device, but in one step one parameter comes out wrong. */
static uint64_t drift_count;

static int drift(void *state, const uint16_t *inputs, const uint16_t *targets, float lr,
                 uint64_t update, float *loss)
{
    int rc = gx_cpu_device.step(state, inputs, targets, lr, update, loss);
    float *params = calloc(drift_count, sizeof(*params));
    if (rc == 0 && update == 7) {
        gx_cpu_device.get(state, GX_PARAMS, params);
        params[drift_count / 2] += 1e-4f;
        gx_cpu_device.set(state, GX_PARAMS, params);
    }
    free(params);
    return rc;
}

static void parameters_that_drift_apart_are_found(void **state)
{
    struct fixture *f = *state;
    struct run run = prepare(f);
    struct gx_device drifting = gx_cpu_device;
    struct rank r[2];
    drifting.step = drift;
    drift_count = param_count(&run.options);
    run.device[1] = &drifting;
    ranks_run(r, 2, take_part, &run);
    assert_int_equal(r[0].rc, -EUCLEAN);
    assert_non_null(strstr(run.failure[0].text, "after inner step 10")); /* the round's last */
    assert_non_null(strstr(r[0].ranks.failure.text, "rank 1's parameters are not rank 0's"));
    free(run.params);
}

static void a_loss_that_is_not_finite_is_rank_0s_to_tell(void **state)
{
    struct fixture *f = *state;
    struct run run = prepare(f);
    struct rank r[2];
    run.options.lr = 1e30f;
    ranks_run(r, 2, take_part, &run);
    assert_int_equal(r[0].rc, -EDOM);
    assert_non_null(strstr(run.failure[0].text, "--lr"));
    assert_int_equal(r[1].rc, -ECONNRESET);
    free(run.params);
}

static void a_batch_that_cannot_be_divided_is_refused(void **state)
{
    struct fixture *f = *state;
    struct run run = prepare(f);
    struct rank r[3];
    ranks_run(r, 3, take_part, &run);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(r[i].rc, -EINVAL);
        assert_non_null(
            strstr(run.failure[i].text, "--batch 4: must be a multiple of the 3 ranks"));
    }
    free(run.params);
}

static void a_rank_with_other_options_is_refused(void **state)
{
    struct fixture *f = *state;
    struct run run = prepare(f);
    struct gx_device other = gx_cpu_device;
    struct rank r[2];
    other.name = "other";
    run.device[1] = &other;
    ranks_run(r, 2, take_part, &run);
    assert_int_equal(r[0].rc, -ECONNRESET);
    assert_int_equal(r[1].rc, -EINVAL);
    assert_non_null(strstr(run.failure[1].text, "other"));
    free(run.params);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(many_ranks_train_like_one),
        TEST(two_runs_of_the_same_ranks_are_equal),
        TEST(ranks_resume_bit_equal),
        TEST(parameters_that_drift_apart_are_found),
        TEST(a_loss_that_is_not_finite_is_rank_0s_to_tell),
        TEST(a_batch_that_cannot_be_divided_is_refused),
        TEST(a_rank_with_other_options_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
