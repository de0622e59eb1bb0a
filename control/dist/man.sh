#!/bin/sh
# control/dist/man.sh NAME "WHAT IT IS" < HELP: a man page from what `NAME --help` prints, so that options have one source.
set -eu

name=$1 what=$2
printf '.\\" made from: %s --help\n.TH %s 1 "" gx "gx manual"\n.SH NAME\n%s \\- %s\n' "$name" "$name" "$name" "$what"
awk '
function quote(line) {
    gsub(/\\/, "\\e", line)
    gsub(/-/, "\\-", line)
    gsub(/…/, "...", line)
    if (line ~ /^[.\047]/)
        line = "\\&" line
    return line
}
function section(title) {
    if (title != current)
        print ".SH " title
    current = title
}
/^usage: / { section("SYNOPSIS"); sub(/^usage: /, ""); print quote($0); next }
/^Exit (status|code): / { section("EXIT STATUS"); sub(/^[^:]*: /, ""); print quote($0); next }
# an option and its meaning are parted by two blanks at least
/^  -/ {
    section("OPTIONS")
    line = substr($0, 3)
    at = match(line, /  +/)
    print ".TP"
    print "\\fB" quote(at ? substr(line, 1, at - 1) : line) "\\fR"
    if (at)
        print quote(substr(line, at + RLENGTH))
    next
}
/^    / && current == "OPTIONS" { sub(/^ +/, ""); print quote($0); next }
/^ *$/ { if (current == "DESCRIPTION") print ".PP"; next }
{ if (current == "SYNOPSIS") section("DESCRIPTION"); print quote($0) }
'
