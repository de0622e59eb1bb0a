/* gx_control_request and its reply: what gxctl says to gxd on the attach socket (SOCK_SEQPACKET), one message each way.
 * A request is told from a trainer's gx_attach_request by its size.
 *
 * Reply     a header and `text_bytes` of text, so its size varies. Which command answers what: at the command.
 * Units     of settings: api/settings.def.
 */
#ifndef GX_API_CONTROL_H
#define GX_API_CONTROL_H

#include <stdint.h>

#include "arena.h"
#include "gx.h"

#define GX_CONTROL_VERSION 2u
#define GX_CONTROL_VALUE_MAX 64
#define GX_CONTROL_TEXT_MAX 16384

enum gx_control_command {
    GX_CONTROL_LEAVE = 1, /* leave the runs, answer when every peer has what it needs, and end */
    GX_CONTROL_REWIND,    /* R10: `run` goes on from the newest state at hand */
    GX_CONTROL_SET,       /* `setting` becomes `value`; answers before and after */
    GX_CONTROL_CONFIG,    /* answers the effective config as YAML, and which keys its file gave */
};

enum gx_setting {
#define GX_SETTING(id, name, kind, json, config_key, help) GX_SETTING_##id,
#include "settings.def"
#undef GX_SETTING
    GX_SETTING_COUNT
};

struct gx_control_request {
    uint32_t version;
    uint32_t command; /* enum gx_control_command */
    uint32_t setting; /* enum gx_setting */
    char run[GX_NAME_MAX];
    char value[GX_CONTROL_VALUE_MAX]; /* as a person writes it */
};
_Static_assert(sizeof(struct gx_control_request) != sizeof(struct gx_attach_request), "told apart");

struct gx_control_reply {
    uint32_t version;
    int32_t error;          /* 0 or -errno; then `text` says why */
    uint64_t before, after; /* SET: of the setting, in its unit */
    uint64_t given; /* CONFIG: bit per key of config.def: it stands in the file, or was set since */
    uint32_t text_bytes; /* terminator included */
    uint32_t reserved;
    char text[GX_CONTROL_TEXT_MAX];
};

#endif
