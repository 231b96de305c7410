# SPDX-License-Identifier: ISC
# Completion of posthoused(8) for bash: the options that its --help tells.

_posthoused()
{
	COMPREPLY=()
	case $3 in
	-f | --config | --pid-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
	-c | --class) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -W 'spool proxy mailman exec module debug
		PureProxy MailmanProxy DebuggingServer' -- "$2"; compgen -f -X '!*.so' -- "$2") ;;
	--spool) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$2") ;;
	*)
		[[ $2 == -* ]] && mapfile -t COMPREPLY < <(compgen -W "$("$1" --help 2>/dev/null |
			sed -n 's/^  \(-[A-Za-z], \|    \)\(--[a-z0-9-]*\).*/\2/p')" -- "$2")
		;;
	esac
}
complete -F _posthoused posthoused
