#include "model/gpt2.h"

#include <errno.h>
#include <math.h>

#include "philox.h"

#define VOCAB_MAX 65536u /* token files hold uint16 */
#define CONTEXT_MAX 65536u
#define LAYERS_MAX 1024u
#define WIDTH_MAX 65536u

static int check_range(const char *name, uint32_t value, uint32_t max, struct gx_failure *failure)
{
    if (value >= 1 && value <= max)
        return 0;
    return gx_fail(failure, -EINVAL, "%s %u: must be 1 to %u", name, value, max);
}

static int check(const struct gx_gpt2_config *c, struct gx_failure *failure)
{
    int rc = check_range("vocab", c->vocab, VOCAB_MAX, failure);
    if (rc == 0)
        rc = check_range("context", c->context, CONTEXT_MAX, failure);
    if (rc == 0)
        rc = check_range("layers", c->layers, LAYERS_MAX, failure);
    if (rc == 0)
        rc = check_range("width", c->width, WIDTH_MAX, failure);
    if (rc == 0)
        rc = check_range("heads", c->heads, c->width, failure);
    if (rc == 0 && c->width % c->heads != 0)
        rc = gx_fail(failure, -EINVAL, "width %u: must be a multiple of heads %u", c->width,
                     c->heads);
    return rc;
}

int gx_gpt2_init(struct gx_gpt2 *model, const struct gx_gpt2_config *config,
                 struct gx_failure *failure)
{
    int rc = check(config, failure);
    if (rc != 0)
        return rc;
    const uint64_t V = config->vocab, P = config->context, L = config->layers, C = config->width;
    const struct gx_tensor tensors[GX_GPT2_TENSOR_COUNT] = {
#define T(id, name, rank, d0, d1, d2, decay, start)                                                \
    [GX_##id] = {name, rank, {d0, d1, d2}, 0, (d0) * (d1) * (d2), decay, GX_START_##start},
        GX_GPT2_TENSORS(T)
#undef T
    };
    model->config = *config;
    model->param_count = 0;
    for (int i = 0; i < GX_GPT2_TENSOR_COUNT; i++) {
        model->tensors[i] = tensors[i];
        model->tensors[i].offset = model->param_count;
        model->param_count += tensors[i].count;
    }
    return 0;
}

void gx_gpt2_randomize(const struct gx_gpt2 *model, float *params, uint64_t seed)
{
    const double residual = 0.02 / sqrt(2.0 * model->config.layers);
    for (int i = 0; i < GX_GPT2_TENSOR_COUNT; i++) {
        const struct gx_tensor *t = &model->tensors[i];
        float *p = params + t->offset;
        float scale = t->start == GX_START_RESIDUAL ? (float)residual : 0.02f;
        for (uint64_t j = 0; j < t->count; j++) {
            if (t->start == GX_START_ZERO || t->start == GX_START_ONE)
                p[j] = t->start == GX_START_ONE ? 1.0f : 0.0f;
            else
                p[j] = scale * gx_philox_normal(seed, GX_PHILOX_INIT, t->offset + j);
        }
    }
}
