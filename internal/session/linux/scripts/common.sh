# What every script begins with. Exit codes: 40 absent, 41 unsupported, 42 busy, 43 refused; any other failure says why on stderr.
absent() { printf '%s\n' "$1" >&2; exit 40; }
unsupported() { printf '%s\n' "$1" >&2; exit 41; }
busy() { printf '%s\n' "$1" >&2; exit 42; }
refused() { printf '%s\n' "$1" >&2; exit 43; }

# find_program NAME leaves the file in $found: NAME itself when it has a slash, else the first on the path.
find_program() {
	found=
	case $1 in
	*/*)
		if [ -f "$1" ] && [ -x "$1" ]; then found=$1; fi
		;;
	?*)
		old_ifs=$IFS
		IFS=:
		set -f
		for place in $PATH; do
			case $place in
			/*)
				if [ -f "$place/$1" ] && [ -x "$place/$1" ]; then
					found=$place/$1
					break
				fi
				;;
			esac
		done
		set +f
		IFS=$old_ifs
		;;
	esac
	[ -n "$found" ]
}

# started PID leaves in $ticks when the process started: field 22 of its stat, counted behind the name, which may hold anything.
started() {
	ticks=
	line=
	read -r line 2>/dev/null <"/proc/$1/stat" || return 1
	set -f
	# shellcheck disable=SC2086
	set -- ${line##*) }
	set +f
	ticks=${20:-}
	[ -n "$ticks" ]
}

# this_boot leaves in $boot what changes with every boot, also of a container that shares its kernel.
this_boot() {
	read -r boot </proc/sys/kernel/random/boot_id || return 1
	started 1 || return 1
	boot=$boot-$ticks
}
