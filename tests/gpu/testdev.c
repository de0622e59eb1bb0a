/* tests/unit/cuda/device.h on a GPU. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/dev.h"
#include "unit/cuda/device.h"

static struct gx_dev_stream *stream;

static void check(int rc)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s\n", gx_dev_error());
    exit(rc == -ENODEV ? 77 : 1);
}

struct gx_dev_stream *test_stream(void)
{
    struct gx_dev_properties properties;
    if (!stream) {
        check(gx_dev_open(0, &properties));
        check(gx_dev_stream_create(&stream, false));
    }
    return stream;
}

bool test_emulated(void)
{
    return false;
}

void *test_upload(const void *host, size_t bytes)
{
    void *device;
    struct gx_dev_stream *s = test_stream();
    check(gx_dev_alloc(&device, bytes ? bytes : 1));
    gx_dev_copy_in(device, host, bytes, s);
    check(gx_dev_sync(s));
    return device;
}

void *test_alloc(size_t bytes)
{
    void *poison = malloc(bytes ? bytes : 1);
    if (!poison)
        exit(1);
    memset(poison, 0xff, bytes);
    void *device = test_upload(poison, bytes);
    free(poison);
    return device;
}

void test_download(void *host, const void *device, size_t bytes)
{
    struct gx_dev_stream *s = test_stream();
    gx_dev_copy_out(host, device, bytes, s);
    check(gx_dev_sync(s));
}

void test_free(void *device)
{
    if (device)
        gx_dev_free(device);
}
