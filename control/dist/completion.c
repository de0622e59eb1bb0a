/* gxctl help completion: bash completion from the tables. What stands in a command's arguments says what completes them. */
#include <string.h>

#include "ctl.h"

static void print_commands(FILE *out)
{
    fputs("    local commands='", out);
    for (unsigned i = 0; i < gx_ctl_command_count; i++)
        fprintf(out, "%s%s", i ? "\n" : "", gx_ctl_commands[i].words);
    fputs("'\n", out);
}

static void print_options(FILE *out)
{
    fputs("    local options='", out);
    for (unsigned i = 0; i < gx_ctl_option_count; i++)
        fprintf(out, "%s--%s", i ? " " : "", gx_ctl_options[i].name);
    fputs("'\n", out);
}

/* Options that take a value: the next word is not a command's. */
static void print_valued(FILE *out)
{
    bool first = true;

    for (unsigned i = 0; i < gx_ctl_option_count; i++) {
        const struct gx_ctl_option *o = &gx_ctl_options[i];
        if (!*o->argument)
            continue;
        fprintf(out, "%s--%s", first ? "" : " | ", o->name);
        if (o->letter)
            fprintf(out, " | -%c", o->letter);
        first = false;
    }
}

static void print_settings(FILE *out)
{
#define GX_SETTING(id, name, kind, json, config_key, help) name "=",
    static const char *const settings[] = {
#include "settings.def"
    };
#undef GX_SETTING

    fputs("    local settings='", out);
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        fprintf(out, "%s%s", i ? " " : "", settings[i]);
    fputs("'\n", out);
}

static void print_arguments(FILE *out)
{
    static const struct {
        const char *word, *reply;
    } kinds[] = {
        {"FILE", "COMPREPLY=($(compgen -f -- \"$cur\"))"},
        {"RUN", "COMPREPLY=($(compgen -W \"$(_gxctl_runs)\" -- \"$cur\"))"},
        {"INTERFACE", "COMPREPLY=($(compgen -W \"$(ls /sys/class/net 2>/dev/null)\" -- \"$cur\"))"},
        {"SETTING", "COMPREPLY=($(compgen -W \"$settings\" -- \"$cur\"));"
                    " [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null"},
        {"PROGRAM", "COMPREPLY=($(compgen -W 'gxctl gxd' -- \"$cur\"))"},
    };

    for (unsigned i = 0; i < gx_ctl_command_count; i++)
        for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
            if (strstr(gx_ctl_commands[i].arguments, kinds[k].word)) {
                fprintf(out, "    '%s')\n        %s\n        ;;\n", gx_ctl_commands[i].words,
                        kinds[k].reply);
                break;
            }
}

int gx_ctl_help_completion(const struct gx_ctl *ctl, char **arguments)
{
    FILE *out = ctl->out;

    (void)arguments;
    fputs("# bash completion for gxctl, made by: gxctl help completion\n"
          "\n"
          "_gxctl_runs()\n"
          "{\n"
          "    \"${gxctl[@]}\" show --json 2>/dev/null | sed -n 's/^ *\"run\": "
          "\"\\(.*\\)\",$/\\1/p'\n"
          "}\n"
          "\n"
          "_gxctl()\n"
          "{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]-} typed='' "
          "rest\n"
          "    local -a gxctl=(\"${COMP_WORDS[0]}\")\n",
          out);
    print_commands(out);
    print_options(out);
    print_settings(out);
    fputs("    local i word\n"
          "    COMPREPLY=()\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        word=${COMP_WORDS[i]}\n"
          "        case $word in\n"
          "        ",
          out);
    print_valued(out);
    fputs(")\n"
          "            case $word in -s | --socket | --state) gxctl+=(\"$word\" \"${COMP_WORDS[i + "
          "1]-}\") ;; "
          "esac\n"
          "            ((i++))\n"
          "            ;;\n"
          "        -*) ;;\n"
          "        *) typed+=\"${typed:+ }$word\" ;;\n"
          "        esac\n"
          "    done\n"
          "    case $prev in\n"
          "    -s | --socket | -c | --config) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
          "    --state | --root) COMPREPLY=($(compgen -d -- \"$cur\")); return ;;\n"
          "    --interval) COMPREPLY=($(compgen -W '200ms 1s 5s' -- \"$cur\")); return ;;\n"
          "    --count) return ;;\n"
          "    esac\n"
          "    if [[ $cur == -* ]]; then\n"
          "        COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
          "        return\n"
          "    fi\n"
          "    # the next word of every command that begins with what is typed\n"
          "    rest=$(while IFS= read -r word; do\n"
          "        if [[ -z $typed ]]; then\n"
          "            echo \"${word%% *}\"\n"
          "        elif [[ $word == \"$typed \"* ]]; then\n"
          "            word=${word#\"$typed \"}\n"
          "            echo \"${word%% *}\"\n"
          "        fi\n"
          "    done <<<\"$commands\" | sort -u)\n"
          "    COMPREPLY=($(compgen -W \"$rest\" -- \"$cur\"))\n"
          "    ((${#COMPREPLY[@]})) && return\n"
          "    # an argument: of the longest command that is typed\n"
          "    while [[ -n $typed ]] && ! grep -qxF -- \"$typed\" <<<\"$commands\"; do\n"
          "        [[ $typed == *' '* ]] || return\n"
          "        typed=${typed% *}\n"
          "    done\n"
          "    case $typed in\n",
          out);
    print_arguments(out);
    fputs("    esac\n"
          "}\n"
          "complete -F _gxctl gxctl\n",
          out);
    return GX_CTL_OK;
}
