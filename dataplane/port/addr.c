/* A gx_addr holds a sockaddr_in or sockaddr_in6, the rest zero: so addresses compare bytewise. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "port/port.h"

_Static_assert(sizeof(struct sockaddr_in6) == sizeof(struct gx_addr), "an address fits exactly");

static int port_parse(const char *text, uint16_t *out)
{
    char *end;
    unsigned long value;

    if (*text < '0' || *text > '9')
        return -EINVAL;
    value = strtoul(text, &end, 10);
    if (*end || value > 65535)
        return -EINVAL;
    *out = htons((uint16_t)value);
    return 0;
}

int gx_addr_parse(struct gx_addr *out, const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN];
    bool bracketed;
    size_t length;

    if (!colon)
        return -EINVAL;
    length = (size_t)(colon - text);
    bracketed = length >= 2 && text[0] == '[' && colon[-1] == ']';
    if (bracketed) {
        text++;
        length -= 2;
    }
    if (length >= sizeof(host))
        return -EINVAL;
    memcpy(host, text, length);
    host[length] = '\0';
    memset(out, 0, sizeof(*out));
    if (bracketed) {
        if (inet_pton(AF_INET6, host, &v6.sin6_addr) != 1 || port_parse(colon + 1, &v6.sin6_port))
            return -EINVAL;
        memcpy(out, &v6, sizeof(v6));
    } else {
        if (inet_pton(AF_INET, host, &v4.sin_addr) != 1 || port_parse(colon + 1, &v4.sin_port))
            return -EINVAL;
        memcpy(out, &v4, sizeof(v4));
    }
    return 0;
}

const char *gx_addr_format(const struct gx_addr *addr, char *out)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    char host[INET6_ADDRSTRLEN] = "";

    if (gx_addr_is_v6(addr)) {
        memcpy(&v6, addr, sizeof(v6));
        inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof(host));
        snprintf(out, GX_PORT_TEXT_MAX, "[%s]:%u", host, ntohs(v6.sin6_port));
    } else {
        memcpy(&v4, addr, sizeof(v4));
        inet_ntop(AF_INET, &v4.sin_addr, host, sizeof(host));
        snprintf(out, GX_PORT_TEXT_MAX, "%s:%u", host, ntohs(v4.sin_port));
    }
    return out;
}

bool gx_addr_is_v6(const struct gx_addr *addr)
{
    sa_family_t family;

    memcpy(&family, addr->b, sizeof(family));
    return family == AF_INET6;
}

int gx_addr_shift(struct gx_addr *addr, uint32_t by)
{
    size_t at = gx_addr_is_v6(addr) ? offsetof(struct sockaddr_in6, sin6_port)
                                    : offsetof(struct sockaddr_in, sin_port);
    uint16_t port;

    memcpy(&port, addr->b + at, sizeof(port));
    if (ntohs(port) + by > UINT16_MAX)
        return -ERANGE;
    port = htons((uint16_t)(ntohs(port) + by));
    memcpy(addr->b + at, &port, sizeof(port));
    return 0;
}
