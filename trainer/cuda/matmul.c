/* cuBLASLt behind matmul.h. It counts columns where we count rows: the product is asked for transposed, b first. */
#include "cuda/matmul.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/cublaslt.h"
#include "cuda/dev.h"
#include "cuda/load.h"

#define CHOICES 8
#define TUNE_RUNS 3

struct gx_matmul_library {
    void *object; /* dlopen's */
    void *handle;
    void *workspace;
    struct {
#define MEMBER(member, name, parameters) int(*member) parameters;
        LT_FUNCTIONS(MEMBER)
#undef MEMBER
    } lt;
};

struct gx_matmul_plan {
    struct gx_matmul_library *library;
    void *desc, *a, *b, *out;
    bool add, has_bias, has_aux;
    struct lt_choice choices[CHOICES];
    int count, best;
};

static int find_functions(struct gx_matmul_library *l)
{
    const char *missing = NULL;
#define FIND(member, name, parameters)                                                             \
    *(void **)&l->lt.member = dlsym(l->object, "cublasLt" name);                                   \
    missing = l->lt.member ? missing : "cublasLt" name;
    LT_FUNCTIONS(FIND)
#undef FIND
    return missing ? gx_dev_fail(-ENOENT, "cuBLASLt has no %s: install cuBLAS 12 or later", missing)
                   : 0;
}

int gx_matmul_open(struct gx_matmul_library **out, void *workspace)
{
    static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12",
                                        "libcublasLt.so.11", NULL};
    struct gx_matmul_library *l = calloc(1, sizeof(*l));
    *out = l;
    if (!l)
        return gx_dev_fail(-ENOMEM, "no memory");
    l->workspace = workspace;
    l->object = gx_load(names, "cuBLAS (the CUDA toolkit's libcublas, or `pip install "
                               "nvidia-cublas`)");
    int rc = l->object ? find_functions(l) : -ENOENT;
    if (rc != 0)
        return rc;
    int status = l->lt.create(&l->handle);
    return status == LT_SUCCESS ? 0 : gx_dev_fail(-EIO, "cublasLtCreate: status %d", status);
}

void gx_matmul_close(struct gx_matmul_library *l)
{
    if (!l)
        return;
    if (l->handle)
        l->lt.destroy(l->handle);
    if (l->object)
        dlclose(l->object);
    free(l);
}

static int lt_type(enum gx_dtype type)
{
    return type == GX_DTYPE_BF16 ? LT_R_16BF : LT_R_32F;
}

static int lt_epilogue(enum gx_epilogue epilogue)
{
    static const int table[] = {
        [GX_EPILOGUE_NONE] = LT_EPILOGUE_DEFAULT,
        [GX_EPILOGUE_BIAS] = LT_EPILOGUE_BIAS,
        [GX_EPILOGUE_BIAS_GELU] = LT_EPILOGUE_GELU_AUX_BIAS,
        [GX_EPILOGUE_DGELU] = LT_EPILOGUE_DGELU,
        [GX_EPILOGUE_BIAS_GRAD] = LT_EPILOGUE_BGRADB,
    };
    return table[epilogue];
}

/* Matrix [rows][columns] of ours, as it lies. */
static int make_layout(const struct gx_matmul_library *l, void **out, enum gx_dtype type,
                       uint32_t rows, uint32_t columns, uint32_t stride)
{
    return l->lt.layout_create(out, lt_type(type), columns, rows, stride);
}

static int describe(struct gx_matmul_plan *p, const struct gx_matmul *m)
{
    const struct gx_matmul_library *l = p->library;
    const int compute =
        m->type == GX_DTYPE_FP32 && m->tf32 ? LT_COMPUTE_32F_FAST_TF32 : LT_COMPUTE_32F;
    const int32_t op_a = m->b.transposed ? LT_OP_T : LT_OP_N;
    const int32_t op_b = m->a.transposed ? LT_OP_T : LT_OP_N;
    const int32_t epilogue = lt_epilogue(m->epilogue);
    int bad = l->lt.desc_create(&p->desc, compute, LT_R_32F);
    if (bad)
        return bad;
    bad = l->lt.desc_set(p->desc, LT_DESC_TRANSA, &op_a, sizeof(op_a));
    bad = bad ? bad : l->lt.desc_set(p->desc, LT_DESC_TRANSB, &op_b, sizeof(op_b));
    bad = bad ? bad : l->lt.desc_set(p->desc, LT_DESC_EPILOGUE, &epilogue, sizeof(epilogue));
    if (!bad && p->has_bias) { /* an address to take the alignment from */
        const void *any = (const void *)(uintptr_t)m->alignment;
        bad = l->lt.desc_set(p->desc, LT_DESC_BIAS_POINTER, &any, sizeof(any));
    }
    if (!bad && p->has_aux) {
        const void *any = (const void *)(uintptr_t)m->alignment;
        const int64_t ld = m->stride;
        bad = l->lt.desc_set(p->desc, LT_DESC_AUX_POINTER, &any, sizeof(any));
        bad = bad ? bad : l->lt.desc_set(p->desc, LT_DESC_AUX_LD, &ld, sizeof(ld));
    }
    bad = bad ? bad
              : make_layout(l, &p->a, m->type, m->b.transposed ? m->n : m->k,
                            m->b.transposed ? m->k : m->n, m->b.stride);
    bad = bad ? bad
              : make_layout(l, &p->b, m->type, m->a.transposed ? m->k : m->m,
                            m->a.transposed ? m->m : m->k, m->a.stride);
    return bad ? bad : make_layout(l, &p->out, m->out_type, m->m, m->n, m->stride);
}

