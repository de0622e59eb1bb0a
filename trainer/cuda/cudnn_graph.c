#include "cuda/cudnn_graph.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gx_assert.h"

#include "cuda/load.h"

#define VIRTUAL_ID 1000 /* the first one */
#define CHOICES 8
#define ALIGNMENT 16

static const char INSTALL[] = "install cuDNN 9 (`pip install nvidia-cudnn-cu13`, or -cu12 for "
                              "CUDA 12), and name its folder in LD_LIBRARY_PATH";

/* ---- the library ---- */

static int fail(struct gx_cudnn *l, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct gx_cudnn *l, int error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(l->why, sizeof(l->why), format, args);
    va_end(args);
    return error;
}

static int find_functions(struct gx_cudnn *l)
{
    const char *missing = NULL;
#define FIND(returns, member, name, parameters)                                                    \
    *(void **)&l->dnn.member = dlsym(l->object, "cudnn" name);                                     \
    missing = l->dnn.member ? missing : "cudnn" name;
    DNN_FUNCTIONS(FIND)
#undef FIND
    if (missing)
        return fail(l, -ENOENT, "cuDNN has no %s: %s", missing, INSTALL);
    const size_t version = l->dnn.version();
    if (version < GX_CUDNN_VERSION_MIN)
        return fail(l, -ENOENT, "cuDNN %zu.%zu is too old, 9.6 or later is needed: %s",
                    version / 10000, version / 100 % 100, INSTALL);
    return 0;
}

int gx_cudnn_load(struct gx_cudnn *l)
{
    static const char *const names[] = {"libcudnn.so.9", NULL};
    memset(l, 0, sizeof(*l));
    l->object = gx_load_try(names);
    return l->object ? find_functions(l)
                     : fail(l, -ENOENT, "%s was not found: %s", names[0], INSTALL);
}

int gx_cudnn_start(struct gx_cudnn *l)
{
    int status = l->dnn.create(&l->handle);
    if (status == DNN_SUCCESS)
        return 0;
    l->handle = NULL;
    return fail(l, -EIO, "cudnnCreate: %s", l->dnn.status_name(status));
}

void gx_cudnn_close(struct gx_cudnn *l)
{
    if (l->target)
        l->dnn.desc_destroy(l->target);
    if (l->handle)
        l->dnn.destroy(l->handle);
    if (l->object)
        dlclose(l->object);
    l->object = l->handle = l->target = NULL;
}

/* ---- descriptors ---- */

void gx_cudnn_graph_init(struct gx_cudnn_graph *g, struct gx_cudnn *library)
{
    *g = (struct gx_cudnn_graph){.library = library, .next_id = VIRTUAL_ID};
}

void gx_cudnn_graph_fini(struct gx_cudnn_graph *g)
{
    while (g->descriptor_count > 0)
        g->library->dnn.desc_destroy(g->descriptors[--g->descriptor_count]);
    *g = (struct gx_cudnn_graph){0};
}

static bool ok(struct gx_cudnn_graph *g, int status, const char *what)
{
    if (status != DNN_SUCCESS && g->status == DNN_SUCCESS) {
        g->status = status;
        g->failed = what;
    }
    return g->status == DNN_SUCCESS;
}

/* NULL after a failure: all else is left out then. */
static void *create(struct gx_cudnn_graph *g, int kind, const char *what)
{
    void *desc = NULL;
    GX_ASSERT(g->descriptor_count < GX_CUDNN_DESCRIPTORS_MAX);
    if (g->status != DNN_SUCCESS || !ok(g, g->library->dnn.desc_create(kind, &desc), what))
        return NULL;
    g->descriptors[g->descriptor_count++] = desc;
    return desc;
}

static void set(struct gx_cudnn_graph *g, void *desc, int attribute, int type, int64_t count,
                const void *values, const char *what)
{
    if (g->status == DNN_SUCCESS)
        ok(g, g->library->dnn.desc_set(desc, attribute, type, count, values), what);
}

static void set_desc(struct gx_cudnn_graph *g, void *desc, int attribute, void *value,
                     const char *what)
{
    set(g, desc, attribute, DNN_TYPE_DESCRIPTOR, 1, &value, what);
}

static bool finalize(struct gx_cudnn_graph *g, void *desc, const char *what)
{
    return g->status == DNN_SUCCESS && ok(g, g->library->dnn.finalize(desc), what);
}

static void add_operation(struct gx_cudnn_graph *g, void *operation, const char *what)
{
    GX_ASSERT(g->operation_count < GX_CUDNN_OPERATIONS_MAX);
    if (finalize(g, operation, what))
        g->operations[g->operation_count++] = operation;
}

