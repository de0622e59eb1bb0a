/* gx_wan_address: the numeric address of a UDP socket, IPv4 or IPv6. */
#ifndef GX_WAN_ADDRESS_H
#define GX_WAN_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define GX_WAN_ADDRESS_TEXT_MAX 64

struct gx_wan_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } as;
    socklen_t bytes;
};

/* Parses "127.0.0.1:7440" or "[::1]:7440", `length` bytes of text. -EINVAL when it is neither. */
int gx_wan_address_parse(const char *text, size_t length, struct gx_wan_address *out);

/* Writes it in the same form into `out`, GX_WAN_ADDRESS_TEXT_MAX long, and returns that. */
const char *gx_wan_address_format(const struct gx_wan_address *address, char *out);

uint16_t gx_wan_address_port(const struct gx_wan_address *address);

/* The same address at another port: `worker` is added. */
struct gx_wan_address gx_wan_address_worker(const struct gx_wan_address *address, uint32_t worker);

/* True when both have the same family and host, whatever the port. */
bool gx_wan_address_same_host(const struct gx_wan_address *a, const struct gx_wan_address *b);

#endif
