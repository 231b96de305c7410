# SPDX-License-Identifier: ISC
# Completion of posthouse(1) for bash. What there is to complete the command says itself.

_posthouse()
{
	local word line
	COMPREPLY=()
	while IFS= read -r line; do
		case $line in
		:files) compopt -o filenames; mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$2") ;;
		:dirs) compopt -o filenames; mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$2") ;;
		*)
			word=${line%%$'\t'*}
			# of --name=value bash replaces what stands behind the sign only
			[[ $2 != *=* && ${COMP_WORDS[COMP_CWORD]} != "$word"* && $word == --*=* ]] && word=${word#*=}
			COMPREPLY+=("$word")
			;;
		esac
	done < <("$1" help --complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _posthouse posthouse
