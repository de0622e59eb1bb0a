/* What cudnn_graph.c uses of cuDNN 9's backend interface. Declared here, so that a machine without cuDNN's headers builds the
 * trainer; cudnn_check.c compares where they are. */
#ifndef GX_TRAINER_CUDA_CUDNN_H
#define GX_TRAINER_CUDA_CUDNN_H

#include <stddef.h>
#include <stdint.h>

enum { DNN_SUCCESS = 0 };
enum { DNN_FLOAT = 0, DNN_INT32 = 4, DNN_BFLOAT16 = 9, DNN_BOOLEAN = 11 };

/* Descriptors. */
enum {
    DNN_POINTWISE = 0,
    DNN_ENGINE_CONFIG = 3,
    DNN_HEURISTICS = 4,
    DNN_PLAN = 5,
    DNN_OPERATION_POINTWISE = 13,
    DNN_OPERATION_GRAPH = 15,
    DNN_VARIANT_PACK = 16,
    DNN_TENSOR = 17,
    DNN_MATMUL = 18,
    DNN_OPERATION_MATMUL = 19,
    DNN_REDUCTION = 21,
    DNN_OPERATION_REDUCTION = 22,
    DNN_OPERATION_RESHAPE = 31,
    DNN_DEVICE = 38,
};

/* Types of attributes. */
enum {
    DNN_TYPE_HANDLE = 0,
    DNN_TYPE_DATA_TYPE = 1,
    DNN_TYPE_BOOLEAN = 2,
    DNN_TYPE_INT64 = 3,
    DNN_TYPE_VOID_PTR = 6,
    DNN_TYPE_HEURISTIC = 8,
    DNN_TYPE_POINTWISE = 14,
    DNN_TYPE_DESCRIPTOR = 15,
    DNN_TYPE_REDUCTION = 18,
    DNN_TYPE_CHAR = 24,
};

/* Attributes. */
enum {
    DNN_POINTWISE_MODE = 0,
    DNN_POINTWISE_PRECISION = 1,
    DNN_POINTWISE_AXIS = 9,
    DNN_HEURISTICS_MODE = 200,
    DNN_HEURISTICS_GRAPH = 201,
    DNN_HEURISTICS_RESULTS = 202,
    DNN_HEURISTICS_DEVICE = 204,
    DNN_PLAN_HANDLE = 400,
    DNN_PLAN_CONFIG = 401,
    DNN_PLAN_WORKSPACE_BYTES = 402,
    DNN_PLAN_DEVICE = 407,
    DNN_OPERATION_POINTWISE_DESC = 750,
    DNN_OPERATION_POINTWISE_X = 751,
    DNN_OPERATION_POINTWISE_B = 752,
    DNN_OPERATION_POINTWISE_Y = 753,
    DNN_OPERATION_POINTWISE_T = 758,
    DNN_GRAPH_HANDLE = 800,
    DNN_GRAPH_OPERATIONS = 801,
    DNN_TENSOR_ALIGNMENT = 900,
    DNN_TENSOR_TYPE = 901,
    DNN_TENSOR_SIZES = 902,
    DNN_TENSOR_STRIDES = 903,
    DNN_TENSOR_ID = 906,
    DNN_TENSOR_VIRTUAL = 907,
    DNN_TENSOR_BY_VALUE = 908,
    DNN_PACK_IDS = 1000,
    DNN_PACK_POINTERS = 1001,
    DNN_PACK_WORKSPACE = 1003,
    DNN_MATMUL_PRECISION = 1500,
    DNN_OPERATION_MATMUL_A = 1520,
    DNN_OPERATION_MATMUL_B = 1521,
    DNN_OPERATION_MATMUL_C = 1522,
    DNN_OPERATION_MATMUL_DESC = 1523,
    DNN_REDUCTION_OPERATOR = 1600,
    DNN_REDUCTION_PRECISION = 1601,
    DNN_OPERATION_REDUCTION_X = 1610,
    DNN_OPERATION_REDUCTION_Y = 1611,
    DNN_OPERATION_REDUCTION_DESC = 1612,
    DNN_OPERATION_RESHAPE_X = 2200,
    DNN_OPERATION_RESHAPE_Y = 2201,
    DNN_DEVICE_JSON = 2702,
};

/* Values of attributes. */
enum { DNN_HEURISTIC_A = 3 };
enum { DNN_SUM = 0, DNN_MAX = 3 };
enum {
    DNN_ADD = 0,
    DNN_MUL = 1,
    DNN_DIV = 6,
    DNN_SUB = 9,
    DNN_EXP = 13,
    DNN_LOG = 15,
    DNN_IDENTITY = 21,
    DNN_GREATER_EQUAL = 303,
    DNN_INDEX = 501,
    DNN_SELECT = 601, /* y = t ? x : b */
};

/* F(returns, member, name after cudnn, parameters); int: a cudnnStatus_t. */
#define DNN_FUNCTIONS(F)                                                                           \
    F(size_t, version, "GetVersion", (void))                                                       \
    F(const char *, status_name, "GetErrorString", (int status))                                   \
    F(void, last_error, "GetLastErrorString", (char *message, size_t bytes))                       \
    F(int, create, "Create", (void **handle))                                                      \
    F(int, destroy, "Destroy", (void *handle))                                                     \
    F(int, set_stream, "SetStream", (void *handle, void *stream))                                  \
    F(int, desc_create, "BackendCreateDescriptor", (int kind, void **desc))                        \
    F(int, desc_destroy, "BackendDestroyDescriptor", (void *desc))                                 \
    F(int, desc_set, "BackendSetAttribute",                                                        \
      (void *desc, int attribute, int type, int64_t count, const void *values))                    \
    F(int, desc_get, "BackendGetAttribute",                                                        \
      (void *desc, int attribute, int type, int64_t wanted, int64_t *count, void *values))         \
    F(int, finalize, "BackendFinalize", (void *desc))                                              \
    F(int, execute, "BackendExecute", (void *handle, void *plan, void *pack))

#endif
