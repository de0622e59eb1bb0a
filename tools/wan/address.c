#include "wan/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int gx_wan_address_parse(const char *text, size_t length, struct gx_wan_address *out)
{
    char host[GX_WAN_ADDRESS_TEXT_MAX];
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
    struct addrinfo *found;

    if (length >= sizeof(host))
        return -EINVAL;
    memcpy(host, text, length);
    host[length] = '\0';

    char *colon = strrchr(host, ':');
    if (!colon)
        return -EINVAL;
    const char *port = colon + 1;
    if (strspn(port, "0123456789") != strlen(port) || strlen(port) < 1 || strlen(port) > 5 ||
        strtoul(port, NULL, 10) < 1 || strtoul(port, NULL, 10) > UINT16_MAX)
        return -EINVAL;
    *colon = '\0';

    char *start = host;
    bool bracketed = host[0] == '[' && colon > host && colon[-1] == ']';
    if (bracketed) {
        start++;
        colon[-1] = '\0';
    }
    hints.ai_family = bracketed ? AF_INET6 : AF_INET;
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    if (getaddrinfo(start, port, &hints, &found) != 0)
        return -EINVAL;
    memset(out, 0, sizeof(*out));
    memcpy(&out->as, found->ai_addr, found->ai_addrlen);
    out->bytes = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

const char *gx_wan_address_format(const struct gx_wan_address *address, char *out)
{
    char host[INET6_ADDRSTRLEN] = "?";
    bool v6 = address->as.any.sa_family == AF_INET6;

    if (v6)
        inet_ntop(AF_INET6, &address->as.v6.sin6_addr, host, sizeof(host));
    else
        inet_ntop(AF_INET, &address->as.v4.sin_addr, host, sizeof(host));
    snprintf(out, GX_WAN_ADDRESS_TEXT_MAX, v6 ? "[%s]:%u" : "%s:%u", host,
             gx_wan_address_port(address));
    return out;
}

/* The port lies at the same place in both families. */
_Static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port),
               "sockaddr_in and sockaddr_in6 differ in where the port lies");

uint16_t gx_wan_address_port(const struct gx_wan_address *address)
{
    return ntohs(address->as.v4.sin_port);
}

struct gx_wan_address gx_wan_address_worker(const struct gx_wan_address *address, uint32_t worker)
{
    struct gx_wan_address moved = *address;

    moved.as.v4.sin_port = htons((uint16_t)(gx_wan_address_port(address) + worker));
    return moved;
}

bool gx_wan_address_same_host(const struct gx_wan_address *a, const struct gx_wan_address *b)
{
    if (a->as.any.sa_family != b->as.any.sa_family)
        return false;
    if (a->as.any.sa_family == AF_INET)
        return a->as.v4.sin_addr.s_addr == b->as.v4.sin_addr.s_addr;
    return memcmp(&a->as.v6.sin6_addr, &b->as.v6.sin6_addr, sizeof(struct in6_addr)) == 0;
}