void *gx_cudnn_graph_tensor(struct gx_cudnn_graph *g, const struct gx_cudnn_tensor *t)
{
    static const char what[] = "a tensor";
    const int64_t alignment = ALIGNMENT;
    const int64_t id = t->place == GX_CUDNN_VIRTUAL ? g->next_id++ : t->id;
    const bool is_virtual = t->place == GX_CUDNN_VIRTUAL, by_value = t->place == GX_CUDNN_VALUE;
    void *d = create(g, DNN_TENSOR, what);
    set(g, d, DNN_TENSOR_TYPE, DNN_TYPE_DATA_TYPE, 1, &t->type, what);
    set(g, d, DNN_TENSOR_SIZES, DNN_TYPE_INT64, 4, t->sizes, what);
    set(g, d, DNN_TENSOR_STRIDES, DNN_TYPE_INT64, 4, t->strides, what);
    set(g, d, DNN_TENSOR_ID, DNN_TYPE_INT64, 1, &id, what);
    set(g, d, DNN_TENSOR_ALIGNMENT, DNN_TYPE_INT64, 1, &alignment, what);
    set(g, d, DNN_TENSOR_VIRTUAL, DNN_TYPE_BOOLEAN, 1, &is_virtual, what);
    set(g, d, DNN_TENSOR_BY_VALUE, DNN_TYPE_BOOLEAN, 1, &by_value, what);
    finalize(g, d, what);
    return d;
}

/* ---- operations ---- */

void gx_cudnn_graph_multiply(struct gx_cudnn_graph *g, void *a, void *b, void *c)
{
    static const char what[] = "a product";
    const int precision = DNN_FLOAT;
    void *how = create(g, DNN_MATMUL, what);
    set(g, how, DNN_MATMUL_PRECISION, DNN_TYPE_DATA_TYPE, 1, &precision, what);
    finalize(g, how, what);
    void *o = create(g, DNN_OPERATION_MATMUL, what);
    set_desc(g, o, DNN_OPERATION_MATMUL_DESC, how, what);
    set_desc(g, o, DNN_OPERATION_MATMUL_A, a, what);
    set_desc(g, o, DNN_OPERATION_MATMUL_B, b, what);
    set_desc(g, o, DNN_OPERATION_MATMUL_C, c, what);
    add_operation(g, o, what);
}

void gx_cudnn_graph_pointwise(struct gx_cudnn_graph *g, int mode, int precision, int64_t axis,
                              void *x, void *b, void *t, void *y)
{
    static const char what[] = "a pointwise operation";
    void *how = create(g, DNN_POINTWISE, what);
    set(g, how, DNN_POINTWISE_MODE, DNN_TYPE_POINTWISE, 1, &mode, what);
    set(g, how, DNN_POINTWISE_PRECISION, DNN_TYPE_DATA_TYPE, 1, &precision, what);
    if (mode == DNN_INDEX)
        set(g, how, DNN_POINTWISE_AXIS, DNN_TYPE_INT64, 1, &axis, what);
    finalize(g, how, what);
    void *o = create(g, DNN_OPERATION_POINTWISE, what);
    set_desc(g, o, DNN_OPERATION_POINTWISE_DESC, how, what);
    set_desc(g, o, DNN_OPERATION_POINTWISE_X, x, what);
    if (b)
        set_desc(g, o, DNN_OPERATION_POINTWISE_B, b, what);
    if (t)
        set_desc(g, o, DNN_OPERATION_POINTWISE_T, t, what);
    set_desc(g, o, DNN_OPERATION_POINTWISE_Y, y, what);
    add_operation(g, o, what);
}

void gx_cudnn_graph_reduce(struct gx_cudnn_graph *g, int operator, void * x, void *y)
{
    static const char what[] = "a reduction";
    const int precision = DNN_FLOAT;
    void *how = create(g, DNN_REDUCTION, what);
    set(g, how, DNN_REDUCTION_OPERATOR, DNN_TYPE_REDUCTION, 1, &operator, what);
    set(g, how, DNN_REDUCTION_PRECISION, DNN_TYPE_DATA_TYPE, 1, &precision, what);
    finalize(g, how, what);
    void *o = create(g, DNN_OPERATION_REDUCTION, what);
    set_desc(g, o, DNN_OPERATION_REDUCTION_DESC, how, what);
    set_desc(g, o, DNN_OPERATION_REDUCTION_X, x, what);
    set_desc(g, o, DNN_OPERATION_REDUCTION_Y, y, what);
    add_operation(g, o, what);
}

void gx_cudnn_graph_reshape(struct gx_cudnn_graph *g, void *x, void *y)
{
    static const char what[] = "a reshape";
    void *o = create(g, DNN_OPERATION_RESHAPE, what);
    set_desc(g, o, DNN_OPERATION_RESHAPE_X, x, what);
    set_desc(g, o, DNN_OPERATION_RESHAPE_Y, y, what);
    add_operation(g, o, what);
}

/* ---- the plan ---- */

