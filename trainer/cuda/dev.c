/* The CUDA runtime behind dev.h. */
#include "cuda/dev.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cuda_runtime_api.h>

#define CAPABILITY_MIN 80u /* bf16 on tensor cores, cp.async */

/* The first failure; it stays, because what follows it is of no use. */
static struct {
    int error;
    char text[400];
} kept;

int gx_dev_fail(int error, const char *format, ...)
{
    if (kept.error != 0)
        return kept.error;
    va_list args;
    va_start(args, format);
    vsnprintf(kept.text, sizeof(kept.text), format, args);
    va_end(args);
    kept.error = error;
    return error;
}

const char *gx_dev_error(void)
{
    return kept.text;
}

static int error_of(cudaError_t status)
{
    return status == cudaErrorMemoryAllocation     ? -ENOMEM
           : status == cudaErrorNoDevice           ? -ENODEV
           : status == cudaErrorInsufficientDriver ? -ENODEV
                                                   : -EIO;
}

static int check(cudaError_t status, const char *what)
{
    if (status == cudaSuccess)
        return 0;
    if (status == cudaErrorNoKernelImageForDevice)
        return gx_dev_fail(-ENODEV,
                           "%s: this program holds no code for this GPU: build with CUDA_ARCHS=all",
                           what);
    return gx_dev_fail(error_of(status), "%s: %s", what, cudaGetErrorString(status));
}

/* ---- the device ---- */

/* Why no device answers. `driver` 0: there is none. */
static int no_device(cudaError_t status, int driver)
{
    const int runtime = CUDART_VERSION;
    if (driver == 0)
        return gx_dev_fail(-ENODEV, "no NVIDIA driver on this machine (libcuda.so.1): install "
                                    "it, or use --device cpu");
    if (status == cudaErrorInsufficientDriver)
        return gx_dev_fail(-ENODEV,
                           "the NVIDIA driver is too old: it serves CUDA %d.%d, this program needs "
                           "%d.%d: update it, or build with an older toolkit",
                           driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    if (status == cudaErrorNoDevice)
        return gx_dev_fail(-ENODEV, "the driver is there, but no GPU (CUDA_VISIBLE_DEVICES, or "
                                    "the container's --gpus?): use --device cpu");
    return gx_dev_fail(-ENODEV, "no GPU: %s", cudaGetErrorString(status));
}

static int count_devices(int *count)
{
    int driver = 0;
    if (cudaDriverGetVersion(&driver) != cudaSuccess)
        driver = 0;
    cudaError_t status = cudaGetDeviceCount(count);
    if (status == cudaSuccess && *count > 0)
        return 0;
    return no_device(status == cudaSuccess ? cudaErrorNoDevice : status, driver);
}

bool gx_dev_present(void)
{
    int count;
    kept.error = 0;
    return count_devices(&count) == 0;
}

static int describe(uint32_t index, struct gx_dev_properties *p)
{
    struct cudaDeviceProp prop;
    int driver = 0;
    size_t free_bytes, total_bytes;
    int rc = check(cudaGetDeviceProperties(&prop, (int)index), "cudaGetDeviceProperties");
    if (rc == 0)
        rc = check(cudaMemGetInfo(&free_bytes, &total_bytes), "cudaMemGetInfo");
    if (rc != 0)
        return rc;
    cudaDriverGetVersion(&driver);
    *p = (struct gx_dev_properties){
        .capability = (uint32_t)(prop.major * 10 + prop.minor),
        .processors = (uint32_t)prop.multiProcessorCount,
        .driver = (uint32_t)driver,
        .runtime = CUDART_VERSION,
        .memory_bytes = total_bytes,
        .free_bytes = free_bytes,
        .shared_bytes_max = prop.sharedMemPerBlockOptin,
    };
    snprintf(p->name, sizeof(p->name), "%s", prop.name);
    if (p->capability < CAPABILITY_MIN)
        return gx_dev_fail(-ENODEV,
                           "GPU %u, %s, has compute capability %d.%d: %u.%u or newer is needed "
                           "(A100, or later)",
                           index, prop.name, prop.major, prop.minor, CAPABILITY_MIN / 10,
                           CAPABILITY_MIN % 10);
    return 0;
}

int gx_dev_open(uint32_t index, struct gx_dev_properties *properties)
{
    int count = 0;
    kept.error = 0;
    int rc = count_devices(&count);
    if (rc != 0)
        return rc;
    if (index >= (uint32_t)count)
        return gx_dev_fail(-ENODEV, "GPU %u: this machine has %d, numbered from 0", index, count);
    rc = check(cudaSetDevice((int)index), "cudaSetDevice");
    return rc == 0 ? describe(index, properties) : rc;
}

/* No cudaDeviceReset(): it would take the context away under libraries that keep state in it until the process ends (cuDNN
 * its kernels, NCCL). */
void gx_dev_close(void)
{
    cudaDeviceSynchronize();
}

void gx_dev_launched(const char *kernel)
{
    cudaError_t status = cudaGetLastError();
    if (status == cudaSuccess)
        return;
    char what[128];
    snprintf(what, sizeof(what), "kernel %s", kernel);
    check(status, what);
}

/* ---- memory ---- */

int gx_dev_alloc(void **out, size_t bytes)
{
    cudaError_t status = cudaMalloc(out, bytes);
    if (status != cudaErrorMemoryAllocation)
        return check(status, "cudaMalloc");
    cudaGetLastError(); /* it is not one that stays */
    return gx_dev_fail(-ENOMEM, "%zu MiB of the GPU's memory are wanted, and not free",
                       bytes >> 20);
}

void gx_dev_free(void *memory)
{
    cudaFree(memory);
}

int gx_dev_host_alloc(void **out, size_t bytes)
{
    return check(cudaMallocHost(out, bytes), "cudaMallocHost");
}

void gx_dev_host_free(void *memory)
{
    cudaFreeHost(memory);
}

int gx_dev_host_register(void *memory, size_t bytes, const char **why)
{
    cudaError_t status =
        cudaHostRegister(memory, bytes, cudaHostRegisterPortable | cudaHostRegisterMapped);
    if (status == cudaSuccess)
        return 0;
    cudaGetLastError(); /* it is not one that stays */
    *why = cudaGetErrorString(status);
    return -ENOTSUP;
}

void gx_dev_host_unregister(void *memory)
{
    cudaHostUnregister(memory);
}

/* ---- streams and events ---- */

static cudaStream_t cuda_stream(struct gx_dev_stream *stream)
{
    return (cudaStream_t)(void *)stream;
}

static cudaEvent_t cuda_event(struct gx_dev_event *event)
{
    return (cudaEvent_t)(void *)event;
}

int gx_dev_stream_create(struct gx_dev_stream **out, bool urgent)
{
    int least, greatest;
    cudaStream_t stream = NULL;
    int rc = check(cudaDeviceGetStreamPriorityRange(&least, &greatest),
                   "cudaDeviceGetStreamPriorityRange");
    if (rc == 0)
        rc = check(
            cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, urgent ? greatest : least),
            "cudaStreamCreate");
    *out = (struct gx_dev_stream *)(void *)stream;
    return rc;
}