static int choose(struct gx_matmul_plan *p, const struct gx_matmul *m)
{
    const struct gx_matmul_library *l = p->library;
    const size_t workspace = GX_MATMUL_WORKSPACE_BYTES;
    void *preference = NULL;
    int bad = l->lt.pref_create(&preference);
    bad = bad ? bad
              : l->lt.pref_set(preference, LT_PREF_MAX_WORKSPACE_BYTES, &workspace,
                               sizeof(workspace));
    for (int i = 0; i < 4 && !bad; i++)
        bad = l->lt.pref_set(preference, LT_PREF_MIN_ALIGNMENT_A_BYTES + i, &m->alignment,
                             sizeof(m->alignment));
    bad = bad ? bad
              : l->lt.heuristic(l->handle, p->desc, p->a, p->b, p->out, p->out, preference, CHOICES,
                                p->choices, &p->count);
    if (preference)
        l->lt.pref_destroy(preference);
    return bad;
}

int gx_matmul_plan(struct gx_matmul_plan **out, struct gx_matmul_library *library,
                   const struct gx_matmul *m)
{
    struct gx_matmul_plan *p = calloc(1, sizeof(*p));
    *out = NULL;
    if (!p)
        return gx_dev_fail(-ENOMEM, "no memory");
    p->library = library;
    p->add = m->add;
    p->has_bias = m->epilogue == GX_EPILOGUE_BIAS || m->epilogue == GX_EPILOGUE_BIAS_GELU ||
                  m->epilogue == GX_EPILOGUE_BIAS_GRAD;
    p->has_aux = m->epilogue == GX_EPILOGUE_BIAS_GELU || m->epilogue == GX_EPILOGUE_DGELU;
    int bad = describe(p, m);
    bad = bad ? bad : choose(p, m);
    if (bad == LT_SUCCESS && p->count > 0) {
        *out = p;
        return 0;
    }
    gx_matmul_plan_destroy(p);
    if (m->epilogue != GX_EPILOGUE_NONE)
        return -ENOTSUP;
    return gx_dev_fail(-EIO, "cuBLASLt has no kernel for a product of %u x %u x %u (status %d)",
                       m->m, m->n, m->k, bad);
}

void gx_matmul_plan_destroy(struct gx_matmul_plan *p)
{
    if (!p)
        return;
    const struct gx_matmul_library *l = p->library;
    if (p->desc)
        l->lt.desc_destroy(p->desc);
    void *const layouts[] = {p->a, p->b, p->out};
    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++)
        if (layouts[i])
            l->lt.layout_destroy(layouts[i]);
    free(p);
}

/* The status of queueing choice `i`. */
static int enqueue(struct gx_matmul_plan *p, int i, const struct gx_matmul_arrays *x,
                   struct gx_dev_stream *stream)
{
    const struct gx_matmul_library *l = p->library;
    const float one = 1, beta = p->add ? 1 : 0;
    int bad = 0;
    if (p->has_bias)
        bad = l->lt.desc_set(p->desc, LT_DESC_BIAS_POINTER, &x->bias, sizeof(x->bias));
    if (!bad && p->has_aux)
        bad = l->lt.desc_set(p->desc, LT_DESC_AUX_POINTER, &x->aux, sizeof(x->aux));
    if (bad)
        return bad;
    return l->lt.matmul(l->handle, p->desc, &one, x->b, p->a, x->a, p->b, &beta,
                        p->add ? x->addend : x->out, p->out, x->out, p->out, &p->choices[i].algo,
                        l->workspace, GX_MATMUL_WORKSPACE_BYTES, stream);
}

void gx_matmul_run(struct gx_matmul_plan *p, const struct gx_matmul_arrays *x,
                   struct gx_dev_stream *stream)
{
    int status = enqueue(p, p->best, x, stream);
    if (status != LT_SUCCESS)
        gx_dev_fail(-EIO, "cublasLtMatmul: status %d", status);
}

/* Milliseconds of TUNE_RUNS runs of one choice; negative: it can't run. */
static float time_choice(struct gx_matmul_plan *p, int i, const struct gx_matmul_arrays *x,
                         struct gx_dev_stream *stream, struct gx_dev_event *from,
                         struct gx_dev_event *to)
{
    if (p->choices[i].state != LT_SUCCESS || enqueue(p, i, x, stream) != LT_SUCCESS)
        return -1;
    gx_dev_event_record(from, stream);
    for (int run = 0; run < TUNE_RUNS; run++)
        if (enqueue(p, i, x, stream) != LT_SUCCESS)
            return -1;
    gx_dev_event_record(to, stream);
    return gx_dev_event_sync(to) == 0 ? gx_dev_event_ms(from, to) : -1;
}

bool gx_matmul_tune(struct gx_matmul_plan *p, const struct gx_matmul_arrays *x,
                    struct gx_dev_stream *stream)
{
    struct gx_dev_event *from = NULL, *to = NULL;
    float best_ms = -1;
    if (gx_dev_event_create(&from, true) == 0 && gx_dev_event_create(&to, true) == 0) {
        for (int i = 0; i < p->count; i++) {
            float ms = time_choice(p, i, x, stream, from, to);
            if (ms >= 0 && (best_ms < 0 || ms < best_ms)) {
                best_ms = ms;
                p->best = i;
            }
        }
    }
    gx_dev_event_destroy(from);
    gx_dev_event_destroy(to);
    return best_ms >= 0;
}
