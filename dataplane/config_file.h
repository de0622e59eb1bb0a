/* gx_config_file: a config file while it is loaded; private to config.c, config_shape.c and config_value.c.
 *
 * The file is walked twice. libcyaml's errors carry neither the line nor what would be right, so libyaml's tree is
 * checked first: unknown and repeated keys, wrong shapes, and the line of every value for the checks of meaning.
 * libcyaml then loads the values. Both read one copy of the file. */
#ifndef GX_CONFIG_FILE_H
#define GX_CONFIG_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"

enum gx_config_key {
#define GX_KEY(id, path, type, text, help) GX_KEY_##id,
#define GX_KEY_DERIVED(id, path, type, text, help) GX_KEY_##id,
#define GX_KEY_REQUIRED(id, path, type, help) GX_KEY_##id,
#include "config.def"
#undef GX_KEY
#undef GX_KEY_DERIVED
#undef GX_KEY_REQUIRED
    GX_KEY_COUNT
};

_Static_assert(GX_KEY_COUNT <= 64, "gx_config.given has a bit per key");

struct gx_config_key_row {
    const char *path;
    const char *type;
    const char *text; /* default; NULL: required */
    bool derived;     /* `text` says what the default follows from */
    const char *help;
};

extern const struct gx_config_key_row gx_config_keys[GX_KEY_COUNT];

/* The mappings of the file. Every key belongs to one of them. */
enum gx_config_scope { GX_SCOPE_TOP, GX_SCOPE_PORT, GX_SCOPE_LOG, GX_SCOPE_SITE, GX_SCOPE_COUNT };

enum gx_config_scope gx_config_key_scope(int key);

/* The key's name within its mapping. */
const char *gx_config_key_leaf(int key);

struct gx_config_file {
    const char *path;
    char *data;
    size_t bytes;
    char *error;
    size_t error_bytes;
    unsigned lines[GX_KEY_COUNT];         /* of each value; 0: not in the file */
    unsigned site_lines[GX_SITES_MAX][2]; /* of sites[].name, sites[].address */
    unsigned sites_line;
};

/* Writes "FILE:LINE: …" and returns -EINVAL. */
__attribute__((format(printf, 3, 4))) int gx_config_fail(struct gx_config_file *file, unsigned line,
                                                         const char *format, ...);

/* The first pass. 0 and every line filled in, -EINVAL with the message written, or -ENOMEM. */
int gx_config_check_shape(struct gx_config_file *file);

#endif
