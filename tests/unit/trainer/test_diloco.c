/* trainer/diloco.c against a scripted libgx. Most tests train on a device that takes 1 from every parameter in each
 * step, so that what must come out is plain arithmetic. */
#include "fixture.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>

#include "diloco.h"
#include "fake_gx.h"
#include "outer.h"

#define STEPS 5u /* fixture_options(): inner steps, rounds, tokens in an inner step */
#define ROUNDS 4u
#define STEP_TOKENS (4u * 8u)
#define ROUND_TOKENS (STEPS * STEP_TOKENS)

/* ---- the device ---- */

struct countdown {
    uint64_t count;
    float *arrays[GX_DEVICE_ARRAY_COUNT];
};

static uint64_t device_steps;
static float step_size;

static void countdown_destroy(void *state)
{
    struct countdown *c = state;
    for (int i = 0; c && i < GX_DEVICE_ARRAY_COUNT; i++)
        free(c->arrays[i]);
    free(c);
}

static int countdown_create(const struct gx_gpt2 *model, const struct gx_device_config *config,
                            void **out)
{
    (void)config;
    struct countdown *c = calloc(1, sizeof(*c));
    c->count = model->param_count;
    for (int i = 0; i < GX_DEVICE_ARRAY_COUNT; i++)
        c->arrays[i] = calloc(c->count, sizeof(float));
    *out = c;
    return 0;
}

static int countdown_step(void *state, const uint16_t *inputs, const uint16_t *targets, float lr,
                          uint64_t update, float *loss)
{
    struct countdown *c = state;
    (void)inputs, (void)targets, (void)lr, (void)update;
    for (uint64_t i = 0; i < c->count; i++)
        c->arrays[GX_PARAMS][i] -= step_size;
    device_steps++;
    *loss = 1.0f;
    return 0;
}

/* The loss is the first parameter: the log shows on which parameters it was validated. */
static int countdown_eval(void *state, const uint16_t *inputs, const uint16_t *targets, float *loss)
{
    struct countdown *c = state;
    (void)inputs, (void)targets;
    *loss = c->arrays[GX_PARAMS][0];
    return 0;
}

static int countdown_get(void *state, enum gx_device_array array, float *dst)
{
    struct countdown *c = state;
    memcpy(dst, c->arrays[array], c->count * sizeof(float));
    return 0;
}

static int countdown_set(void *state, enum gx_device_array array, const float *src)
{
    struct countdown *c = state;
    memcpy(c->arrays[array], src, c->count * sizeof(float));
    return 0;
}

static const struct gx_device countdown_device = {
    .name = "countdown",
    .create = countdown_create,
    .destroy = countdown_destroy,
    .step = countdown_step,
    .eval = countdown_eval,
    .get = countdown_get,
    .set = countdown_set,
};

/* ---- scripts ---- */

static uint32_t plan[ROUNDS + 2]; /* the event of each round; 0 is MEMBER */
static float left_out_result;

static bool offered_open(const struct gx *gx)
{
    return gx->offer_count > 0 && gx->offers[gx->offer_count - 1].round == gx->published + 1;
}

/* Ends the open round as a run of two sites with equal contributions would, or without this one. */
static int end_round(struct gx *gx, struct gx_event *event, uint32_t type)
{
    *event = (struct gx_event){.type = type, .round = gx->published + 1, .sent_bytes = 1000};
    event->cohort = type == GX_EVENT_MEMBER ? 3 : type == GX_EVENT_LEFT_OUT ? 2 : 0;
    event->divisor = type == GX_EVENT_VOID ? 0 : 77;
    event->sent_bytes = 1000 * event->round;
    for (uint64_t i = 0; i < gx->count; i++)
        gx->result[i] =
            type == GX_EVENT_MEMBER ? gx->offers[gx->offer_count - 1].delta[i] : left_out_result;
    return 0;
}

static int follow_plan(struct gx *gx, struct gx_event *event)
{
    if (!offered_open(gx))
        return -ETIMEDOUT;
    return end_round(gx, event, plan[gx->published + 1]);
}

