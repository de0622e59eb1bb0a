/* The layers', optimizer's and formats' kernels as they are, with one barrier or one shared value fewer: results differ, or
 * the emulation notices. */
#include "device.h"
#include "fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef test_free /* cmocka's */

#include <stdlib.h>
#include <string.h>

#include "cuda/adamw.h"
#include "cuda/bias.h"
#include "cuda/classifier.h"
#include "cuda/encode.h"
#include "cuda/layernorm.h"

/* Enough for every warp of a block, and for its last shared value. */
#define ROWS 4u
#define WIDTH 1024u
#define VALUES (ROWS * WIDTH)

static float input[VALUES];

static void *values_upload(uint64_t count)
{
    return test_upload(input, count * sizeof(float));
}

/* Adds what a kernel has written to the digest, and frees it. */
static void take(uint64_t *digest, void *device, size_t bytes)
{
    uint8_t *host = malloc(bytes);
    test_download(host, device, bytes);
    for (size_t i = 0; i < bytes; i++)
        *digest = (*digest ^ host[i]) * 0x100000001b3u;
    free(host);
    test_free(device);
}

static void layernorm(uint64_t *digest)
{
    void *dx = test_alloc(sizeof(input)), *dw = test_alloc(WIDTH * 4), *db = test_alloc(WIDTH * 4);
    void *dy = values_upload(VALUES), *x = values_upload(VALUES), *w = values_upload(WIDTH);
    void *mean = values_upload(ROWS), *rstd = values_upload(ROWS);
    void *scratch = test_alloc(gx_gpu_layernorm_scratch_bytes(ROWS, WIDTH));
    gx_gpu_layernorm_backward(GX_DTYPE_FP32, dx, NULL, dw, db, dy, x, w, mean, rstd, scratch, ROWS,
                              WIDTH, false, test_stream());
    take(digest, dx, sizeof(input)), take(digest, dw, WIDTH * 4), take(digest, db, WIDTH * 4);
    test_free(dy), test_free(x), test_free(w), test_free(mean), test_free(rstd);
    test_free(scratch);
}

static void bias(uint64_t *digest)
{
    const uint32_t rows = 64, width = VALUES / 64;
    void *db = test_alloc(width * 4), *dy = values_upload(VALUES);
    void *scratch = test_alloc(gx_gpu_bias_scratch_bytes(rows, width));
    gx_gpu_bias_backward(GX_DTYPE_FP32, db, dy, scratch, rows, width, false, test_stream());
    take(digest, db, width * 4);
    test_free(dy), test_free(scratch);
}

static void classifier(uint64_t *digest)
{
    const uint16_t targets[ROWS] = {0, 1, 2, 3};
    void *logits = values_upload(VALUES), *losses = test_alloc(ROWS * 4);
    void *on_device = test_upload(targets, sizeof(targets)), *loss = test_alloc(4);
    void *many = values_upload(VALUES);
    gx_gpu_classifier(GX_DTYPE_FP32, logits, losses, on_device, ROWS, WIDTH, WIDTH, 0.25f,
                      test_stream());
    gx_gpu_loss_sum(loss, many, VALUES, 1.0f, false, test_stream());
    take(digest, logits, sizeof(input)), take(digest, losses, ROWS * 4), take(digest, loss, 4);
    test_free(on_device), test_free(many);
}

static void norm(uint64_t *digest)
{
    void *out = test_alloc(sizeof(struct gx_gpu_norm)), *grads = values_upload(VALUES);
    void *scratch = test_alloc(gx_gpu_norm_scratch_bytes(VALUES));
    gx_gpu_norm_compute(out, grads, NULL, scratch, VALUES, 1.0f, test_stream());
    take(digest, out, sizeof(struct gx_gpu_norm));
    test_free(grads), test_free(scratch);
}

static void formats(uint64_t *digest)
{
    const uint64_t count = GX_GPU_ENCODE_PIECE_VALUES;
    const uint32_t zero = 0;
    for (enum gx_format f = GX_FP32; f < GX_FORMAT_COUNT; f++) {
        const size_t bytes = gx_wire_bytes(f, count);
        void *wire = test_alloc(bytes), *refused = test_upload(&zero, sizeof(zero));
        void *theta = values_upload(count), *decoded = test_alloc(count * 4);
        gx_gpu_encode(f, wire, refused, theta, NULL, count, test_stream());
        gx_gpu_decode(f, decoded, wire, count, test_stream());
        take(digest, wire, bytes), take(digest, decoded, count * 4);
        take(digest, refused, sizeof(zero));
        test_free(theta);
    }
}

struct trial {
    void (*run)(uint64_t *digest);
    uint64_t right; /* 0: not known yet */
};

static bool check(void *arg)
{
    struct trial *t = arg;
    uint64_t digest = 0xcbf29ce484222325u;
    t->run(&digest);
    if (t->right == 0)
        t->right = digest;
    return digest == t->right;
}

static void check_places(const char *file, void (*run)(uint64_t *digest))
{
    static const enum gx_simt_fault faults[] = {GX_SIMT_NO_BARRIER, GX_SIMT_SHORT_SHARED};
    for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
        struct trial t = {run, 0};
        unsigned found;
        assert_true(fault_each(faults[i], file, check, &t, &found));
        assert_true(found > 0);
    }
}

static void layernorm_needs_all_it_has(void **state)
{
    (void)state;
    check_places("layernorm.cu", layernorm);
}

static void column_sums_need_all_they_have(void **state)
{
    (void)state;
    check_places("bias.cu", bias);
    check_places("columns.cu", layernorm);
}

static void the_classifier_needs_all_it_has(void **state)
{
    (void)state;
    check_places("classifier.cu", classifier);
}

static void the_norm_needs_all_it_has(void **state)
{
    (void)state;
    check_places("adamw.cu", norm);
}

static void formats_need_all_they_have(void **state)
{
    (void)state;
    check_places("encode.cu", formats);
}

int main(void)
{
    for (uint32_t i = 0; i < VALUES; i++) /* all different, and so is every sum of some of them */
        input[i] = (float)(i * 2654435761u >> 8) * 0x1p-23f - 1.0f;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layernorm_needs_all_it_has),
        cmocka_unit_test(column_sums_need_all_they_have),
        cmocka_unit_test(the_classifier_needs_all_it_has),
        cmocka_unit_test(the_norm_needs_all_it_has),
        cmocka_unit_test(formats_need_all_they_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
