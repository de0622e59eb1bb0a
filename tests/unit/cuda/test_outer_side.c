/* trainer/cuda/outer_side.c on the emulation, whose streams run in an order drawn by seed: the arena's bytes must be those
 * that trainer/outer.c and dataplane/format/ make on the host. Then whole runs by trainer/diloco.c. */
#include "../trainer/fixture.h"

#include <errno.h>
#include <math.h>

#include "../trainer/fake_gx.h"
#include "bits.h"
#include "cuda/state.h"
#include "diloco.h"
#include "outer.h"
#include "sanitized.h"
#include "simt/queue.h"

/* Orders of streams; with sanitizers, which make the emulation ten times slower, only so many that each case is met. */
#ifdef GX_SANITIZED
#define SEEDS 2u
#else
#define SEEDS 6u
#endif

static const struct gx_gpt2_config tiny = {
    .vocab = 33, .context = 8, .layers = 1, .heads = 1, .width = 32};

struct side {
    struct gx_gpt2 model;
    uint64_t count;
    void *state;
    char *arena;
    uint64_t arena_bytes;
    float *theta, *momentum, *mean;
    void *wire;
    float *params, *scratch;
};

static const struct gx_device *const device = &gx_cuda_device;
static const struct gx_device_outer *outer;

/* A model on the device whose theta differs from its parameters, in an arena. */
static void start(struct side *s, enum gx_precision precision, enum gx_outer_place place,
                  enum gx_format format)
{
    struct gx_failure failure;
    const struct gx_device_config config = {.batch = 2,
                                            .precision = precision,
                                            .outer = place,
                                            .format = format,
                                            .beta1 = 0.9f,
                                            .beta2 = 0.95f,
                                            .epsilon = 1e-8f,
                                            .clip_norm = 1.0f};
    outer = device->outer;
    assert_int_equal(gx_gpt2_init(&s->model, &tiny, &failure), 0);
    s->count = s->model.param_count;
    assert_int_equal(device->create(&s->model, &config, &s->state), 0);
    ((struct gx_cuda *)s->state)->piece_values = 4096; /* several pieces, and an odd last one */
    const uint64_t array = (s->count * 4 + 63) / 64 * 64;
    s->arena_bytes = (4 * array + 4095) / 4096 * 4096;
    s->arena = aligned_alloc(4096, s->arena_bytes);
    s->params = calloc(s->count, sizeof(float));
    s->scratch = calloc(s->count, sizeof(float));
    assert_true(s->arena && s->params && s->scratch);
    s->theta = (float *)(void *)s->arena;
    s->momentum = (float *)(void *)(s->arena + array);
    s->mean = (float *)(void *)(s->arena + 2 * array);
    s->wire = s->arena + 3 * array;
    gx_gpt2_randomize(&s->model, s->params, 1);
    gx_gpt2_randomize(&s->model, s->theta, 2);
    gx_gpt2_randomize(&s->model, s->momentum, 3);
    gx_gpt2_randomize(&s->model, s->mean, 4);
    const struct gx_device_arena arena = {s->arena, s->arena_bytes, s->theta, s->momentum};
    assert_int_equal(outer->attach(s->state, &arena), 0);
    assert_int_equal(outer->load(s->state), 0);
    assert_int_equal(device->set(s->state, GX_PARAMS, s->params), 0);
}

static void end(struct side *s)
{
    outer->detach(s->state);
    device->destroy(s->state);
    free(s->arena);
    free(s->params);
    free(s->scratch);
    assert_int_equal(gx_simt_bytes(), 0);
}

static void step(struct side *s, uint64_t update)
{
    uint16_t inputs[16], targets[16];
    float loss;
    for (int i = 0; i < 16; i++) {
        inputs[i] = (uint16_t)(i * 5 % 33);
        targets[i] = (uint16_t)(i * 7 % 33);
    }
    assert_int_equal(device->step(s->state, inputs, targets, 0.01f, update, &loss), 0);
}

static void one_encoding(enum gx_format format, enum gx_outer_place place, uint64_t seed)
{
    struct side s;
    gx_simt_queue_seed(seed);
    start(&s, GX_PRECISION_FP32, place, format);
    const uint64_t bytes = gx_wire_bytes(format, s.count);
    void *wanted = malloc(bytes);
    assert_non_null(wanted);
    for (uint64_t round = 1; round <= 3; round++) {
        assert_int_equal(device->get(s.state, GX_PARAMS, s.params), 0);
        gx_outer_delta(s.scratch, s.theta, s.params, s.count);
        assert_int_equal(gx_encode(format, wanted, s.scratch, s.count), 0);
        memset(s.wire, 0xee, bytes);
        assert_int_equal(outer->encode(s.state, s.wire), 0);
        step(&s, round); /* what follows changes nothing of what was encoded */
        int rc;
        while ((rc = outer->settle(s.state, false)) == -EAGAIN)
            ;
        assert_int_equal(rc, 0);
        assert_memory_equal(s.wire, wanted, bytes);
    }
    free(wanted);
    end(&s);
}