static int set_up(void **state)
{
    memset(plan, 0, sizeof(plan));
    memset(&fake_setup, 0, sizeof(fake_setup));
    left_out_result = 2.0f;
    fake_wait = follow_plan;
    device_steps = 0;
    step_size = 1.0f;
    return fixture_setup(state);
}

static int tear_down(void **state)
{
    fake_free();
    return fixture_teardown(state);
}

static struct gx_failure failure;
static bool gxd_missing;

static int run_with(const struct fixture *f, const struct gx_train_options *options,
                    const struct gx_device *device)
{
    static struct gx_train t;
    int rc = gx_train_init(&t, options, device, NULL, f->table);
    if (rc == 0)
        rc = gx_diloco_run(&t);
    failure = t.failure;
    gxd_missing = t.gxd_missing;
    gx_train_fini(&t);
    return rc;
}

static int run(const struct fixture *f)
{
    struct gx_train_options o = fixture_options(f);
    o.socket_path = "/nowhere";
    o.json_path = f->json_path;
    return run_with(f, &o, &countdown_device);
}

static void expect_offer(uint32_t idx, uint64_t round, uint64_t weight, double delta)
{
    assert_true(idx < fake_last->offer_count);
    const struct fake_offer *o = &fake_last->offers[idx];
    if (o->round != round || o->weight != weight)
        fail_msg("offer %u: round %llu, weight %llu", idx, (unsigned long long)o->round,
                 (unsigned long long)o->weight);
    for (uint64_t i = 0; i < fake_last->count; i++)
        if (!(fabs((double)o->delta[i] - delta) < 1e-4))
            fail_msg("offer %u: delta %g, not %g", idx, (double)o->delta[i], delta);
}

/* What theta has moved by since the start, the same for every parameter; theta0 comes from the seed. */
static void expect_moved(const struct fixture *f, double by)
{
    const struct gx_train_options o = fixture_options(f);
    struct gx_gpt2 model;
    assert_int_equal(gx_gpt2_init(&model, &o.model, &failure), 0);
    float *start = calloc(model.param_count, sizeof(float));
    gx_gpt2_randomize(&model, start, o.seed);
    for (uint64_t i = 0; i < model.param_count; i++) {
        double moved = (double)fake_last->theta[i] - (double)start[i];
        if (!(fabs(moved - by) < 1e-3))
            fail_msg("parameter %llu moved by %g, not %g", (unsigned long long)i, moved, by);
    }
    free(start);
}

/* The log's idx'th round. The caller frees it. */
static json_t *logged(const struct fixture *f, size_t idx)
{
    FILE *file = fopen(f->json_path, "r");
    char line[8192];
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        json_t *o = json_loads(line, 0, NULL);
        assert_non_null(o);
        bool round = strcmp(json_string_value(json_object_get(o, "type")), "round") == 0;
        if (round && idx-- == 0) {
            fclose(file);
            return o;
        }
        json_decref(o);
    }
    fclose(file);
    fail_msg("the log has too few rounds");
    return NULL;
}

/* ---- rounds ---- */

static void members_take_the_outer_step(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f), 0);
    assert_int_equal(fake_last->offer_count, ROUNDS);
    for (uint32_t i = 0; i < ROUNDS; i++)
        expect_offer(i, i + 1, ROUND_TOKENS, STEPS);
    assert_int_equal(fake_last->publishes, ROUNDS + 1);
    assert_int_equal(fake_last->published, ROUNDS);
    double theta = 0, v = 0;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        v = 0.9 * v + STEPS;
        theta -= 0.7 * (STEPS + 0.9 * v);
    }
    expect_moved(f, theta);
}

static void a_site_that_is_left_out_keeps_its_work(void **state)
{
    struct fixture *f = *state;
    plan[1] = GX_EVENT_LEFT_OUT;
    assert_int_equal(run(f), 0);
    expect_offer(0, 1, ROUND_TOKENS, STEPS);
    expect_offer(1, 2, 2 * ROUND_TOKENS, 2 * STEPS);
    expect_offer(2, 3, ROUND_TOKENS, STEPS);
}

