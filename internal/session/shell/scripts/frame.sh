# The talk with the session: "$nonce hello PID" and "$nonce end CODE" stand on stderr around all that is said there.
begin() { printf '%s run\n' "$nonce" >&2; }

# program DIR NAME ARGUMENT... runs a program. What stands on stderr after "run" is the program's. It is started by exec, which takes
# no function or builtin of the shell for it; and the shell itself would tell on stderr of a signal that ended it.
program() {
	if [ -n "$1" ]; then
		plain "$1"
		[ -e "$path" ] || gone "$path" 'No such file or directory'
		[ -d "$path" ] || gone "$path" 'Not a directory'
		cd "$path" 2>/dev/null || gone "$path" 'Permission denied'
	fi
	shift
	find_program "$1" || unsupported "no program $1"
	begin
	exec 3>&2 2>/dev/null
	( exec "$@" 2>&3 3>&- )
	code=$?
	exec 2>&3 3>&-
	return "$code"
}
