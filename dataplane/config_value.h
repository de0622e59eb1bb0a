/* gx_config_value: what the text of one value means. A text that means nothing is refused by file, line and key: -EINVAL, the
 * message written. Private to config.c. */
#ifndef GX_CONFIG_VALUE_H
#define GX_CONFIG_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "config_file.h"

struct gx_config_loader {
    struct gx_config_file *file;
    struct gx_config *config;
};

/* The value of a key outside sites[], into its place in the config. */
int gx_config_value_set(struct gx_config_loader *l, enum gx_config_key key, const char *text);

/* Of sites[], too; `key` is for the message. out[GX_NAME_MAX], out[GX_CONFIG_ADDRESS_MAX]. */
int gx_config_name_set(struct gx_config_loader *l, unsigned line, const char *key, const char *text,
                       char *out);
int gx_config_address_set(struct gx_config_loader *l, unsigned line, const char *key,
                          const char *text, char *out);

/* Two are the same place when their bytes are. */
struct gx_endpoint {
    int family;
    uint16_t port;
    uint8_t host[16];
};

/* host:port or [v6]:port, both numeric; else -EINVAL. */
int gx_endpoint_parse(const char *text, struct gx_endpoint *out);
/* Is it 0.0.0.0 or [::]? */
bool gx_endpoint_any(const struct gx_endpoint *e);

/* "10.0.0.1/24", or without the prefix "10.0.0.1". Returns the IP version's family, 0: neither. */
int gx_config_host_family(const char *text, bool prefix);

#endif