static void a_site_that_is_left_out_takes_the_outer_step(void **state)
{
    struct fixture *f = *state;
    for (uint32_t r = 1; r <= ROUNDS; r++)
        plan[r] = GX_EVENT_LEFT_OUT;
    assert_int_equal(run(f), 0);
    double theta = 0, v = 0;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        v = 0.9 * v + 2;
        theta -= 0.7 * (2 + 0.9 * v);
    }
    expect_moved(f, theta);
    expect_offer(3, 4, 4 * ROUND_TOKENS, 4 * STEPS);
}

static void a_void_round_changes_nothing_and_counts(void **state)
{
    struct fixture *f = *state;
    plan[1] = plan[2] = GX_EVENT_VOID;
    plan[3] = plan[4] = GX_EVENT_VOID;
    assert_int_equal(run(f), 0);
    assert_int_equal(fake_last->publishes, ROUNDS + 1);
    expect_moved(f, 0);
    expect_offer(1, 2, 2 * ROUND_TOKENS, 2 * STEPS);
    expect_offer(2, 3, 3 * ROUND_TOKENS, 3 * STEPS);
}

/* Round 1 ends while this site is still in its inner steps. */
static int left_out_early(struct gx *gx, struct gx_event *event)
{
    if (gx->published == 0)
        return device_steps == 3 ? end_round(gx, event, GX_EVENT_LEFT_OUT) : -ETIMEDOUT;
    return follow_plan(gx, event);
}

static void a_round_may_end_before_the_offer(void **state)
{
    struct fixture *f = *state;
    fake_wait = left_out_early;
    assert_int_equal(run(f), 0);
    assert_int_equal(fake_last->offer_count, ROUNDS - 1);
    expect_offer(0, 2, ROUND_TOKENS, STEPS); /* 3 steps of round 1, 2 more */
    expect_offer(1, 3, ROUND_TOKENS, STEPS);
}

static int repeat_old_rounds(struct gx *gx, struct gx_event *event)
{
    static uint32_t calls;
    if (gx->published > 0 && calls++ % 2 == 0) {
        *event = (struct gx_event){.type = GX_EVENT_MEMBER, .round = gx->published};
        return 0;
    }
    return follow_plan(gx, event);
}

static void a_round_that_was_applied_is_not_applied_again(void **state)
{
    struct fixture *f = *state;
    fake_wait = repeat_old_rounds;
    assert_int_equal(run(f), 0);
    assert_int_equal(fake_last->publishes, ROUNDS + 1);
}

/* ---- behind ---- */

static uint32_t behind_after_steps;

static int behind_then_state(struct gx *gx, struct gx_event *event)
{
    static uint32_t waits;
    if (gx->published == 0 && !gx->state_is_gxd) {
        if (device_steps != behind_after_steps || (device_steps == STEPS && !offered_open(gx)))
            return -ETIMEDOUT;
        gx->state_is_gxd = true;
        waits = 0;
        *event = (struct gx_event){.type = GX_EVENT_BEHIND, .round = 1};
        return 0;
    }
    if (!gx->state_is_gxd)
        return follow_plan(gx, event);
    if (waits++ < 3)
        return -ETIMEDOUT;
    assert_int_equal(device_steps, behind_after_steps);
    for (uint64_t i = 0; i < gx->count; i++) {
        gx->theta[i] = 100.0f;
        gx->momentum[i] = 0.0f;
    }
    gx->state_is_gxd = false;
    gx->published = 2;
    *event = (struct gx_event){.type = GX_EVENT_STATE, .round = 2};
    return 0;
}

