/* gx_notes: lines for the log, kept until the caller fetches them; the oldest give way. */
#ifndef GX_EXCHANGE_NOTES_H
#define GX_EXCHANGE_NOTES_H

#include <stdbool.h>
#include <stdint.h>

#define GX_NOTE_BYTES 200
#define GX_NOTES_KEPT 128

struct gx_note_line {
    bool warn; /* something that the operator has to know */
    char text[GX_NOTE_BYTES];
};

struct gx_notes {
    uint64_t written, read;
    struct gx_note_line lines[GX_NOTES_KEPT];
};

__attribute__((format(printf, 2, 3))) void gx_note(struct gx_notes *notes, const char *format, ...);
__attribute__((format(printf, 2, 3))) void gx_note_warn(struct gx_notes *notes, const char *format,
                                                        ...);
bool gx_note_pop(struct gx_notes *notes, struct gx_note_line *line);

#endif
