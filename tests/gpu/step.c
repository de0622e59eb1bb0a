/* How long a step of GPT-2 124M takes, and what an exchange beside it costs: B = 64, T = 1024, bf16; half the batch, again and
 * again, where memory is short. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cuda/dev.h"
#include "cuda/state.h"
#include "gpu/table.h"

#define STEPS 20
#define WARM_UP 5

static const struct gx_gpt2_config gpt2 = {
    .vocab = 50257, .context = 1024, .layers = 12, .heads = 12, .width = 768};
static const struct gx_device *const device = &gx_cuda_device;

struct bench {
    struct gx_gpt2 model;
    void *state;
    uint32_t batch;
    uint16_t *inputs, *targets;
    uint64_t updates;
    char *arena;
    size_t arena_bytes;
    void *wire;
};

static void check(int rc)
{
    if (rc == 0)
        return;
    printf("%s\n", rc == -EDOM ? "not finite" : device->describe(NULL, rc));
    exit(1);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void create(struct bench *b, enum gx_attention attention)
{
    struct gx_device_config config = {.precision = GX_PRECISION_BF16,
                                      .attention = attention,
                                      .outer = GX_OUTER_ON_DEVICE,
                                      .format = GX_E3M0,
                                      .beta1 = 0.9f,
                                      .beta2 = 0.95f,
                                      .epsilon = 1e-8f,
                                      .weight_decay = 0.1f,
                                      .clip_norm = 1.0f};
    int rc = -ENOMEM;
    for (b->batch = 64; b->batch > 0 && rc == -ENOMEM; b->batch /= 2) {
        config.batch = b->batch;
        rc = device->create(&b->model, &config, &b->state);
        if (rc == 0)
            break;
    }
    check(rc);
    printf("%s, B = %u\n", device->machine(b->state), b->batch);
    const size_t array = b->model.param_count * sizeof(float);
    b->arena_bytes =
        (2 * array + gx_wire_bytes(GX_E3M0, b->model.param_count) + 4095) / 4096 * 4096;
    b->arena = aligned_alloc(4096, b->arena_bytes);
    float *params = calloc(b->model.param_count, sizeof(float));
    if (!b->arena || !params)
        exit(1);
    memset(b->arena, 0, b->arena_bytes);
    gx_gpt2_randomize(&b->model, params, 1);
    memcpy(b->arena, params, array);
    b->wire = b->arena + 2 * array;
    const struct gx_device_arena arena = {b->arena, b->arena_bytes, (float *)(void *)b->arena,
                                          (float *)(void *)(b->arena + array)};
    check(device->set(b->state, GX_PARAMS, params));
    check(device->outer->attach(b->state, &arena));
    check(device->outer->load(b->state));
    free(params);
}

static void step(struct bench *b)
{
    float loss;
    const uint32_t rows = b->batch * gpt2.context;
    for (uint32_t i = 0; i < rows; i++) {
        b->inputs[i] = (uint16_t)((i + b->updates * 7919) * 2654435761u % gpt2.vocab);
        b->targets[i] = (uint16_t)((b->inputs[i] * 7u + 3u) % gpt2.vocab);
    }
    b->updates++;
    check(device->step(b->state, b->inputs, b->targets, 1e-4f, b->updates, &loss));
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double timed_step(struct bench *b, bool exchange)
{
    const double start = now_s();
    if (exchange)
        check(device->outer->encode(b->state, b->wire));
    step(b);
    const double seconds = now_s() - start;
    if (exchange)
        check(device->outer->settle(b->state, true));
    return seconds;
}

/* Medians of some steps, plain ones and such before which a contribution is encoded, and beside which it is copied out. In turn,
 * so that the GPU's clock is the same for both. */
static void median_steps(struct bench *b, double *plain, double *beside)
{
    double seconds[2][STEPS];
    for (int i = 0; i < 2 * STEPS; i++)
        seconds[i % 2][i / 2] = timed_step(b, i % 2);
    for (int kind = 0; kind < 2; kind++)
        qsort(seconds[kind], STEPS, sizeof(seconds[kind][0]), compare_doubles);
    *plain = seconds[0][STEPS / 2];
    *beside = seconds[1][STEPS / 2];
}