static void expect_adopted(const struct fixture *f)
{
    assert_int_equal(fake_last->published, ROUNDS);
    uint32_t first = fake_last->offer_count - 2;
    expect_offer(first, 3, ROUND_TOKENS, STEPS);
    expect_offer(first + 1, 4, ROUND_TOKENS, STEPS);
    assert_int_equal(fake_last->publishes, 1 + 2); /* the adopted state counts as published */
    json_t *o = logged(f, 1);
    assert_string_equal(json_string_value(json_object_get(o, "outcome")), "fetched");
    assert_int_equal(json_integer_value(json_object_get(o, "round")), 2);
    assert_true(json_number_value(json_object_get(o, "val_loss")) == 100.0);
    json_decref(o);
}

static void a_site_behind_after_its_offer_adopts_the_state(void **state)
{
    struct fixture *f = *state;
    fake_wait = behind_then_state;
    behind_after_steps = STEPS;
    assert_int_equal(run(f), 0);
    assert_int_equal(fake_last->offer_count, 3);
    expect_adopted(f);
}

static void a_site_behind_in_its_inner_steps_stops_at_once(void **state)
{
    struct fixture *f = *state;
    fake_wait = behind_then_state;
    behind_after_steps = 2;
    assert_int_equal(run(f), 0);
    assert_int_equal(fake_last->offer_count, 2);
    assert_int_equal(device_steps, 2 + 2 * STEPS);
    expect_adopted(f);
}

static int state_of_the_last_round(struct gx *gx, struct gx_event *event)
{
    gx->published = ROUNDS;
    *event = (struct gx_event){.type = GX_EVENT_STATE, .round = ROUNDS};
    return 0;
}

static void a_state_of_the_last_round_ends_the_run(void **state)
{
    struct fixture *f = *state;
    fake_wait = state_of_the_last_round;
    assert_int_equal(run(f), 0);
    assert_int_equal(fake_last->offer_count, 0);
}

/* ---- gxd comes and goes ---- */

static uint64_t gone_at_steps;
static bool went;

static int gone_once(struct gx *gx, struct gx_event *event)
{
    if (!went && device_steps == gone_at_steps) {
        went = true;
        gx->gone = true;
        gx->reattach_failures = 1;
        return -EPIPE;
    }
    return follow_plan(gx, event);
}

static void a_dead_gxd_is_waited_for_and_the_offer_stands(void **state)
{
    struct fixture *f = *state;
    fake_wait = gone_once;
    gone_at_steps = 2 * STEPS;
    went = false;
    assert_int_equal(run(f), 0);
    assert_int_equal(fake_last->reattaches, 2);
    assert_int_equal(fake_last->publishes, ROUNDS + 1);
    for (uint32_t i = 0; i < ROUNDS; i++)
        expect_offer(i, i + 1, ROUND_TOKENS, STEPS);
}

static void inner_steps_go_on_without_gxd(void **state)
{
    struct fixture *f = *state;
    fake_wait = gone_once;
    gone_at_steps = STEPS + 1;
    went = false;
    assert_int_equal(run(f), 0);
    assert_int_equal(device_steps, ROUNDS * STEPS);
    assert_int_equal(fake_last->published, ROUNDS);
}

static void no_gxd_at_the_start_is_told(void **state)
{
    struct fixture *f = *state;
    fake_setup.refuse_attach = true;
    assert_int_equal(run(f), -ECONNREFUSED);
    assert_true(gxd_missing);
    assert_non_null(strstr(failure.text, "the fake gxd says so"));
}

static void a_busy_registration_is_tried_again(void **state)
{
    struct fixture *f = *state;
    fake_setup.register_failures = 1;
    assert_int_equal(run(f), 0);
}

static void a_busy_buffer_is_waited_for(void **state)
{
    struct fixture *f = *state;
    fake_setup.busy = 3;
    assert_int_equal(run(f), 0);
    assert_int_equal(fake_last->offer_count, ROUNDS);
}

static void a_full_command_ring_is_waited_for(void **state)
{
    struct fixture *f = *state;
    fake_setup.full = STEPS + 3;
    assert_int_equal(run(f), 0);
    assert_int_equal(fake_last->publishes, ROUNDS + 1);
    expect_offer(0, 1, ROUND_TOKENS, STEPS);
}

