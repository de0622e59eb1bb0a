#include "port/port.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int device_open(const struct gx_port_config *config, struct gx_port **ports, uint32_t count,
                       char *error, size_t error_bytes)
{
#ifdef GX_DPDK
    return gx_dpdk_ports_open(config, ports, count, error, error_bytes);
#else
    (void)ports;
    (void)count;
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
        return device_open(config, port, 1, error, error_bytes);
    for (size_t i = 0; i < count; i++) {
        ret = kinds[i]->open(config, port, error, error_bytes);
        /* Containers often forbid io_uring, and older kernels lack parts of it. */
        if (ret != -ENOSYS && ret != -EPERM && ret != -EACCES)
            break;
    }
    return ret;
}

/* The address of worker w's socket. */
static int address_shift(const char *address, uint32_t w, char *out, char *error,
                         size_t error_bytes)
{
    struct gx_addr addr;
    int ret = gx_addr_parse(&addr, address);

    if (!ret)
        ret = gx_addr_shift(&addr, w);
    if (ret)
        snprintf(error, error_bytes, "port address '%s': there is no port %u above it", address, w);
    else
        gx_addr_format(&addr, out);
    return ret;
}

int gx_ports_open(const struct gx_port_config *config, struct gx_port **ports, uint32_t count,
                  char *error, size_t error_bytes)
{
    struct gx_port_config one = *config;
    char address[GX_PORT_TEXT_MAX];
    int ret;

    if (config->device && config->device[0])
        return device_open(config, ports, count, error, error_bytes);
    ret = gx_port_open(config, &ports[0], error, error_bytes);
    for (uint32_t w = 1; w < count && !ret; w++) {
        one.address = address;
        ret = address_shift(config->address, w, address, error, error_bytes);
        if (!ret)
            ret = gx_port_open(&one, &ports[w], error, error_bytes);
        for (uint32_t i = w; ret && i-- > 0;)
            ports[i]->ops->close(ports[i]);
    }
    return ret;
}

int gx_port_start(struct gx_port *port, void (*release)(void *ctx, uint32_t owner), void *ctx)
{
    port->release = release;
    port->ctx = ctx;
    return port->ops->start(port);
}