static void the_arena_gets_the_hosts_bytes_in_every_format(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        for (int format = 0; format < GX_FORMAT_COUNT; format++)
            one_encoding((enum gx_format)format, seed % 2 ? GX_OUTER_ON_DEVICE : GX_OUTER_ON_HOST,
                         seed);
}

static void what_is_not_finite_is_refused_once(void **state)
{
    (void)state;
    struct side s;
    start(&s, GX_PRECISION_BF16, GX_OUTER_ON_DEVICE, GX_INT8);
    s.params[s.count - 1] = INFINITY;
    assert_int_equal(device->set(s.state, GX_PARAMS, s.params), 0);
    assert_int_equal(outer->encode(s.state, s.wire), 0);
    assert_int_equal(outer->settle(s.state, true), -EDOM);
    s.params[s.count - 1] = 0;
    assert_int_equal(device->set(s.state, GX_PARAMS, s.params), 0);
    assert_int_equal(outer->encode(s.state, s.wire), 0);
    assert_int_equal(outer->settle(s.state, true), 0);
    end(&s);
}

static float to_bf16(float value)
{
    const uint32_t bits = bits_of(value);
    return float_of((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000);
}

/* The bf16 weights that products read follow the parameters. */
static void check_copy(const struct side *s)
{
    const struct gx_cuda *c = s->state;
    if (!c->copy)
        return;
    for (uint64_t i = 0; i < s->count; i++)
        assert_true(float_of((uint32_t)((const uint16_t *)c->copy)[i] << 16) ==
                    to_bf16(s->params[i]));
}

static void one_outer_step(enum gx_outer_place place, bool keep_local, uint64_t seed)
{
    struct side s;
    gx_simt_queue_seed(seed);
    start(&s, seed % 2 ? GX_PRECISION_BF16 : GX_PRECISION_FP32, place, GX_FP32);
    float *theta = malloc(s.count * 4), *momentum = malloc(s.count * 4),
          *local = malloc(s.count * 4);
    assert_true(theta && momentum && local);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(device->get(s.state, GX_PARAMS, local), 0);
        memcpy(theta, s.theta, s.count * 4);
        memcpy(momentum, s.momentum, s.count * 4);
        gx_outer_step(theta, momentum, s.mean, s.count, 0.7f, 0.9f);
        if (keep_local)
            gx_outer_rebase(local, theta, s.theta, s.count);
        assert_int_equal(outer->apply(s.state, s.mean, 0.7f, 0.9f, keep_local), 0);
        if (round == 1)
            step(&s, 1); /* at once: only the parameters have moved when it has settled */
        assert_int_equal(outer->settle(s.state, true), 0);
        assert_memory_equal(s.theta, theta, s.count * 4);
        assert_memory_equal(s.momentum, momentum, s.count * 4);
        assert_int_equal(device->get(s.state, GX_PARAMS, s.params), 0);
        if (round != 1)
            assert_memory_equal(s.params, keep_local ? local : theta, s.count * 4);
        check_copy(&s);
    }
    free(theta);
    free(momentum);
    free(local);
    end(&s);
}

static void the_outer_step_has_the_hosts_bits(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2 * SEEDS; seed++)
        for (int keep = 0; keep < 2; keep++)
            one_outer_step(seed % 3 ? GX_OUTER_ON_DEVICE : GX_OUTER_ON_HOST, keep, seed);
}

/* ---- whole runs ---- */

static uint32_t plan[6]; /* the event of each round; 0 is MEMBER */

static int follow_plan(struct gx *gx, struct gx_event *event)
{
    if (gx->offer_count == 0 || gx->offers[gx->offer_count - 1].round != gx->published + 1)
        return -ETIMEDOUT;
    const uint32_t type = plan[gx->published + 1];
    const float *delta = gx->offers[gx->offer_count - 1].delta;
    *event = (struct gx_event){.type = type, .round = gx->published + 1};
    event->cohort = type == GX_EVENT_VOID ? 0 : 3;
    for (uint64_t i = 0; i < gx->count; i++)
        gx->result[i] = type == GX_EVENT_MEMBER ? delta[i] : 0.5f * delta[i];
    return 0;
}

struct outcome {
    int rc;
    struct gx_failure failure;
    float *params, *theta;
    uint64_t count;
};

static struct gx_train_options options_of(const struct fixture *f)
{
    struct gx_train_options o = fixture_options(f);
    o.socket_path = "/nowhere";
    o.model.width = 32;
    o.model.heads = 1;
    o.batch = 2;
    o.val_batches = 1;
    o.inner_steps = 2;
    o.rounds = 4;
    o.format = GX_E3M0;
    o.warmup_steps = 1;
    return o;
}

