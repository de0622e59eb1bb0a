/* trainer/cuda/attention_graph.c and cudnn_graph.c with cuDNN itself, where it is installed: it plans attention both ways, for
 * GPUs that are not here. What it compiled can't be run: on a GPU test_attention_cudnn.c does that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "cuda/attention_graph.h"
#include "sanitized.h"

/* cuDNN plans for a GPU that is only described from here on. */
#define DESCRIBED_VERSION_MIN 91100

/* Its shared memory, registers and sizes; numbers of processors and clocks are an A100's, an H100's and a B200's. */
static const char description[] =
    "{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],"
    "\"regsPerBlock\":65536,\"multiProcessorCount\":%d,\"smCountOrigin\":0,\"warpSize\":32,"
    "\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":%d,"
    "\"reservedSharedMemoryPerBlock\":1024,\"oversizedSharedMemoryPerBlock\":0,"
    "\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,"
    "\"maxThreadsPerSM\":2048,\"pciDeviceId\":0,\"isTccDriver\":0,\"supportCoopLaunch\":1,"
    "\"totalGlobalMem\":84987740160,\"smClockRateKHz\":%d,\"memClockRateKHz\":2619000,"
    "\"memoryBusWidth\":5120,\"l2CacheSize\":41943040,\"cudaDeviceId\":0,\"deviceVer\":%d,"
    "\"driverVer\":13000,\"deviceName\":\"test\"}";

struct gpu {
    const char *name;
    int version, processors, shared_bytes, clock_khz;
};
static const struct gpu gpus[] = {
    {"sm_80", 800, 108, 166912, 1410000},
    {"sm_90", 900, 132, 232448, 1980000},
    {"sm_100", 1000, 148, 232448, 1965000},
};

static struct gx_cudnn library;

/* cuDNN's status. */
static int aim(const struct gpu *gpu)
{
    char text[2048];
    const int length = snprintf(text, sizeof(text), description, gpu->processors, gpu->shared_bytes,
                                gpu->clock_khz, gpu->version);
    if (library.target)
        library.dnn.desc_destroy(library.target);
    int bad = library.dnn.desc_create(DNN_DEVICE, &library.target);
    bad = bad ? bad
              : library.dnn.desc_set(library.target, DNN_DEVICE_JSON, DNN_TYPE_CHAR, length + 1,
                                     text);
    return bad ? bad : library.dnn.finalize(library.target);
}

static void assert_planned(const struct gpu *gpu, struct gx_gpu_attention_shape shape)
{
    struct gx_cudnn_graph graph;
    assert_int_equal(aim(gpu), DNN_SUCCESS);
    gx_cudnn_graph_init(&graph, &library);
    gx_attention_graph_forward(&graph, shape);
    if (gx_cudnn_graph_plan(&graph, "attention") != 0)
        fail_msg("%s, heads of %u: %s", gpu->name, shape.head_values, library.why);
    gx_cudnn_graph_fini(&graph);
    gx_cudnn_graph_init(&graph, &library);
    gx_attention_graph_backward(&graph, shape);
    if (gx_cudnn_graph_plan(&graph, "the way back") != 0)
        fail_msg("%s, heads of %u, way back: %s", gpu->name, shape.head_values, library.why);
    print_message("# %s, heads of %u: the way back takes %zu bytes of workspace\n", gpu->name,
                  shape.head_values, graph.workspace_bytes);
    gx_cudnn_graph_fini(&graph);
}

static void every_architecture_has_kernels(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(gpus) / sizeof(gpus[0]); i++)
        assert_planned(&gpus[i], (struct gx_gpu_attention_shape){64, 1024, 12, 64});
}

static void every_size_of_heads_has_kernels(void **state)
{
    (void)state;
    assert_planned(&gpus[1], (struct gx_gpu_attention_shape){64, 1024, 24, 32});
    assert_planned(&gpus[1], (struct gx_gpu_attention_shape){64, 1024, 6, 128});
    assert_planned(&gpus[1], (struct gx_gpu_attention_shape){3, 200, 5, 64});
}

/* The library is not kept, and what is wrong is said. */
static void a_graph_without_kernels_is_refused(void **state)
{
    (void)state;
    struct gx_cudnn_graph graph;
    assert_int_equal(aim(&gpus[1]), DNN_SUCCESS);
    gx_cudnn_graph_init(&graph, &library);
    gx_attention_graph_forward(&graph, (struct gx_gpu_attention_shape){1, 64, 1, 63});
    assert_true(gx_cudnn_graph_plan(&graph, "heads of 63") < 0);
    assert_non_null(strstr(library.why, "heads of 63"));
    assert_non_null(strstr(library.why, "CUDNN_STATUS"));
    gx_cudnn_graph_fini(&graph);
}

/* NULL: ready; else why not. */
static const char *prepare(const char *program)
{
    char path[4096];
#ifdef GX_SANITIZED
    (void)program;
    (void)path;
    return "cuDNN is not looked at by sanitizers";
#else
    if (dlopen("libcuda.so.1", RTLD_NOW))
        return "there is a driver here: test_attention_cudnn.c runs what this one only plans";
    const char *slash = strrchr(program, '/');
    snprintf(path, sizeof(path), "%.*s/../../../lib/nodriver.so",
             slash ? (int)(slash - program) : 1, slash ? program : ".");
    if (!dlopen(path, RTLD_NOW | RTLD_GLOBAL))
        return dlerror();
    if (gx_cudnn_load(&library) != 0)
        return library.why;
    if (library.dnn.version() < DESCRIBED_VERSION_MIN)
        return "cuDNN before 9.11 plans for no GPU that is not here";
    return aim(&gpus[1]) == DNN_SUCCESS ? NULL : "cuDNN knows no described GPU, or lacks a part";
#endif
}

int main(int argc, char **argv)
{
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_architecture_has_kernels),
        cmocka_unit_test(every_size_of_heads_has_kernels),
        cmocka_unit_test(a_graph_without_kernels_is_refused),
    };
    const char *why = prepare(argv[0]);
    if (why) {
        printf("skip: %s\n", why);
        return 77;
    }
    int failed = cmocka_run_group_tests_name("cuda/attention_graph", tests, NULL, NULL);
    gx_cudnn_close(&library);
    return failed;
}
