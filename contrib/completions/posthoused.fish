# SPDX-License-Identifier: ISC
# Completion of posthoused(8) for fish: the options that its --help tells.

function __posthoused_options
    set -l words (commandline -opc)
    $words[1] --help 2>/dev/null | string replace -rf '^  (?:-[A-Za-z], |    )(--[a-z0-9-]+)(?: [A-Z]+)?\s+(.*)' '$1\t$2'
end

complete -c posthoused -n 'string match -q -- "-*" (commandline -ct)' -f -a '(__posthoused_options)'
