/* gx_config: gxd's configuration file (YAML), read by libcyaml and checked. The keys stand in api/config.def. */
#ifndef GX_CONFIG_H
#define GX_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "gx.h"
#include "lane/rate.h"
#include "session/psk.h"

#define GX_CONFIG_PATH_MAX 108 /* sun_path */
#define GX_CONFIG_ADDRESS_MAX 64
#define GX_DEADLINE_NS_MAX (24ull * 3600 * 1000000000)
#define GX_CONFIG_DEVICE_MAX 192

struct gx_config_site {
    char name[GX_NAME_MAX];
    char address[GX_CONFIG_ADDRESS_MAX]; /* host:port or [v6]:port, numeric */
};

enum gx_log_level { GX_LOG_ERROR, GX_LOG_WARN, GX_LOG_INFO, GX_LOG_DEBUG };

struct gx_config {
    char site[GX_NAME_MAX];
    char port_udp[GX_CONFIG_ADDRESS_MAX];     /* "": port_device */
    char port_device[GX_CONFIG_DEVICE_MAX];   /* "": port_udp */
    char port_address[GX_CONFIG_ADDRESS_MAX]; /* "10.0.0.1/24", with port_device */
    char port_gateway[GX_CONFIG_ADDRESS_MAX]; /* "": none */
    uint32_t port_udp_port;
    char lcores[GX_CONFIG_ADDRESS_MAX]; /* "": all */
    char eal[GX_CONFIG_DEVICE_MAX];     /* "": none */
    char socket[GX_CONFIG_PATH_MAX];
    char state[256]; /* directory of journal and counters; default: SOCKET.state */
    uint64_t rate_bps;
    uint64_t recv_rate_bps; /* default: rate */
    uint64_t memory_bytes;
    uint32_t mtu;             /* 1500 */
    uint32_t workers;         /* 1 to GX_WORKERS_MAX */
    uint32_t priority;        /* SCHED_RR; 0: as inherited */
    uint64_t deadline_ns;     /* 60 s */
    uint64_t fetch_wait_ns;   /* default: deadline */
    uint64_t rewind_after_ns; /* 600 s */
    uint32_t start_sites;     /* default: all */
    uint32_t min_sites;       /* 1 */
    const struct gx_rate_algorithm *rate_algorithm;
    uint32_t loss_floor_percent; /* 15 */
    uint32_t keep_rounds;        /* 2 */
    enum gx_log_level log_level;
    bool secure;    /* `security: psk` */
    char key[256];  /* path of the key's file; "": none */
    uint64_t given; /* bit per key of config.def: it stands in the file, or was set since */
    uint32_t site_count;
    uint32_t self; /* index of `site` in sites */
    struct gx_config_site sites[GX_SITES_MAX];
};

/* 0, or -EINVAL / -errno with one line in `error`: FILE:LINE: what is wrong with which key and value, and what would be
 * right. An unknown key is an error that names the nearest right key. */
int gx_config_load(const char *path, struct gx_config *config, char *error, size_t error_bytes);

/* Reads the key of a config that is secure. 0, or -EINVAL / -errno with one line in `error`: FILE: what is wrong, and what
 * would be right. */
int gx_config_key_load(const struct gx_config *config, uint8_t key[GX_PSK_BYTES], char *error,
                       size_t error_bytes);

/* The value in effect of a key outside sites[], as it would stand in a file. Returns `out`. */
#define GX_CONFIG_TEXT_MAX 256
const char *gx_config_value(const struct gx_config *config, int key, char *out);
/* Everything in effect as a file that gx_config_load() reads; keys that were not given end in "# default". */
void gx_config_print(const struct gx_config *config, FILE *out);

const char *gx_log_level_name(enum gx_log_level level);
/* 0 or -EINVAL. */
int gx_log_level_parse(const char *text, enum gx_log_level *level);

/* Every key with type, default and meaning, a line each. */
void gx_config_help(FILE *out);

#endif
