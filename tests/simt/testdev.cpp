/* tests/unit/cuda/device.h on the emulation: kernels run at once, in guarded memory. */
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "simt/queue.h"
#include "simt/simt.h"
#include "unit/cuda/device.h"

/* Kernel tests may ask cuDNN's twin. */
struct gx_dev_stream *test_stream(void)
{
    gx_simt_faults.cudnn = true;
    return NULL;
}

bool test_emulated(void)
{
    return true;
}

void *test_alloc(size_t bytes)
{
    return gx_simt_alloc(bytes);
}

void *test_upload(const void *host, size_t bytes)
{
    void *device = gx_simt_alloc(bytes);
    memcpy(device, host, bytes);
    return device;
}

void test_download(void *host, const void *device, size_t bytes)
{
    memcpy(host, device, bytes);
}

void test_free(void *device)
{
    gx_simt_free(device);
}
