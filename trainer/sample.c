#include "sample.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "philox.h"

#define TEMPERATURE 0.8
#define BYTES 256u

uint32_t gx_sample_token(const float *logits, uint32_t vocab, double temperature, double unit)
{
    float max = logits[0];
    for (uint32_t i = 1; i < vocab; i++)
        max = logits[i] > max ? logits[i] : max;
    double sum = 0;
    for (uint32_t i = 0; i < vocab; i++)
        sum += exp((double)(logits[i] - max) / temperature);
    double left = unit * sum;
    for (uint32_t i = 0; i < vocab; i++) {
        left -= exp((double)(logits[i] - max) / temperature);
        if (left < 0)
            return i;
    }
    return vocab - 1;
}

static void put(FILE *out, uint32_t token, uint32_t vocab)
{
    if (vocab != BYTES)
        fprintf(out, "%u ", token);
    else
        fputc(token == '\n' || (token >= 0x20 && token < 0x7f) ? (int)token : '?', out);
}

int gx_sample_write(FILE *out, const struct gx_device *device, void *device_state,
                    const struct gx_gpt2 *model, uint32_t count, uint64_t seed,
                    struct gx_failure *failure)
{
    const uint32_t vocab = model->config.vocab, context = model->config.context;
    if (count == 0)
        return 0;
    int rc = 0;
    float *logits = malloc(vocab * sizeof(*logits));
    uint16_t *window = malloc(context * sizeof(*window));
    if (!logits || !window) {
        rc = gx_fail(failure, -ENOMEM, "--sample %u: no memory", count);
        goto out;
    }
    uint32_t length = 1;
    window[0] = vocab > '\n' ? '\n' : 0;
    fputs("--- sample ---\n", out);
    for (uint32_t i = 0; i < count; i++) {
        rc = device->logits(device_state, window, length, logits);
        if (rc != 0) {
            gx_fail(failure, rc, "--sample %u: %s", count, strerror(-rc));
            goto out;
        }
        uint32_t token =
            gx_sample_token(logits, vocab, TEMPERATURE, gx_philox_unit(seed, GX_PHILOX_SAMPLE, i));
        put(out, token, vocab);
        if (length == context)
            memmove(window, window + 1, --length * sizeof(*window));
        window[length++] = (uint16_t)token;
    }
    fputs("\n--------------\n", out);
    fflush(out);
out:
    free(logits);
    free(window);
    return rc;
}
