/* The graphs of operations by which cuDNN knows attention's way forward and back: it recognises them as a whole and runs
 * kernels made for them. Layouts as in attention.h; bf16, causal.
 */
#ifndef GX_TRAINER_CUDA_ATTENTION_GRAPH_H
#define GX_TRAINER_CUDA_ATTENTION_GRAPH_H

#include "cuda/attention.h"
#include "cuda/cudnn_graph.h"

/* What a run names; SCALE, LOWEST and ONE are values. */
enum gx_attention_argument {
    GX_ARGUMENT_Q = 1,
    GX_ARGUMENT_K,
    GX_ARGUMENT_V,
    GX_ARGUMENT_OUT,
    GX_ARGUMENT_LSE,
    GX_ARGUMENT_SCALE,  /* 1 / sqrt(head_values) */
    GX_ARGUMENT_LOWEST, /* what a masked score becomes: gx_attention_lowest() */
    /* on the way back only */
    GX_ARGUMENT_ONE, /* 1 */
    GX_ARGUMENT_DOUT,
    GX_ARGUMENT_DELTA,  /* FP32 [batch][heads][context], scratch */
    GX_ARGUMENT_DQ_SUM, /* FP32 [batch][heads][context][head_values], scratch */
    GX_ARGUMENT_DQ,
    GX_ARGUMENT_DK,
    GX_ARGUMENT_DV,
};

float gx_attention_lowest(const struct gx_cudnn *library);

/* Add the operations to a graph that was just made. */
void gx_attention_graph_forward(struct gx_cudnn_graph *graph, struct gx_gpu_attention_shape shape);
void gx_attention_graph_backward(struct gx_cudnn_graph *graph, struct gx_gpu_attention_shape shape);

#endif
