#compdef posthouse posthoused
# SPDX-License-Identifier: ISC
# Completion of posthouse(1) and posthoused(8) for zsh. What there is to complete the commands say themselves.

_posthouse()
{
	local line word found=1
	local -a words_only described
	if [[ $service == posthoused ]]; then
		_arguments '*:file:_files' --
		return
	fi
	while IFS= read -r line; do
		case $line in
		:files) _files && found=0 ;;
		:dirs) _files -/ && found=0 ;;
		*)
			word=${line%%$'\t'*}
			words_only+=("$word")
			if [[ $line == *$'\t'* ]]; then
				described+=("$word  -- ${line#*$'\t'}")
			else
				described+=("$word")
			fi
			;;
		esac
	done < <("${words[1]}" help --complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
	(( $#words_only )) && compadd -l -d described -a words_only && found=0
	return found
}

_posthouse "$@"