/* cuDNN's choices, best first; their number. */
static int64_t ask(struct gx_cudnn_graph *g, void *operations, void **configs)
{
    static const char what[] = "the choice of a kernel";
    const struct gx_cudnn *l = g->library;
    const int mode = DNN_HEURISTIC_A;
    int64_t found = 0;
    void *asked = create(g, DNN_HEURISTICS, what);
    set_desc(g, asked, DNN_HEURISTICS_GRAPH, operations, what);
    set(g, asked, DNN_HEURISTICS_MODE, DNN_TYPE_HEURISTIC, 1, &mode, what);
    if (l->target)
        set_desc(g, asked, DNN_HEURISTICS_DEVICE, l->target, what);
    finalize(g, asked, what);
    for (int i = 0; i < CHOICES; i++)
        configs[i] = create(g, DNN_ENGINE_CONFIG, what);
    if (g->status == DNN_SUCCESS)
        ok(g,
           l->dnn.desc_get(asked, DNN_HEURISTICS_RESULTS, DNN_TYPE_DESCRIPTOR, CHOICES, &found,
                           configs),
           what);
    return g->status == DNN_SUCCESS ? found : 0;
}

/* Whether a plan could be made of this choice. */
static bool try_choice(struct gx_cudnn_graph *g, void *config)
{
    static const char what[] = "a plan";
    const struct gx_cudnn *l = g->library;
    int64_t bytes = 0, count = 0;
    g->status = DNN_SUCCESS;
    void *plan = create(g, DNN_PLAN, what);
    set_desc(g, plan, DNN_PLAN_CONFIG, config, what);
    if (l->handle)
        set(g, plan, DNN_PLAN_HANDLE, DNN_TYPE_HANDLE, 1, &l->handle, what);
    else
        set_desc(g, plan, DNN_PLAN_DEVICE, l->target, what);
    if (!finalize(g, plan, what) ||
        !ok(g, l->dnn.desc_get(plan, DNN_PLAN_WORKSPACE_BYTES, DNN_TYPE_INT64, 1, &count, &bytes),
            what))
        return false;
    g->plan = plan;
    g->workspace_bytes = (size_t)bytes;
    return true;
}

int gx_cudnn_graph_plan(struct gx_cudnn_graph *g, const char *name)
{
    static const char what[] = "the graph of operations";
    struct gx_cudnn *l = g->library;
    void *configs[CHOICES];
    void *operations = create(g, DNN_OPERATION_GRAPH, what);
    set(g, operations, DNN_GRAPH_OPERATIONS, DNN_TYPE_DESCRIPTOR, g->operation_count, g->operations,
        what);
    if (l->handle)
        set(g, operations, DNN_GRAPH_HANDLE, DNN_TYPE_HANDLE, 1, &l->handle, what);
    finalize(g, operations, what);
    const int64_t found = ask(g, operations, configs);
    for (int64_t i = 0; i < found; i++)
        if (try_choice(g, configs[i]))
            return 0;
    char why[512] = "";
    l->dnn.last_error(why, sizeof(why));
    return fail(l, -ENOTSUP, "cuDNN %zu.%zu has no kernel for %s here: %s, %s (%.200s)",
                l->dnn.version() / 10000, l->dnn.version() / 100 % 100, name,
                g->failed ? g->failed : what, l->dnn.status_name(g->status), why);
}

int gx_cudnn_graph_run(const struct gx_cudnn_graph *g, const struct gx_cudnn_argument *arguments,
                       unsigned count, void *workspace, struct gx_dev_stream *stream)
{
    struct gx_cudnn *l = g->library;
    int64_t ids[GX_CUDNN_TENSORS_MAX];
    void *addresses[GX_CUDNN_TENSORS_MAX], *pack = NULL;
    GX_ASSERT(count <= GX_CUDNN_TENSORS_MAX);
    for (unsigned i = 0; i < count; i++) {
        ids[i] = arguments[i].id;
        addresses[i] = arguments[i].address;
    }
    int bad = l->dnn.set_stream(l->handle, stream);
    bad = bad ? bad : l->dnn.desc_create(DNN_VARIANT_PACK, &pack);
    bad = bad ? bad : l->dnn.desc_set(pack, DNN_PACK_IDS, DNN_TYPE_INT64, count, ids);
    bad = bad ? bad : l->dnn.desc_set(pack, DNN_PACK_POINTERS, DNN_TYPE_VOID_PTR, count, addresses);
    bad = bad ? bad : l->dnn.desc_set(pack, DNN_PACK_WORKSPACE, DNN_TYPE_VOID_PTR, 1, &workspace);
    bad = bad ? bad : l->dnn.finalize(pack);
    bad = bad ? bad : l->dnn.execute(l->handle, g->plan, pack);
    if (pack)
        l->dnn.desc_destroy(pack);
    return bad ? fail(l, -EIO, "cudnnBackendExecute: %s", l->dnn.status_name(bad)) : 0;
}
