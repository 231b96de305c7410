# SPDX-License-Identifier: ISC
# Completion of posthouse(1) for fish. What there is to complete the command says itself.

function __posthouse_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] help --complete -- $words[2..-1] 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path (commandline -ct)
            case :dirs
                __fish_complete_directories (commandline -ct)
            case '*'
                printf '%s\n' $line
        end
    end
end

complete -c posthouse -f -a '(__posthouse_complete)'
