/* trainer/train.c: training alone, from the options to the log, through the CPU device. */
#include "fixture.h"

#include <errno.h>
#include <jansson.h>

#include "sample.h"

/* The CPU device, but it dies after some steps, as a process may. */
static uint64_t steps_left;
static struct gx_device dying;

static int step_then_die(void *state, const uint16_t *inputs, const uint16_t *targets, float lr,
                         uint64_t update, float *loss)
{
    if (steps_left-- == 0)
        return -EIO;
    return gx_cpu_device.step(state, inputs, targets, lr, update, loss);
}

/* Trains to the end; the final parameters go to *params, which the caller frees. */
static int train(const struct fixture *f, const struct gx_train_options *options,
                 const struct gx_device *device, float **params, struct gx_failure *failure)
{
    static struct gx_train t;
    int rc = gx_train_init(&t, options, device, NULL, f->table);
    if (rc == 0)
        rc = gx_train_alone(&t);
    if (rc == 0)
        rc = gx_train_finish(&t);
    if (rc == 0) {
        *params = calloc(t.model.param_count, sizeof(float));
        rc = device->get(t.device_state, GX_PARAMS, *params);
    }
    *failure = t.failure;
    gx_train_fini(&t);
    return rc;
}

static uint64_t param_count(const struct gx_train_options *options)
{
    struct gx_gpt2 model;
    struct gx_failure failure;
    assert_int_equal(gx_gpt2_init(&model, &options->model, &failure), 0);
    return model.param_count;
}

/* The log's objects of type "round". */
static json_t *read_rounds(const char *path)
{
    json_t *rounds = json_array();
    FILE *file = fopen(path, "r");
    char line[8192];
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        json_error_t error;
        json_t *o = json_loads(line, 0, &error);
        if (!o)
            fail_msg("not JSON: %s", line);
        if (strcmp(json_string_value(json_object_get(o, "type")), "round") == 0)
            json_array_append_new(rounds, o);
        else
            json_decref(o);
    }
    fclose(file);
    return rounds;
}

static double number(const json_t *rounds, size_t idx, const char *key)
{
    json_t *value = json_object_get(json_array_get(rounds, idx), key);
    if (!json_is_number(value))
        fail_msg("round %zu has no number %s", idx, key);
    return json_number_value(value);
}

static void a_tiny_model_learns(void **state)
{
    struct fixture *f = *state;
    struct gx_train_options o = fixture_options(f);
    struct gx_failure failure;
    float *params;
    o.inner_steps = 60;
    o.json_path = f->json_path;
    o.sample_bytes = 20;
    assert_int_equal(train(f, &o, &gx_cpu_device, &params, &failure), 0);
    free(params);
    json_t *rounds = read_rounds(f->json_path);
    assert_int_equal(json_array_size(rounds), o.rounds + 1);
    assert_true(number(rounds, 0, "val_loss") > 5.3); /* about ln 256 */
    assert_true(number(rounds, o.rounds, "val_loss") < 1.5);
    assert_true(number(rounds, o.rounds, "inner_loss") < number(rounds, 1, "inner_loss"));
    json_decref(rounds);
}

static void a_round_is_logged_with_all_it_has(void **state)
{
    struct fixture *f = *state;
    struct gx_train_options o = fixture_options(f);
    struct gx_failure failure;
    float *params;
    o.json_path = f->json_path;
    assert_int_equal(train(f, &o, &gx_cpu_device, &params, &failure), 0);
    json_t *rounds = read_rounds(f->json_path);
    static const char *const keys[] = {"round",
                                       "steps",
                                       "inner_loss",
                                       "val_loss",
                                       "sent_bytes",
                                       "train_seconds",
                                       "tokens",
                                       "weight",
                                       "held_seconds",
                                       "tokens_per_second",
                                       "waited_seconds",
                                       "divisor",
                                       "lost_shards_total",
                                       "exchange_seconds",
                                       "expected_shards_total",
                                       "redundant_bytes_total",
                                       "sent_bytes_total"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        number(rounds, 1, keys[i]);
    assert_true(number(rounds, 2, "round") == 2 && number(rounds, 2, "steps") == 10);
    assert_true(number(rounds, 2, "tokens") == 5 * 4 * 8);
    char digest[GX_OUTER_DIGEST_CHARS];
    gx_outer_digest(digest, params, NULL, param_count(&o));
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(rounds, o.rounds), "digest")), digest);
    json_decref(rounds);
    free(params);
}

static void two_runs_on_one_thread_are_equal(void **state)
{
    struct fixture *f = *state;
    struct gx_train_options o = fixture_options(f);
    struct gx_failure failure;
    float *a, *b;
    assert_int_equal(train(f, &o, &gx_cpu_device, &a, &failure), 0);
    assert_int_equal(train(f, &o, &gx_cpu_device, &b, &failure), 0);
    assert_memory_equal(a, b, param_count(&o) * sizeof(float));
    free(b);
    o.seed++;
    assert_int_equal(train(f, &o, &gx_cpu_device, &b, &failure), 0);
    assert_memory_not_equal(a, b, param_count(&o) * sizeof(float));
    free(a);
    free(b);
}

