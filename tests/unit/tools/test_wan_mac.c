#include "wan/mac.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define PORTS 4
#define ALL_BUT(port) (0xfu & ~(1u << (port)))

static struct gx_wan_mac mac;

static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t alice[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t bob[6] = {2, 0, 0, 0, 0, 2};

static int empty(void **state)
{
    (void)state;
    memset(&mac, 0, sizeof(mac));
    return 0;
}

static void what_is_unknown_goes_to_all_others(void **state)
{
    (void)state;
    assert_int_equal(gx_wan_mac_ports(&mac, alice, 1, PORTS, 0), ALL_BUT(1));
}

static void what_has_spoken_gets_its_frames_alone(void **state)
{
    (void)state;
    gx_wan_mac_learn(&mac, alice, 2, 5);
    gx_wan_mac_learn(&mac, bob, 0, 6);
    assert_int_equal(gx_wan_mac_ports(&mac, alice, 0, PORTS, 7), 1u << 2);
    assert_int_equal(gx_wan_mac_ports(&mac, bob, 2, PORTS, 7), 1u << 0);
    assert_int_equal(mac.learned, 2);
}

static void groups_go_to_all_others_and_are_never_learnt(void **state)
{
    (void)state;
    static const uint8_t group[6] = {1, 0, 0x5e, 0, 0, 1};

    gx_wan_mac_learn(&mac, group, 2, 0);
    gx_wan_mac_learn(&mac, broadcast, 2, 0);
    assert_int_equal(mac.learned, 0);
    assert_int_equal(gx_wan_mac_ports(&mac, group, 3, PORTS, 0), ALL_BUT(3));
    assert_int_equal(gx_wan_mac_ports(&mac, broadcast, 3, PORTS, 0), ALL_BUT(3));
}

static void a_frame_for_its_own_port_goes_nowhere(void **state)
{
    (void)state;
    gx_wan_mac_learn(&mac, alice, 2, 0);
    assert_int_equal(gx_wan_mac_ports(&mac, alice, 2, PORTS, 0), 0);
}

static void who_moves_is_followed(void **state)
{
    (void)state;
    gx_wan_mac_learn(&mac, alice, 2, 0);
    gx_wan_mac_learn(&mac, alice, 3, 1);
    assert_int_equal(gx_wan_mac_ports(&mac, alice, 0, PORTS, 2), 1u << 3);
    assert_int_equal(mac.moved, 1);
    assert_int_equal(mac.learned, 1);
}

static void who_is_silent_is_forgotten(void **state)
{
    (void)state;
    gx_wan_mac_learn(&mac, alice, 2, 10);
    assert_int_equal(gx_wan_mac_ports(&mac, alice, 0, PORTS, 10 + GX_WAN_MAC_AGE_NS), 1u << 2);
    assert_int_equal(gx_wan_mac_ports(&mac, alice, 0, PORTS, 11 + GX_WAN_MAC_AGE_NS), ALL_BUT(0));
}

/* More addresses than places: those that spoke last are still known, and none is at a wrong port. */
static void a_full_table_forgets_the_oldest(void **state)
{
    (void)state;
    enum { COUNT = 8 * GX_WAN_MAC_SETS * GX_WAN_MAC_WAYS };
    uint8_t address[6] = {2};

    for (uint32_t i = 0; i < COUNT; i++) {
        memcpy(address + 2, &i, sizeof(i));
        gx_wan_mac_learn(&mac, address, i % PORTS, i);
        assert_int_equal(gx_wan_mac_ports(&mac, address, (i + 1) % PORTS, PORTS, i),
                         1u << i % PORTS);
    }
    uint32_t known = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        memcpy(address + 2, &i, sizeof(i));
        uint32_t from = (i + 1) % PORTS;
        uint32_t ports = gx_wan_mac_ports(&mac, address, from, PORTS, COUNT);
        known += ports == 1u << i % PORTS;
        assert_true(ports == 1u << i % PORTS || ports == ALL_BUT(from));
    }
    assert_true(known > 0 && known <= GX_WAN_MAC_SETS * GX_WAN_MAC_WAYS);
    assert_int_equal(mac.evicted, COUNT - known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_unknown_goes_to_all_others, empty),
        cmocka_unit_test_setup(what_has_spoken_gets_its_frames_alone, empty),
        cmocka_unit_test_setup(groups_go_to_all_others_and_are_never_learnt, empty),
        cmocka_unit_test_setup(a_frame_for_its_own_port_goes_nowhere, empty),
        cmocka_unit_test_setup(who_moves_is_followed, empty),
        cmocka_unit_test_setup(who_is_silent_is_forgotten, empty),
        cmocka_unit_test_setup(a_full_table_forgets_the_oldest, empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
