/* How long each kernel takes at GPT-2 124M's sizes, beside the bytes that it must move at the rate of the memory itself and
 * the operations that it must do at the rate of cuBLASLt's own products. */
#include <stdio.h>
#include <stdlib.h>

#include "cpu/adamw.h"
#include "cuda/adamw.h"
#include "cuda/attention.h"
#include "cuda/attention_cudnn.h"
#include "cuda/classifier.h"
#include "cuda/dev.h"
#include "cuda/elementwise.h"
#include "cuda/embedding.h"
#include "cuda/encode.h"
#include "cuda/layernorm.h"
#include "cuda/matmul.h"
#include "cuda/outer.h"
#include "gpu/table.h"

#define ROWS 65536u
#define CONTEXT 1024u
#define WIDTH 768u
#define HEADS 12u
#define VOCAB 50257u
#define STRIDE 50304u
#define PARAMS 124439808ull
#define RUNS 10
#define NOISE_BYTES (8u << 20)
#define WARM_UP_RUNS 200
#define BF16 GX_DTYPE_BF16

static struct gx_dev_stream *stream;
static struct gx_dev_event *from, *to;
static double memory_rate;  /* bytes a second, read and written */
static double product_rate; /* operations a second */

static void check(int rc)
{
    if (rc == 0)
        return;
    printf("%s\n", gx_dev_error());
    exit(1);
}

/* Zeros: for what moves memory, sizes decide how long it takes, values hardly do. */
static void *room(size_t bytes)
{
    void *memory = NULL;
    if (gx_dev_alloc(&memory, bytes) != 0) {
        printf("skip: no room for %zu MiB on this GPU\n", bytes >> 20);
        exit(77);
    }
    gx_dev_zero(memory, bytes, stream);
    return memory;
}

/* bf16 of magnitudes from 0.25 to 0.5, for products: on zeros a GPU takes less power, and so has a higher clock than it has in a
 * training run. */
static void *noise(size_t bytes)
{
    static uint16_t some[NOISE_BYTES / sizeof(uint16_t)];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
        x = x * 1664525u + 1013904223u;
        some[i] = (uint16_t)((x >> 16 & 0x80ffu) | 0x3e80u);
    }
    char *memory = room(bytes);
    for (size_t at = 0; at < bytes; at += sizeof(some))
        gx_dev_copy_in(memory + at, some, bytes - at < sizeof(some) ? bytes - at : sizeof(some),
                       stream);
    check(gx_dev_sync(stream));
    return memory;
}

#define TIME(seconds, call)                                                                        \
    do {                                                                                           \
        call;                                                                                      \
        gx_dev_event_record(from, stream);                                                         \
        for (int run_ = 0; run_ < RUNS; run_++)                                                    \
            call;                                                                                  \
        gx_dev_event_record(to, stream);                                                           \
        check(gx_dev_event_sync(to));                                                              \
        seconds = (double)gx_dev_event_ms(from, to) * 1e-3 / RUNS;                                 \
    } while (0)

/* `bytes` are what the kernel must read and write once, `operations` what its products must do. */
static void report(const char *what, double seconds, double bytes, double operations)
{
    const double floor_s = bytes / memory_rate, work_s = operations / product_rate;
    if (work_s > floor_s)
        table_row(what, "%.3f ms, %.0f TFLOP/s|%.3f ms at cuBLASLt's rate: %.0f%%", seconds * 1e3,
                  operations / seconds * 1e-12, work_s * 1e3, 100 * work_s / seconds);
    else
        table_row(what, "%.3f ms, %.0f GB/s|%.3f ms at the memory's rate: %.0f%%", seconds * 1e3,
                  bytes / seconds * 1e-9, floor_s * 1e3, 100 * floor_s / seconds);
}

#define MEASURE(what, bytes, operations, call)                                                     \
    do {                                                                                           \
        double seconds_;                                                                           \
        TIME(seconds_, call);                                                                      \
        report(what, seconds_, (double)(bytes), (double)(operations));                             \
    } while (0)