static void a_resumed_run_ends_bit_equal(void **state)
{
    struct fixture *f = *state;
    struct gx_train_options o = fixture_options(f);
    struct gx_failure failure;
    float *whole, *resumed;
    assert_int_equal(train(f, &o, &gx_cpu_device, &whole, &failure), 0);

    o.checkpoint_path = f->checkpoint_path;
    dying = gx_cpu_device;
    dying.step = step_then_die;
    steps_left = 2 * o.inner_steps + 3; /* in the middle of round 3 */
    assert_int_equal(train(f, &o, &dying, &resumed, &failure), -EIO);
    assert_int_equal(train(f, &o, &gx_cpu_device, &resumed, &failure), 0);
    assert_memory_equal(whole, resumed, param_count(&o) * sizeof(float));
    free(whole);
    free(resumed);
}

static void a_finished_run_is_not_trained_further(void **state)
{
    struct fixture *f = *state;
    struct gx_train_options o = fixture_options(f);
    struct gx_failure failure;
    float *first, *second;
    o.checkpoint_path = f->checkpoint_path;
    assert_int_equal(train(f, &o, &gx_cpu_device, &first, &failure), 0);
    dying = gx_cpu_device;
    dying.step = step_then_die;
    steps_left = 0;
    assert_int_equal(train(f, &o, &dying, &second, &failure), 0);
    assert_memory_equal(first, second, param_count(&o) * sizeof(float));
    free(first);
    free(second);
}

static void a_corrupted_checkpoint_stops_the_run(void **state)
{
    struct fixture *f = *state;
    struct gx_train_options o = fixture_options(f);
    struct gx_failure failure;
    float *params;
    o.checkpoint_path = f->checkpoint_path;
    assert_int_equal(train(f, &o, &gx_cpu_device, &params, &failure), 0);
    free(params);
    FILE *file = fopen(f->checkpoint_path, "r+b");
    fseek(file, 1000, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, 1000, SEEK_SET);
    fputc(byte ^ 1, file);
    fclose(file);
    assert_int_equal(train(f, &o, &gx_cpu_device, &params, &failure), -EBADMSG);
    assert_non_null(strstr(failure.text, "corrupted"));
}

static void a_learning_rate_that_explodes_is_named(void **state)
{
    struct fixture *f = *state;
    struct gx_train_options o = fixture_options(f);
    struct gx_failure failure;
    float *params;
    o.lr = 1e30f;
    assert_int_equal(train(f, &o, &gx_cpu_device, &params, &failure), -EDOM);
    assert_non_null(strstr(failure.text, "--lr"));
}

static void more_threads_give_nearly_the_same(void **state)
{
    struct fixture *f = *state;
    struct gx_train_options o = fixture_options(f);
    struct gx_failure failure;
    float *one, *two;
    o.model.width = 64; /* large enough for gemm() to divide */
    o.model.context = 32;
    o.rounds = 1;
    assert_int_equal(train(f, &o, &gx_cpu_device, &one, &failure), 0);
    o.threads = 2;
    assert_int_equal(train(f, &o, &gx_cpu_device, &two, &failure), 0);
    for (uint64_t i = 0; i < param_count(&o); i++)
        assert_true(one[i] - two[i] < 1e-3f && two[i] - one[i] < 1e-3f);
    free(one);
    free(two);
}

static void a_sampled_token_follows_the_probabilities(void **state)
{
    (void)state;
    const float logits[] = {0.0f, 1.0986123f, -1000.0f, 0.0f}; /* 1 : 3 : 0 : 1 */
    assert_int_equal(gx_sample_token(logits, 4, 1.0, 0.0), 0);
    assert_int_equal(gx_sample_token(logits, 4, 1.0, 0.21), 1);
    assert_int_equal(gx_sample_token(logits, 4, 1.0, 0.79), 1);
    assert_int_equal(gx_sample_token(logits, 4, 1.0, 0.81), 3);
    assert_int_equal(gx_sample_token(logits, 4, 1.0, 0.9999999), 3);
}

static void the_rate_warms_up_and_falls(void **state)
{
    (void)state;
    const struct gx_schedule s = {1.0f, 10, 110};
    assert_true(gx_schedule_lr(&s, 0) == 0.1f);
    assert_true(gx_schedule_lr(&s, 9) == 1.0f);
    assert_true(gx_schedule_lr(&s, 10) == 1.0f);
    float half = gx_schedule_lr(&s, 60);
    assert_true(half > 0.549f && half < 0.551f);
    assert_true(gx_schedule_lr(&s, 109) < 0.101f);
    assert_true(gx_schedule_lr(&s, 110) == 0.1f && gx_schedule_lr(&s, 100000) == 0.1f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_tiny_model_learns),
        TEST(a_round_is_logged_with_all_it_has),
        TEST(two_runs_on_one_thread_are_equal),
        TEST(a_resumed_run_ends_bit_equal),
        TEST(a_finished_run_is_not_trained_further),
        TEST(a_corrupted_checkpoint_stops_the_run),
        TEST(a_learning_rate_that_explodes_is_named),
        TEST(more_threads_give_nearly_the_same),
        TEST(a_sampled_token_follows_the_probabilities),
        TEST(the_rate_warms_up_and_falls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
