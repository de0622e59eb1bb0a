#!/bin/bash
# make lint: says every complaint, then fails if there was one.
set -u
cd "$(dirname "$0")/../.." || exit 1

rc=0
check() {
    local what=$1
    shift
    if "$@"; then
        echo "ok   $what"
    else
        echo "FAIL $what"
        rc=1
    fi
}

files() {
    git ls-files -co --exclude-standard -- "$@" | while read -r f; do [ -e "$f" ] && echo "$f"; done
}

scripts() {
    files | while read -r f; do
        case $f in
        *.sh) echo "$f" ;;
        *.patch | *.c | *.h | *.cpp | *.cu | *.md | *.py) ;;
        *) head -c 64 "$f" | head -n 1 | grep -aqE '^#!.*[/ ](ba)?sh\b' && echo "$f" ;;
        esac
    done
}

build() { # compiler, build directory
    ${MAKE:-make} -s "-j$(nproc)" --no-print-directory "CC=$1" "B=$2" build tests bytes >/dev/null
}

formatted() { files '*.c' '*.h' '*.cpp' '*.cu' | xargs -r clang-format --dry-run --Werror; }
shell_syntax() { scripts | while read -r f; do bash -n "$f" || exit 1; done; }
shell_check() { scripts | xargs -r shellcheck -S warning; }
python_syntax() {
    files '*.py' | xargs -r python3 -c 'import sys
for f in sys.argv[1:]:
    compile(open(f).read(), f, "exec")'
}
whitespace() { ! files | grep -vE '\.patch$|^LICENSE$' | xargs -r grep -InE '[ 	]+$'; }
executables() { # every script can be run
    scripts | while read -r f; do [ -x "$f" ] || { echo "$f: not executable"; exit 1; }; done
}

check "clang-format" formatted
check "shell syntax" shell_syntax
if command -v shellcheck >/dev/null; then check "shellcheck" shell_check; else echo "skip shellcheck: not installed"; fi
check "Python syntax" python_syntax
check "no trailing blanks" whitespace
check "scripts are executable" executables
check "gcc, no warning" build gcc build
check "clang, no warning" build clang build/clang
check "the core does no I/O" tests/lint/core.sh build
check "no name defined twice" tests/lint/names.sh build
exit $rc