static void report_steps(struct bench *b, const char *attention)
{
    const double tokens = (double)b->batch * gpt2.context;
    /* As llm.c counts: six a parameter, and attention. */
    const double work = tokens * (6.0 * (double)b->model.param_count +
                                  6.0 * gpt2.layers * gpt2.width * gpt2.context);
    for (int i = 0; i < WARM_UP; i++)
        step(b);
    double plain, beside;
    median_steps(b, &plain, &beside);
    char what[80];
    snprintf(what, sizeof(what), "step of GPT-2 124M, B = %u, bf16, attention %s", b->batch,
             attention);
    table_row(what, "%.1f ms, %.0f tokens/s, %.0f TFLOP/s|goal 139 at B = 64 on an H100 SXM",
              plain * 1e3, tokens / plain, work / plain * 1e-12);
    table_row("the same, a contribution leaving beside it", "%.1f ms: %+.2f%%|at most 1%% more",
              beside * 1e3, 100 * (beside / plain - 1));
}

/* Copies of the arena alone, and of one pinned block: PCIe's own rate. */
static void report_copies(struct bench *b)
{
    const size_t bytes = 256u << 20, wire = gx_wire_bytes(GX_E3M0, b->model.param_count);
    struct gx_cuda *c = b->state;
    void *pinned;
    check(gx_dev_host_alloc(&pinned, bytes));
    struct gx_dev_event *from, *to;
    check(gx_dev_event_create(&from, true));
    check(gx_dev_event_create(&to, true));
    double rate[2];
    for (int arena = 0; arena < 2; arena++) {
        gx_dev_event_record(from, c->out);
        for (int i = 0; i < 10; i++)
            gx_dev_copy_out(arena ? b->wire : pinned, arena ? c->wire : c->memory,
                            arena ? wire : bytes, c->out);
        gx_dev_event_record(to, c->out);
        check(gx_dev_event_sync(to));
        rate[arena] =
            10.0 * (double)(arena ? wire : bytes) / (double)gx_dev_event_ms(from, to) * 1e3;
    }
    table_row("PCIe: copy of 256 MiB to pinned memory", "%.1f GB/s|", rate[0] * 1e-9);
    table_row("contribution (e3m0) to the arena",
              "%.1f GB/s, %.2f ms|%.0f%% of PCIe's own rate, at least 70", rate[1] * 1e-9,
              (double)wire / rate[1] * 1e3, 100 * rate[1] / rate[0]);
    double start = now_s();
    check(device->outer->apply(b->state, (const float *)(const void *)b->arena, 0.7f, 0.9f, false));
    check(device->outer->settle(b->state, true));
    table_row("outer step with its copies", "%.1f ms|%.1f ms for 1 GB out at that rate",
              (now_s() - start) * 1e3, 8e3 * (double)b->model.param_count / rate[0]);
    gx_dev_event_destroy(from);
    gx_dev_event_destroy(to);
    gx_dev_host_free(pinned);
}

static void destroy(struct bench *b)
{
    device->outer->detach(b->state);
    device->destroy(b->state);
    free(b->arena);
    b->updates = 0;
}

int main(void)
{
    static struct bench b;
    struct gx_failure failure;
    const char *why;
    if (!gx_cuda_present(&why)) {
        printf("skip: %s\n", why);
        return 77;
    }
    if (gx_gpt2_init(&b.model, &gpt2, &failure) != 0)
        return 1;
    b.inputs = calloc(64 * 1024, sizeof(*b.inputs));
    b.targets = calloc(64 * 1024, sizeof(*b.targets));
    if (!b.inputs || !b.targets)
        return 1;
    /* Our own first: should cuDNN fail, these have been seen. */
    create(&b, GX_ATTENTION_OWN);
    report_steps(&b, "own");
    report_copies(&b);
    destroy(&b);
    create(&b, GX_ATTENTION_AUTO);
    if (strstr(device->machine(b.state), "attention: cuDNN"))
        report_steps(&b, "cuDNN");
    else
        table_row("the same, attention cuDNN", "not run: cuDNN is not there, or has no kernel|");
    destroy(&b);
    free(b.inputs);
    free(b.targets);
    return 0;
}
