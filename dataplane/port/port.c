#include "port/port.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int device_open(const struct gx_port_config *config, struct gx_port **port, char *error,
                       size_t error_bytes)
{
#ifdef GX_DPDK
    return gx_port_dpdk.open(config, port, error, error_bytes);
#else
    (void)port;
    snprintf(
        error, error_bytes,
        "port.device '%s': this gxd was built without DPDK; install libdpdk-dev and build again, "
        "or give port.udp",
        config->device);
    return -ENOTSUP;
#endif
}

int gx_port_open(const struct gx_port_config *config, struct gx_port **port, char *error,
                 size_t error_bytes)
{
    static const struct gx_port_ops *const kinds[] = {&gx_port_uring, &gx_port_socket};
    size_t count = sizeof(kinds) / sizeof(kinds[0]);
    int ret = -ENOSYS;

    if (config->device && config->device[0])
        return device_open(config, port, error, error_bytes);
    for (size_t i = 0; i < count; i++) {
        ret = kinds[i]->open(config, port, error, error_bytes);
        /* Containers often forbid io_uring, and older kernels lack parts of it. */
        if (ret != -ENOSYS && ret != -EPERM && ret != -EACCES)
            break;
    }
    return ret;
}

int gx_port_start(struct gx_port *port, void (*release)(void *ctx, uint32_t owner), void *ctx)
{
    port->release = release;
    port->ctx = ctx;
    return port->ops->start(port);
}
