#include "wan/mac.h"

#include <stdbool.h>
#include <stddef.h>

#define KEY_USED (1ull << 63)

static uint64_t key_of(const uint8_t *address)
{
    uint64_t key = 0;

    for (int i = 0; i < GX_WAN_MAC_BYTES; i++)
        key = key << 8 | address[i];
    return key | KEY_USED;
}

static uint32_t set_of(uint64_t key)
{
    return (uint32_t)((key * 0x9e3779b97f4a7c15ull) >> 32) & (GX_WAN_MAC_SETS - 1);
}

static bool is_group(const uint8_t *address)
{
    return address[0] & 1;
}

static bool is_old(const struct gx_wan_mac_entry *entry, uint64_t now_ns)
{
    return entry->key == 0 || now_ns - entry->seen_ns > GX_WAN_MAC_AGE_NS;
}

void gx_wan_mac_learn(struct gx_wan_mac *mac, const uint8_t *source, uint32_t port, uint64_t now_ns)
{
    uint64_t key = key_of(source);
    struct gx_wan_mac_entry *set = mac->entries[set_of(key)];
    struct gx_wan_mac_entry *entry = &set[0];

    if (is_group(source))
        return;
    for (int i = 0; i < GX_WAN_MAC_WAYS; i++) {
        if (set[i].key == key) {
            mac->moved += set[i].port != port;
            set[i].port = port;
            set[i].seen_ns = now_ns;
            return;
        }
        if (set[i].key == 0 ? entry->key != 0 : entry->key && set[i].seen_ns < entry->seen_ns)
            entry = &set[i];
    }
    mac->evicted += !is_old(entry, now_ns);
    mac->learned++;
    *entry = (struct gx_wan_mac_entry){.key = key, .seen_ns = now_ns, .port = port};
}

uint32_t gx_wan_mac_ports(const struct gx_wan_mac *mac, const uint8_t *target, uint32_t from,
                          uint32_t port_count, uint64_t now_ns)
{
    uint32_t others = ((1u << port_count) - 1) & ~(1u << from);
    uint64_t key = key_of(target);
    const struct gx_wan_mac_entry *set = mac->entries[set_of(key)];

    if (is_group(target))
        return others;
    for (int i = 0; i < GX_WAN_MAC_WAYS; i++) {
        if (set[i].key == key && !is_old(&set[i], now_ns))
            return others & (1u << set[i].port);
    }
    return others;
}
