# batch_begin makes room for what programs print. Without it there is no batch.
batch_begin() {
	umask 077
	for room in /dev/shm /run /tmp /var/tmp; do
		work=$(mktemp -d "$room/deploy.XXXXXX" 2>/dev/null) && break
		work=''
	done
	[ -n "$work" ] || exit 1
	trap 'code=$?; rm -rf "$work"; printf "%s end %s\n" "$nonce" "$code" >&2' EXIT
	trap 'exit 1' HUP INT PIPE TERM
}

# frame NUMBER KIND CODE prints what was answered: lengths first.
frame() {
	printf '%s %s %s %s %s\n' "$1" "$2" "$3" "$(($(wc -c <"$work/out")))" "$(($(wc -c <"$work/err")))"
	cat "$work/out" "$work/err"
}

# verb NUMBER FUNCTION ARGUMENT... answers a verb.
verb() {
	which=$1
	shift
	( "$@" ) </dev/null >"$work/out" 2>"$work/err"
	frame "$which" verb $?
}

# tool NUMBER PROGRAM ARGUMENT... runs a program that only reads.
tool() {
	which=$1
	shift
	if find_program "$1"; then
		exec 3>&2 2>/dev/null
		( exec "$@" </dev/null >"$work/out" 2>"$work/err" 3>&- )
		code=$?
		exec 2>&3 3>&-
		frame "$which" run "$code"
	else
		: >"$work/out"
		printf '%s\n' "no program $1" >"$work/err"
		frame "$which" verb 41
	fi
}