/* ---- refusals ---- */

static uint32_t refusal;
static uint32_t refusals;

static int refuse_first(struct gx *gx, struct gx_event *event)
{
    if (offered_open(gx) && refusals > 0) {
        refusals--;
        *event = (struct gx_event){.type = GX_EVENT_REFUSED, .round = 1, .reason = refusal};
        return 0;
    }
    return refusals == 0 && refusal == GX_REASON_ROUND && gx->offer_count == 1
               ? -ETIMEDOUT /* nothing happens until it is offered again */
               : follow_plan(gx, event);
}

static void a_refusal_for_the_round_is_waited_out(void **state)
{
    struct fixture *f = *state;
    fake_wait = refuse_first;
    refusal = GX_REASON_ROUND;
    refusals = 1;
    assert_int_equal(run(f), 0);
    assert_int_equal(fake_last->offer_count, ROUNDS + 1);
    expect_offer(1, 1, ROUND_TOKENS, STEPS);
}

static void other_recorded_bytes_are_waited_out(void **state)
{
    struct fixture *f = *state;
    fake_wait = refuse_first;
    refusal = GX_REASON_OTHER_BYTES;
    refusals = 1;
    assert_int_equal(run(f), 0);
    assert_int_equal(fake_last->offer_count, ROUNDS);
}

static void any_other_refusal_ends_the_run_with_its_reason(void **state)
{
    struct fixture *f = *state;
    fake_wait = refuse_first;
    refusal = GX_REASON_CHANGED;
    refusals = 1;
    assert_int_equal(run(f), -EPROTO);
    assert_non_null(strstr(failure.text, gx_reason_text(GX_REASON_CHANGED)));
}

static void a_pseudo_gradient_that_is_not_finite_ends_the_run(void **state)
{
    struct fixture *f = *state;
    step_size = NAN;
    assert_int_equal(run(f), -EDOM);
    assert_non_null(strstr(failure.text, "not finite"));
    assert_int_equal(fake_last->offer_count, 0);
}

/* ---- log and checkpoint ---- */

static void a_round_is_logged_with_cohort_and_digest(void **state)
{
    struct fixture *f = *state;
    plan[2] = GX_EVENT_LEFT_OUT;
    assert_int_equal(run(f), 0);
    json_t *o = logged(f, 2);
    assert_string_equal(json_string_value(json_object_get(o, "outcome")), "left_out");
    json_t *cohort = json_object_get(o, "cohort");
    assert_int_equal(json_array_size(cohort), 1);
    assert_string_equal(json_string_value(json_array_get(cohort, 0)), "b");
    assert_int_equal(json_integer_value(json_object_get(o, "divisor")), 77);
    assert_int_equal(json_integer_value(json_object_get(o, "sent_bytes")), 1000);
    assert_int_equal(json_integer_value(json_object_get(o, "sent_bytes_total")), 2000);
    json_decref(o);
    o = logged(f, ROUNDS);
    char digest[GX_OUTER_DIGEST_CHARS];
    gx_outer_digest(digest, fake_last->theta, fake_last->momentum, fake_last->count);
    assert_string_equal(json_string_value(json_object_get(o, "digest")), digest);
    assert_int_equal(json_array_size(json_object_get(o, "cohort")), 2);
    json_decref(o);
}

/* The validation loss of this device is the first parameter's value: it must be the shared one. */
static void the_shared_parameters_are_validated(void **state)
{
    struct fixture *f = *state;
    plan[4] = GX_EVENT_LEFT_OUT;
    assert_int_equal(run(f), 0);
    json_t *o = logged(f, 4);
    double loss = json_number_value(json_object_get(o, "val_loss"));
    assert_true(fabs(loss - (double)fake_last->theta[0]) < 1e-5);
    json_decref(o);
}

static uint64_t steps_left;
static struct gx_device dying;

