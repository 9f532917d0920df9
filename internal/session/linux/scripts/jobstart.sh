# job start: STATE NAME SYSTEMD PROGRAM DIR USER WORDS RUNNER
umask 077
state=$1 name=$2 manager=$3 program=$4 dir=$5 user=$6 words=$7 runner=$8
job=$state/$name
if [ -d "$job" ]; then exit 0; fi # the same id is the same job
find_program "$program" || unsupported "no program $program"
find_program timeout || unsupported "no program timeout, which ends a job at its limit"
if [ -n "$dir" ] && [ ! -d "$dir" ]; then absent "no directory $dir"; fi
if [ -n "$user" ]; then
	wanted=$(id -u -- "$user" 2>/dev/null) || absent "no user $user"
	if [ "$(id -u)" != 0 ] && [ "$(id -u)" != "$wanted" ]; then
		refused "only root starts a job as another user"
	fi
fi
this_boot || exit 1
mkdir -p -- "$state" || exit 1
[ -O "$state" ] || refused "the directory of jobs, $state, belongs to another user"
if ! mkdir -- "$job"; then
	if [ -d "$job" ]; then exit 0; fi
	exit 1
fi
fail() {
	rm -rf -- "$job"
	exit 1
}
# through cat, which says why it cannot write; the shell itself may not
printf '%s %s\n' "$(date +%s)" "$boot" | cat >"$job/born" || fail
printf '%s\n' "$words" | cat >"$job/words" || fail
printf '%s\n' "$runner" | cat >"$job/run" || fail

# A unit of its own outlives the session's scope also where the logins' processes are killed at logout. Its command line is
# expanded by systemd, so nothing but a plain path may stand there.
launched=
case $job in
*[!A-Za-z0-9/._-]*) manager= ;;
esac
if [ "$manager" = systemd ] && [ "$(id -u)" = 0 ] && find_program systemd-run; then
	unit=deploy-job-$name
	systemctl reset-failed "$unit.service" >/dev/null 2>&1
	if systemd-run --quiet --unit="$unit" --description="deploy job" --property=KillMode=process /bin/sh "$job/run" </dev/null >/dev/null 2>&1; then
		launched=yes
	fi
fi
if [ -z "$launched" ]; then
	# The runner runs once: should the unit have started after all, the second one leaves.
	if find_program setsid; then
		setsid /bin/sh "$job/run" </dev/null >/dev/null 2>&1 &
	else
		nohup /bin/sh "$job/run" </dev/null >/dev/null 2>&1 &
	fi
fi
turn=0
while [ ! -e "$job/pid" ] && [ "$turn" -lt 100 ]; do
	turn=$((turn + 1))
	sleep 0.1 2>/dev/null || sleep 1
done
exit 0