static struct outcome run(const struct fixture *f, const struct gx_train_options *o,
                          const struct gx_device *on)
{
    static struct gx_train t;
    struct outcome x = {.rc = gx_train_init(&t, o, on, NULL, f->table)};
    if (x.rc == 0)
        x.rc = gx_diloco_run(&t);
    x.failure = t.failure;
    x.count = t.model.param_count;
    if (x.rc == 0) {
        x.params = calloc(x.count, sizeof(float));
        x.theta = calloc(x.count, sizeof(float));
        assert_true(x.params && x.theta);
        assert_int_equal(on->get(t.device_state, GX_PARAMS, x.params), 0);
        memcpy(x.theta, fake_last->theta, x.count * sizeof(float));
    }
    gx_train_fini(&t);
    assert_int_equal(gx_simt_bytes(), 0);
    return x;
}

static void release(struct outcome *x)
{
    free(x->params);
    free(x->theta);
    fake_free();
}

static int set_up(void **state)
{
    memset(plan, 0, sizeof(plan));
    memset(&fake_setup, 0, sizeof(fake_setup));
    fake_wait = follow_plan;
    return fixture_setup(state);
}

static int tear_down(void **state)
{
    fake_free();
    return fixture_teardown(state);
}

static void a_run_is_bit_equal_to_one_with_the_outer_side_on_the_host(void **state)
{
    const struct fixture *f = *state;
    struct gx_device without = gx_cuda_device;
    without.outer = NULL;
    plan[2] = GX_EVENT_LEFT_OUT;
    plan[3] = GX_EVENT_VOID;
    struct gx_train_options o = options_of(f);
    struct outcome host = run(f, &o, &without);
    assert_int_equal(host.rc, 0);
    for (int offload = 0; offload < 2; offload++) {
        o.outer_offload = offload;
        struct outcome gpu = run(f, &o, &gx_cuda_device);
        assert_int_equal(gpu.rc, 0);
        assert_memory_equal(gpu.theta, host.theta, host.count * sizeof(float));
        assert_memory_equal(gpu.params, host.params, host.count * sizeof(float));
        release(&gpu);
    }
    release(&host);
}

static void an_arena_that_cannot_be_registered_is_copied_all_the_same(void **state)
{
    const struct fixture *f = *state;
    struct gx_train_options o = options_of(f);
    struct outcome pinned = run(f, &o, &gx_cuda_device);
    gx_simt_faults.no_register = true;
    struct outcome paged = run(f, &o, &gx_cuda_device);
    assert_int_equal(pinned.rc, 0);
    assert_int_equal(paged.rc, 0);
    assert_memory_equal(paged.theta, pinned.theta, pinned.count * sizeof(float));
    o.outer_offload = true;
    struct outcome offload = run(f, &o, &gx_cuda_device);
    gx_simt_faults.no_register = false;
    assert_int_equal(offload.rc, -ENOTSUP);
    assert_non_null(strstr(offload.failure.text, "--outer-offload"));
    release(&pinned);
    release(&paged);
}

static void a_gpu_that_fails_leaves_a_checkpoint_that_resumes(void **state)
{
    const struct fixture *f = *state;
    struct gx_train_options o = options_of(f);
    struct outcome whole = run(f, &o, &gx_cuda_device);
    assert_int_equal(whole.rc, 0);
    o.checkpoint_path = f->checkpoint_path;
    const uint64_t before = gx_simt_entries();
    struct outcome again = run(f, &o, &gx_cuda_device);
    assert_int_equal(again.rc, 0);
    const uint64_t entries = gx_simt_entries() - before;
    unlink(f->checkpoint_path);
    gx_simt_faults.fail_after = gx_simt_entries() + entries * 7 / 10;
    struct outcome broken = run(f, &o, &gx_cuda_device);
    assert_int_equal(broken.rc, -EIO);
    assert_non_null(strstr(broken.failure.text, "illegal memory access"));
    gx_simt_faults.fail_after = 0;
    fake_free();
    struct outcome resumed = run(f, &o, &gx_cuda_device);
    assert_int_equal(resumed.rc, 0);
    assert_memory_equal(resumed.theta, whole.theta, whole.count * sizeof(float));
    release(&whole);
    release(&again);
    release(&resumed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_arena_gets_the_hosts_bytes_in_every_format),
        cmocka_unit_test(what_is_not_finite_is_refused_once),
        cmocka_unit_test(the_outer_step_has_the_hosts_bits),
        cmocka_unit_test_setup_teardown(a_run_is_bit_equal_to_one_with_the_outer_side_on_the_host,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_arena_that_cannot_be_registered_is_copied_all_the_same,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_gpu_that_fails_leaves_a_checkpoint_that_resumes, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