static void measure_memory(void)
{
    const size_t bytes = 1u << 30;
    void *a = room(bytes), *b = room(bytes);
    double seconds;
    for (int i = 0; i < WARM_UP_RUNS; i++) /* an idle GPU's clock takes its time to rise */
        gx_dev_copy(a, b, bytes, stream);
    TIME(seconds, gx_dev_copy(a, b, bytes, stream));
    memory_rate = 2.0 * (double)bytes / seconds;
    table_row("memory: copy of 1 GiB",
              "%.0f GB/s read and written|H100 SXM: 3350 by its data sheet", memory_rate * 1e-9);
    gx_dev_free(a);
    gx_dev_free(b);
}

/* The products of a layer, forward: the yardstick of attention, and cuBLASLt's own rate. */
static void measure_products(void)
{
    static const struct {
        const char *what;
        uint32_t ins, outs;
        enum gx_epilogue epilogue;
    } products[] = {
        {"product qkv (768 to 2304), bias", WIDTH, 3 * WIDTH, GX_EPILOGUE_BIAS},
        {"product fc (768 to 3072), bias, GELU", WIDTH, 4 * WIDTH, GX_EPILOGUE_BIAS_GELU},
        {"product fcproj (3072 to 768), bias", 4 * WIDTH, WIDTH, GX_EPILOGUE_BIAS},
        {"product head (768 to 50304)", WIDTH, STRIDE, GX_EPILOGUE_NONE},
    };
    struct gx_matmul_library *library;
    void *workspace = room(GX_MATMUL_WORKSPACE_BYTES);
    check(gx_matmul_open(&library, workspace));
    for (size_t i = 0; i < sizeof(products) / sizeof(products[0]); i++) {
        const uint32_t ins = products[i].ins, outs = products[i].outs;
        const struct gx_matmul m = {.m = ROWS,
                                    .n = outs,
                                    .k = ins,
                                    .a = {ins, false},
                                    .b = {ins, true},
                                    .stride = outs,
                                    .type = BF16,
                                    .out_type = BF16,
                                    .epilogue = products[i].epilogue,
                                    .alignment = 256};
        const size_t out_bytes = 2ul * ROWS * outs;
        const struct gx_matmul_arrays x = {.a = noise(2ul * ROWS * ins),
                                           .b = noise(2ul * ins * outs),
                                           .out = room(out_bytes),
                                           .bias = room(2ul * outs),
                                           .aux = room(out_bytes)};
        struct gx_matmul_plan *plan;
        int rc = gx_matmul_plan(&plan, library, &m);
        if (rc == 0) {
            double seconds;
            gx_matmul_tune(plan, &x, stream);
            TIME(seconds, gx_matmul_run(plan, &x, stream));
            const double rate = 2.0 * ROWS * ins * outs / seconds;
            product_rate = rate > product_rate ? rate : product_rate;
            table_row(products[i].what, "%.3f ms, %.0f TFLOP/s|H100 SXM: 989 by its data sheet",
                      seconds * 1e3, rate * 1e-12);
        } else {
            table_row(products[i].what, "no fused kernel on this GPU|");
        }
        gx_matmul_plan_destroy(plan);
        gx_dev_free((void *)(uintptr_t)x.a);
        gx_dev_free((void *)(uintptr_t)x.b);
        gx_dev_free(x.out);
        gx_dev_free(x.bias);
        gx_dev_free(x.aux);
    }
    gx_matmul_close(library);
    gx_dev_free(workspace);
}

/* Attention's arrays at GPT-2's sizes; what is read holds noise. */
struct attention {
    struct gx_gpu_attention_shape shape;
    void *qkv, *out, *dout, *dqkv;
    float *lse, *delta;
    size_t forward_bytes, backward_bytes; /* that must move */
    double operations; /* forward; two and a half times as many on the way back */
};

static struct attention attention_init(void)
{
    const size_t row = 2ul * ROWS * WIDTH, stats = 4ul * ROWS * HEADS;
    return (struct attention){
        .shape = {ROWS / CONTEXT, CONTEXT, HEADS, WIDTH / HEADS},
        .qkv = noise(3 * row),
        .out = room(row),
        .dout = noise(row),
        .dqkv = room(3 * row),
        .lse = room(stats),
        .delta = room(stats),
        .forward_bytes = 4 * row + stats,
        .backward_bytes = 8 * row + 2 * stats,
        /* Two products of T x T x C a sequence, half of them above the diagonal. */
        .operations = 2.0 * ROWS * CONTEXT * WIDTH,
    };
}

static void attention_fini(const struct attention *x)
{
    void *const all[] = {x->qkv, x->out, x->dout, x->dqkv, x->lse, x->delta};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        gx_dev_free(all[i]);
}