static int step_then_die(void *state, const uint16_t *inputs, const uint16_t *targets, float lr,
                         uint64_t update, float *loss)
{
    if (steps_left-- == 0)
        return -EIO;
    return gx_cpu_device.step(state, inputs, targets, lr, update, loss);
}

/* On the real device: killed in round 3, after one round in which it was left out. */
static void a_resumed_site_ends_bit_equal(void **state)
{
    struct fixture *f = *state;
    struct gx_train_options o = fixture_options(f);
    o.socket_path = "/nowhere";
    plan[2] = GX_EVENT_LEFT_OUT;
    left_out_result = 0.001f;
    assert_int_equal(run_with(f, &o, &gx_cpu_device), 0);
    char whole[GX_OUTER_DIGEST_CHARS], resumed[GX_OUTER_DIGEST_CHARS];
    gx_outer_digest(whole, fake_last->theta, fake_last->momentum, fake_last->count);

    o.checkpoint_path = f->checkpoint_path;
    dying = gx_cpu_device;
    dying.step = step_then_die;
    steps_left = 2 * STEPS + 2;
    assert_int_equal(run_with(f, &o, &dying), -EIO);
    assert_int_equal(run_with(f, &o, &gx_cpu_device), 0);
    assert_int_equal(fake_last->publishes, 3); /* 2 from the checkpoint, then 3 and 4 */
    assert_int_equal(fake_last->offers[0].round, 3);
    assert_int_equal(fake_last->offers[0].weight, 2 * ROUND_TOKENS); /* with what round 2 left */
    assert_int_equal(fake_last->offers[1].weight, ROUND_TOKENS);
    gx_outer_digest(resumed, fake_last->theta, fake_last->momentum, fake_last->count);
    assert_string_equal(whole, resumed);
}

/* With an outer step of 1 and no momentum one site's DiLoCo is training alone, but for rounding. */
static void one_site_alone_in_a_run_trains_as_alone(void **state)
{
    struct fixture *f = *state;
    struct gx_train_options o = fixture_options(f);
    static struct gx_train alone;
    assert_int_equal(gx_train_init(&alone, &o, &gx_cpu_device, NULL, f->table), 0);
    assert_int_equal(gx_train_alone(&alone), 0);
    o.socket_path = "/nowhere";
    o.outer_lr = 1.0f;
    o.outer_momentum = 0.0f;
    assert_int_equal(run_with(f, &o, &gx_cpu_device), 0);
    for (uint64_t i = 0; i < fake_last->count; i++)
        assert_true(fabs((double)alone.params[i] - (double)fake_last->theta[i]) < 1e-3);
    gx_train_fini(&alone);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(members_take_the_outer_step),
        TEST(a_site_that_is_left_out_keeps_its_work),
        TEST(a_site_that_is_left_out_takes_the_outer_step),
        TEST(a_void_round_changes_nothing_and_counts),
        TEST(a_round_may_end_before_the_offer),
        TEST(a_round_that_was_applied_is_not_applied_again),
        TEST(a_site_behind_after_its_offer_adopts_the_state),
        TEST(a_site_behind_in_its_inner_steps_stops_at_once),
        TEST(a_state_of_the_last_round_ends_the_run),
        TEST(a_dead_gxd_is_waited_for_and_the_offer_stands),
        TEST(inner_steps_go_on_without_gxd),
        TEST(no_gxd_at_the_start_is_told),
        TEST(a_busy_registration_is_tried_again),
        TEST(a_busy_buffer_is_waited_for),
        TEST(a_full_command_ring_is_waited_for),
        TEST(a_refusal_for_the_round_is_waited_out),
        TEST(other_recorded_bytes_are_waited_out),
        TEST(any_other_refusal_ends_the_run_with_its_reason),
        TEST(a_pseudo_gradient_that_is_not_finite_ends_the_run),
        TEST(a_round_is_logged_with_cohort_and_digest),
        TEST(the_shared_parameters_are_validated),
        TEST(a_resumed_site_ends_bit_equal),
        TEST(one_site_alone_in_a_run_trains_as_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
