/* gx_feedback: what a receiver tells the sender of a lane. Little-endian; a head, then entries.
 *
 *   0  u64  highest packet number seen in this session
 *   8  u64  expected packets: numbers that the receiver has judged, all sessions together
 *  16  u64  lost: of those, not arrived
 *  24  u64  bursts: runs of consecutive lost packets
 *  32  u32  echo: the clock of the packet with the highest number, µs
 *  36  u32  held: how long ago that packet came, µs
 *  40  u64  grant, bit/s: what this sender may send to the receiver; 0: no limit of its own
 *  48  u32  CE marks seen
 *  52  u32  lateness: how late a reordered packet came of late, µs
 *  56  u16  entries       58  u16  0
 *  60  u32  received packets of this session, modulo 2^32
 *
 * An entry speaks of one transfer of the sender's (18 bytes and the lacks):
 *
 *   0  u32  transfer      4  u8  enum gx_answer     5  u8  enum gx_reason
 *   6  u8   flags: bit 0 END, nothing has arrived of any block after those listed
 *   7  u8   0             8  u32 done: all blocks below are complete
 *  12  u32  first         16  u16  count            18  u8[count] lacks of blocks first, first + 1, …
 *
 * A lack is how many more distinct rows the block needs.
 */
#ifndef GX_WIRE_FEEDBACK_H
#define GX_WIRE_FEEDBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GX_FEEDBACK_HEAD_BYTES 64
#define GX_FEEDBACK_ENTRY_BYTES 18
#define GX_FEEDBACK_END 1

struct gx_feedback {
    uint64_t highest;
    uint64_t expected;
    uint64_t lost;
    uint64_t bursts;
    uint32_t echo_us;
    uint32_t held_us;
    uint64_t grant_bps;
    uint32_t ce_count;
    uint32_t lateness_us;
    uint32_t received;
    uint16_t entry_count;
};

struct gx_feedback_entry {
    uint32_t transfer;
    uint8_t answer; /* enum gx_answer; any value: the reader checks it */
    uint8_t reason;
    uint8_t flags;
    uint32_t done;
    uint32_t first;
    uint16_t lack_count;
    const uint8_t *lacks; /* points into the message */
};

void gx_feedback_build(const struct gx_feedback *feedback, uint8_t *out);
/* Appends an entry's head (lack_count included) at `out`; the lacks follow it. */
void gx_feedback_entry_build(const struct gx_feedback_entry *entry, uint8_t *out);

/* Parses the head and checks that all entries lie inside `bytes`. */
bool gx_feedback_parse(struct gx_feedback *feedback, const uint8_t *in, size_t bytes);
/* Parses the entry at *at and moves *at behind it. False when it is truncated. */
bool gx_feedback_entry_parse(struct gx_feedback_entry *entry, const uint8_t *in, size_t bytes,
                             size_t *at);

#endif
