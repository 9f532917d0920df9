# The runner of a job. It stands in the job's directory, beside the file "words" that sets limit, dir, user and the arguments.
job=${0%/*}
umask 077
mkdir "$job/lock" 2>/dev/null || exit 0
exec </dev/null >>"$job/out" 2>&1
this_boot || boot=
started $$ || ticks=
printf '%s %s %s\n' "$$" "$ticks" "$boot" >"$job/pid.tmp" && mv "$job/pid.tmp" "$job/pid"

finish() {
	printf '%s\n' "$1" >"$job/exit.tmp" && { sync "$job/exit.tmp" 2>/dev/null || sync; } && mv "$job/exit.tmp" "$job/exit"
	exit 0
}

# Settings of whoever started the job are not the program's: a job is the same however it was started.
unset LANG LANGUAGE SUDO_COMMAND SUDO_USER SUDO_UID SUDO_GID SSH_CLIENT SSH_CONNECTION SSH_TTY XDG_SESSION_ID XDG_RUNTIME_DIR
export LC_ALL=C.UTF-8
. "$job/words"

me=$(id -u)
uid=$me
if [ -n "$user" ]; then uid=$(id -u -- "$user") || finish 126; fi
while IFS=: read -r name_ _ uid_ gid_ _ home_ shell_; do
	if [ "$uid_" = "$uid" ]; then
		export HOME="$home_" USER="$name_" LOGNAME="$name_" SHELL="${shell_:-/bin/sh}"
		break
	fi
done </etc/passwd
cd -- "${dir:-/}" || finish 126

begun=$(date +%s)
exec 3>&2 2>/dev/null # the shell would tell of a signal that ended the program
if [ "$uid" = "$me" ]; then
	( exec timeout -k 10 "$limit" "$@" 2>&3 3>&- )
elif setpriv --reuid=0 --init-groups --regid=0 true; then
	( exec timeout -k 10 "$limit" setpriv --reuid="$uid" --regid="$(id -g -- "$user")" --init-groups -- "$@" 2>&3 3>&- )
else
	( exec timeout -k 10 "$limit" su -s /bin/sh "$user" -c 'exec "$@"' -- deploy "$@" 2>&3 3>&- )
fi
code=$?
exec 2>&3 3>&-
if [ "$code" -gt 123 ] && [ $(($(date +%s) - begun)) -ge "$limit" ]; then code=124; fi
finish "$code"
