#include "exchange/notes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void gx_note(struct gx_notes *notes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(notes->lines[notes->written++ % GX_NOTES_KEPT], GX_NOTE_BYTES, format, args);
    va_end(args);
    if (notes->written - notes->read > GX_NOTES_KEPT)
        notes->read = notes->written - GX_NOTES_KEPT;
}

bool gx_note_pop(struct gx_notes *notes, char out[GX_NOTE_BYTES])
{
    if (notes->read == notes->written)
        return false;
    memcpy(out, notes->lines[notes->read++ % GX_NOTES_KEPT], GX_NOTE_BYTES);
    return true;
}
