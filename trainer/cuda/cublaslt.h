/* What matmul.c uses of cuBLASLt's binary interface, which has not changed since cuBLAS 11. Declared here, so that a
 * machine without cuBLAS's headers builds the trainer; cublaslt_check.c compares where they are. */
#ifndef GX_TRAINER_CUDA_CUBLASLT_H
#define GX_TRAINER_CUDA_CUBLASLT_H

#include <stddef.h>
#include <stdint.h>

enum { LT_SUCCESS = 0, LT_NOT_SUPPORTED = 15 };
enum { LT_R_32F = 0, LT_R_16BF = 14 };
enum { LT_COMPUTE_32F = 68, LT_COMPUTE_32F_FAST_TF32 = 77 };
enum { LT_OP_N = 0, LT_OP_T = 1 };
enum {
    LT_DESC_TRANSA = 3,
    LT_DESC_TRANSB = 4,
    LT_DESC_EPILOGUE = 7,
    LT_DESC_BIAS_POINTER = 8,
    LT_DESC_AUX_POINTER = 11,
    LT_DESC_AUX_LD = 12,
};
enum {
    LT_EPILOGUE_DEFAULT = 1,
    LT_EPILOGUE_BIAS = 4,
    LT_EPILOGUE_GELU_AUX_BIAS = 164,
    LT_EPILOGUE_DGELU = 192,
    LT_EPILOGUE_BGRADB = 512,
};
enum {
    LT_PREF_MAX_WORKSPACE_BYTES = 1,
    LT_PREF_MIN_ALIGNMENT_A_BYTES = 5, /* then B, C, D */
};

struct lt_algo {
    uint64_t data[8];
};

struct lt_choice { /* cublasLtMatmulHeuristicResult_t */
    struct lt_algo algo;
    size_t workspace_bytes;
    int state;
    float waves;
    int reserved[4];
};

/* F(member, name after cublasLt, parameters): each returns a cublasStatus_t. */
#define LT_FUNCTIONS(F)                                                                            \
    F(create, "Create", (void **handle))                                                           \
    F(destroy, "Destroy", (void *handle))                                                          \
    F(desc_create, "MatmulDescCreate", (void **desc, int compute, int scale))                      \
    F(desc_destroy, "MatmulDescDestroy", (void *desc))                                             \
    F(desc_set, "MatmulDescSetAttribute",                                                          \
      (void *desc, int attribute, const void *value, size_t bytes))                                \
    F(layout_create, "MatrixLayoutCreate",                                                         \
      (void **layout, int type, uint64_t rows, uint64_t columns, int64_t ld))                      \
    F(layout_destroy, "MatrixLayoutDestroy", (void *layout))                                       \
    F(pref_create, "MatmulPreferenceCreate", (void **preference))                                  \
    F(pref_destroy, "MatmulPreferenceDestroy", (void *preference))                                 \
    F(pref_set, "MatmulPreferenceSetAttribute",                                                    \
      (void *preference, int attribute, const void *value, size_t bytes))                          \
    F(heuristic, "MatmulAlgoGetHeuristic",                                                         \
      (void *handle, void *desc, void *a, void *b, void *c, void *d, void *preference, int count,  \
       struct lt_choice *choices, int *found))                                                     \
    F(matmul, "Matmul",                                                                            \
      (void *handle, void *desc, const void *alpha, const void *a, void *a_layout, const void *b,  \
       void *b_layout, const void *beta, const void *c, void *c_layout, void *d, void *d_layout,   \
       const struct lt_algo *algo, void *workspace, size_t workspace_bytes, void *stream))

#endif
