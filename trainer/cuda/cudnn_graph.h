/* gx_cudnn_graph: a graph of operations for cuDNN 9's backend, and the plan that it makes of one.
 *
 * Library   loaded at run time. It needs a GPU's context; a graph may also be planned for a GPU that is not here
 *           (`target`), and is then never run.
 * Building  tensors, then operations, then gx_cudnn_graph_plan(). What is refused is kept and told by that; descriptors
 *           are the graph's, and go with gx_cudnn_graph_fini().
 * Tensors   have four dimensions. One with an `id` is the caller's and gets an address in each run; VALUE ones are host
 *           addresses of one float. One with id 0 is virtual: it is never in memory.
 * Errors    -errno, with the line for the user in `why` of the library. Nothing is kept as the device's failure: there is
 *           another way to do what a graph does.
 */
#ifndef GX_TRAINER_CUDA_CUDNN_GRAPH_H
#define GX_TRAINER_CUDA_CUDNN_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda/cudnn.h"

/* Before this, the way back of attention wants its FP32 sums zeroed. */
#define GX_CUDNN_VERSION_MIN 90600

#define GX_CUDNN_DESCRIPTORS_MAX 96
#define GX_CUDNN_OPERATIONS_MAX 24
#define GX_CUDNN_TENSORS_MAX 16 /* of the caller's */

struct gx_dev_stream;

struct gx_cudnn {
    void *object; /* dlopen's */
    void *handle; /* NULL where there is no GPU */
    void *target; /* a descriptor of the GPU to plan for, where there is no handle */
    char why[512];
    struct {
#define MEMBER(returns, member, name, parameters) returns(*member) parameters;
        DNN_FUNCTIONS(MEMBER)
#undef MEMBER
    } dnn;
};

/* Loads the library. -ENOENT: it is not installed, or too old. To be closed after a failure too. */
int gx_cudnn_load(struct gx_cudnn *library);
/* After that: takes the GPU that this process uses. */
int gx_cudnn_start(struct gx_cudnn *library);
void gx_cudnn_close(struct gx_cudnn *library); /* what is all zero is allowed; `why` stays */

struct gx_cudnn_graph {
    struct gx_cudnn *library;
    void *descriptors[GX_CUDNN_DESCRIPTORS_MAX];
    void *operations[GX_CUDNN_OPERATIONS_MAX];
    unsigned descriptor_count, operation_count;
    int64_t next_id; /* of virtual tensors */
    int status;      /* cuDNN's, of what failed first */
    const char *failed;
    void *plan;
    size_t workspace_bytes;
};

enum gx_cudnn_place { GX_CUDNN_MEMORY, GX_CUDNN_VIRTUAL, GX_CUDNN_VALUE };

struct gx_cudnn_tensor {
    enum gx_cudnn_place place;
    int type; /* DNN_FLOAT and so on */
    int64_t id;
    int64_t sizes[4], strides[4];
};

void gx_cudnn_graph_init(struct gx_cudnn_graph *graph, struct gx_cudnn *library);
void gx_cudnn_graph_fini(struct gx_cudnn_graph *graph); /* what is all zero is allowed */

/* A descriptor for the operations below. */
void *gx_cudnn_graph_tensor(struct gx_cudnn_graph *graph, const struct gx_cudnn_tensor *tensor);

/* c = a b, over the last two dimensions. */
void gx_cudnn_graph_multiply(struct gx_cudnn_graph *graph, void *a, void *b, void *c);
/* y = mode(x), or mode(x, b), or mode(x, b, t): NULL is none. Computed in `precision`. `axis`: of DNN_INDEX. */
void gx_cudnn_graph_pointwise(struct gx_cudnn_graph *graph, int mode, int precision, int64_t axis,
                              void *x, void *b, void *t, void *y);
/* y has one value in the dimensions that are summed up (DNN_SUM) or of which the greatest is wanted (DNN_MAX). */
void gx_cudnn_graph_reduce(struct gx_cudnn_graph *graph, int operator, void * x, void *y);
/* y sees x's values by other strides. */
void gx_cudnn_graph_reshape(struct gx_cudnn_graph *graph, void *x, void *y);

/* Chooses a kernel. -ENOTSUP: cuDNN has none for this graph on this GPU; `what` names it. */
int gx_cudnn_graph_plan(struct gx_cudnn_graph *graph, const char *what);

struct gx_cudnn_argument {
    int64_t id;
    void *address;
};

/* Queues a planned graph. The values behind VALUE arguments are taken at once. */
int gx_cudnn_graph_run(const struct gx_cudnn_graph *graph,
                       const struct gx_cudnn_argument *arguments, unsigned count, void *workspace,
                       struct gx_dev_stream *stream);

#endif