static void measure_attention(void)
{
    const struct attention x = attention_init();
    MEASURE("attention forward", x.forward_bytes, x.operations,
            gx_gpu_attention_forward(BF16, x.out, x.lse, x.qkv, x.shape, stream));
    MEASURE("attention backward", x.backward_bytes, 2.5 * x.operations,
            gx_gpu_attention_backward(BF16, x.dqkv, x.delta, x.dout, x.qkv, x.out, x.lse, x.shape,
                                      stream));
    attention_fini(&x);
}

/* Last of all: should it fail, the rest has been seen. */
static void measure_cudnn(void)
{
    const struct attention x = attention_init();
    struct gx_cudnn_attention *cudnn;
    const char *why;
    if (gx_cudnn_attention_create(&cudnn, x.shape, &why) == 0) {
        void *scratch = room(gx_cudnn_attention_scratch_bytes(cudnn) + 256);
        MEASURE("attention forward, cuDNN", x.forward_bytes, x.operations,
                gx_cudnn_attention_forward(cudnn, x.out, x.lse, x.qkv, scratch, stream, &why));
        MEASURE("attention backward, cuDNN", x.backward_bytes, 2.5 * x.operations,
                gx_cudnn_attention_backward(cudnn, x.dqkv, x.delta, x.dout, x.qkv, x.out, x.lse,
                                            scratch, stream, &why));
        gx_dev_free(scratch);
        gx_cudnn_attention_destroy(cudnn);
    } else {
        table_row("attention, cuDNN", "%.120s|", why);
    }
    attention_fini(&x);
}

static void measure_layers(void)
{
    const size_t row = 2ul * ROWS * WIDTH;
    void *x = room(4 * row), *y = room(4 * row), *z = room(4 * row);
    float *w = room(4 * WIDTH), *b = room(4 * WIDTH), *dw = room(4 * WIDTH), *db = room(4 * WIDTH);
    float *mean = room(4 * ROWS), *rstd = room(4 * ROWS);
    size_t bytes = gx_gpu_layernorm_scratch_bytes(ROWS, WIDTH);
    void *scratch = room(bytes);
    MEASURE("layer norm forward", 2 * row, 0,
            gx_gpu_layernorm_forward(BF16, y, mean, rstd, x, w, b, ROWS, WIDTH, stream));
    MEASURE("layer norm backward", 4 * row, 0,
            gx_gpu_layernorm_backward(BF16, z, z, dw, db, y, x, w, mean, rstd, scratch, ROWS, WIDTH,
                                      false, stream));
    const uint64_t wide = 4ull * ROWS * WIDTH;
    MEASURE("GELU forward (not fused)", 8 * row, 0, gx_gpu_gelu_forward(BF16, y, x, wide, stream));
    MEASURE("GELU backward (not fused)", 12 * row, 0,
            gx_gpu_gelu_backward(BF16, z, y, x, wide, stream));
    void *const all[] = {x, y, z, w, b, dw, db, mean, rstd, scratch};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        gx_dev_free(all[i]);
}

static void measure_ends(void)
{
    const size_t row = 2ul * ROWS * WIDTH, table = (size_t)VOCAB * WIDTH, places = CONTEXT * WIDTH;
    void *y = room(row), *wte = room(2 * table), *wpe = room(2 * places), *host;
    float *dwte = room(4 * table), *dwpe = room(4 * places);
    const size_t index_bytes = gx_token_index_bytes(ROWS);
    uint16_t *tokens = calloc(ROWS, sizeof(*tokens)), *on_device = room(2ul * ROWS);
    uint32_t *counts = calloc(VOCAB + 1, sizeof(*counts));
    void *index = room(index_bytes), *scratch = room(gx_gpu_embedding_scratch_bytes(ROWS, WIDTH));
    check(gx_dev_host_alloc(&host, index_bytes));
    for (uint32_t i = 0; i < ROWS; i++)
        tokens[i] = (uint16_t)(i * 2654435761u % VOCAB);
    gx_token_index_fill(host, counts, tokens, ROWS, VOCAB);
    gx_dev_copy_in(index, host, index_bytes, stream);
    gx_dev_copy_in(on_device, tokens, 2ul * ROWS, stream);
    MEASURE("embedding forward", 2 * row, 0,
            gx_gpu_embedding_forward(BF16, y, on_device, wte, wpe, ROWS, CONTEXT, WIDTH, stream));
    MEASURE("embedding backward", row + 8 * (size_t)(ROWS < VOCAB ? ROWS : VOCAB) * WIDTH, 0,
            gx_gpu_embedding_backward(BF16, dwte, dwpe, y, index, scratch, ROWS, CONTEXT, WIDTH,
                                      false, stream));
    void *logits = room(2ul * ROWS * STRIDE);
    float *losses = room(4ul * ROWS);
    MEASURE("classifier, forward and backward", 4ul * ROWS * STRIDE, 0,
            gx_gpu_classifier(BF16, logits, losses, on_device, ROWS, VOCAB, STRIDE, 1.0f / ROWS,
                              stream));
    void *const all[] = {y, wte, wpe, dwte, dwpe, on_device, index, scratch, logits, losses};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        gx_dev_free(all[i]);
    gx_dev_host_free(host);
    free(tokens);
    free(counts);
}

