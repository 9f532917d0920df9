# job state: STATE NAME. Prints "PHASE CODE", then the last 64 KB of the output. Also the beginning of job remove.
job=$1/$2
[ -d "$job" ] || absent "no such job"

finished() {
	code=
	if [ -s "$job/exit" ]; then read -r code <"$job/exit"; fi
	[ -n "$code" ]
}

alive() {
	this_boot || exit 1
	now=$boot
	if [ -e "$job/pid" ]; then
		read -r pid since boot <"$job/pid"
		[ "$boot" = "$now" ] && started "$pid" && [ "$ticks" = "$since" ]
		return
	fi
	# not up yet, or cut off before it came up
	since=0 boot=
	if [ -e "$job/born" ]; then read -r since boot <"$job/born"; fi
	[ "$boot" = "$now" ] && [ $(($(date +%s) - since)) -lt 90 ]
}

if finished; then
	phase=done
elif alive; then
	phase=running
elif finished; then # it ended between the two looks
	phase=done
else
	phase=lost
fi