void gx_dev_stream_destroy(struct gx_dev_stream *stream)
{
    if (stream)
        cudaStreamDestroy(cuda_stream(stream));
}

int gx_dev_sync(struct gx_dev_stream *stream)
{
    if (kept.error == 0)
        check(cudaStreamSynchronize(cuda_stream(stream)), "a kernel on the GPU");
    return kept.error;
}

int gx_dev_event_create(struct gx_dev_event **out, bool timed)
{
    cudaEvent_t event = NULL;
    int rc =
        check(cudaEventCreateWithFlags(&event, timed ? cudaEventDefault : cudaEventDisableTiming),
              "cudaEventCreate");
    *out = (struct gx_dev_event *)(void *)event;
    return rc;
}

void gx_dev_event_destroy(struct gx_dev_event *event)
{
    if (event)
        cudaEventDestroy(cuda_event(event));
}

void gx_dev_event_record(struct gx_dev_event *event, struct gx_dev_stream *stream)
{
    check(cudaEventRecord(cuda_event(event), cuda_stream(stream)), "cudaEventRecord");
}

void gx_dev_event_wait(struct gx_dev_event *event, struct gx_dev_stream *stream)
{
    check(cudaStreamWaitEvent(cuda_stream(stream), cuda_event(event), 0), "cudaStreamWaitEvent");
}

int gx_dev_event_query(struct gx_dev_event *event)
{
    if (kept.error != 0)
        return kept.error;
    cudaError_t status = cudaEventQuery(cuda_event(event));
    return status == cudaErrorNotReady ? -EAGAIN : check(status, "a kernel on the GPU");
}

int gx_dev_event_sync(struct gx_dev_event *event)
{
    if (kept.error == 0)
        check(cudaEventSynchronize(cuda_event(event)), "a kernel on the GPU");
    return kept.error;
}

float gx_dev_event_ms(struct gx_dev_event *from, struct gx_dev_event *to)
{
    float ms = 0;
    check(cudaEventElapsedTime(&ms, cuda_event(from), cuda_event(to)), "cudaEventElapsedTime");
    return ms;
}

/* ---- queued on a stream ---- */

void gx_dev_copy_in(void *device, const void *host, size_t bytes, struct gx_dev_stream *stream)
{
    check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, cuda_stream(stream)),
          "a copy to the GPU");
}

void gx_dev_copy_out(void *host, const void *device, size_t bytes, struct gx_dev_stream *stream)
{
    check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, cuda_stream(stream)),
          "a copy from the GPU");
}

void gx_dev_copy(void *to, const void *from, size_t bytes, struct gx_dev_stream *stream)
{
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, cuda_stream(stream)),
          "a copy in the GPU");
}

void gx_dev_zero(void *device, size_t bytes, struct gx_dev_stream *stream)
{
    check(cudaMemsetAsync(device, 0, bytes, cuda_stream(stream)), "cudaMemset");
}

/* ---- graphs ---- */

int gx_dev_graph_begin(struct gx_dev_stream *stream)
{
    return check(cudaStreamBeginCapture(cuda_stream(stream), cudaStreamCaptureModeThreadLocal),
                 "cudaStreamBeginCapture");
}

int gx_dev_graph_end(struct gx_dev_graph **out, struct gx_dev_stream *stream)
{
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    *out = NULL;
    int rc = check(cudaStreamEndCapture(cuda_stream(stream), &graph), "cudaStreamEndCapture");
    if (rc == 0)
        rc = check(cudaGraphInstantiateWithFlags(&exec, graph, 0), "cudaGraphInstantiate");
    if (graph)
        cudaGraphDestroy(graph);
    *out = (struct gx_dev_graph *)(void *)exec;
    return rc == 0 ? kept.error : rc;
}

void gx_dev_graph_launch(struct gx_dev_graph *graph, struct gx_dev_stream *stream)
{
    check(cudaGraphLaunch((cudaGraphExec_t)(void *)graph, cuda_stream(stream)), "cudaGraphLaunch");
}

void gx_dev_graph_destroy(struct gx_dev_graph *graph)
{
    if (graph)
        cudaGraphExecDestroy((cudaGraphExec_t)(void *)graph);
}
