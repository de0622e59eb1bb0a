/* gx_wan_packetlog: one line per packet that enters the network, for tests that ask when something
 * was on the wire.
 *
 *   1722470400.123456 0 1 1456 1 pass 4711
 *   time              from to bytes type verdict number [content]
 *
 * time     CLOCK_REALTIME at which it was received, seconds
 * from to  indices of the ports on the command line; "-" for a stranger, or for one of many ports
 * bytes    of UDP payload; of a frame that holds none, all its bytes
 * type     low nibble of the payload's first byte: 0 hello, 1 shard, 2 feedback, 3 control, 4 probe;
 *          of a frame without UDP payload: arp, icmp, tcp, ip or other
 * verdict  pass, dup, corrupt, or what dropped it: queue, loss, burst, outage, buffer, stranger.
 *          A later line of the same packet with "down-queue": the receiver's downlink dropped it.
 * number   the gx packet number; "-" when the payload is not a gx packet
 * content  of a gx control packet: the first 80 bytes after the gx header, in hex; of a STATUS that
 *          is enough to see the last record that it carries (dataplane/wire/state.h)
 */
#ifndef GX_WAN_PACKETLOG_H
#define GX_WAN_PACKETLOG_H

#include <stdint.h>
#include <stdio.h>

/* Writes a line into `log`, a buffered stream; NULL: does nothing. `from` and `to` below 0: "-". */
void gx_wan_packetlog_write(FILE *log, uint64_t realtime_ns, int from, int to,
                            const uint8_t *payload, uint32_t bytes, const char *verdict);

/* The same for an Ethernet frame; looks through one VLAN tag, IPv4 and IPv6 into UDP. */
void gx_wan_packetlog_write_frame(FILE *log, uint64_t realtime_ns, int from, int to,
                                  const uint8_t *frame, uint32_t bytes, const char *verdict);

#endif