static void measure_optimizer(void)
{
    const size_t array = 4 * PARAMS;
    float *p = room(array), *m = room(array), *v = room(array), *g = room(array);
    void *copy = room(2 * PARAMS), *scratch = room(gx_gpu_norm_scratch_bytes(PARAMS));
    struct gx_gpu_norm *norm = room(sizeof(*norm));
    struct gx_gpu_adamw step, *on_device = room(sizeof(step));
    const struct gx_adamw opt = {
        .lr = 1e-3f, .beta1 = 0.9f, .beta2 = 0.95f, .epsilon = 1e-8f, .update = 1};
    const struct gx_gpu_decay decay = {.end = {PARAMS}, .decays = 1, .count = 1};
    gx_gpu_adamw_fill(&step, &opt, 0);
    gx_dev_copy_in(on_device, &step, sizeof(step), stream);
    MEASURE("gradient norm", array, 0,
            gx_gpu_norm_compute(norm, g, NULL, scratch, PARAMS, 1, stream));
    MEASURE("AdamW", 7 * array + 2 * PARAMS, 0,
            gx_gpu_adamw_step(on_device, norm, &decay, p, m, v, g, copy, GX_ROUND_NEAREST, stream));
    const struct gx_gpu_outer outer = {
        .lr = 0.7f, .momentum_factor = 0.9f, .local = GX_LOCAL_REPLACE};
    MEASURE("outer step", 6 * array + 2 * PARAMS, 0,
            gx_gpu_outer_step(&outer, p, m, v, g, copy, PARAMS, stream));
    void *wire = copy;
    uint32_t *refused = (uint32_t *)(void *)norm;
    MEASURE("encode e3m0", 2 * array + gx_wire_bytes(GX_E3M0, PARAMS), 0,
            gx_gpu_encode(GX_E3M0, wire, refused, p, m, PARAMS, stream));
    MEASURE("encode int8", 2 * array + gx_wire_bytes(GX_INT8, PARAMS), 0,
            gx_gpu_encode(GX_INT8, wire, refused, p, m, PARAMS, stream));
    MEASURE("encode bf16", 2 * array + gx_wire_bytes(GX_BF16, PARAMS), 0,
            gx_gpu_encode(GX_BF16, wire, refused, p, m, PARAMS, stream));
    MEASURE("encode fp32", 3 * array, 0, gx_gpu_encode(GX_FP32, v, refused, p, m, PARAMS, stream));
    MEASURE("decode e3m0", array + gx_wire_bytes(GX_E3M0, PARAMS), 0,
            gx_gpu_decode(GX_E3M0, v, wire, PARAMS, stream));
    void *const all[] = {p, m, v, g, copy, scratch, norm, on_device};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        gx_dev_free(all[i]);
}

int main(void)
{
    struct gx_dev_properties properties;
    if (gx_dev_open(0, &properties) != 0) {
        printf("skip: %s\n", gx_dev_error());
        return 77;
    }
    check(gx_dev_stream_create(&stream, false));
    check(gx_dev_event_create(&from, true));
    check(gx_dev_event_create(&to, true));
    measure_memory();
    measure_products();
    measure_attention();
    measure_layers();
    measure_ends();
    measure_optimizer();
    measure_cudnn();
    check(gx_dev_sync(stream));
    return 0;
}
