# Which controller is in charge of this machine, in a shell that has package linux's functions. A record is JSON: each member of the
# outermost object stands on a line of its own.
superseded() { printf '%s' "$record" >&2; exit 46; }

# owner_read DIR SITE leaves in $record what is kept of a site; nothing when nothing is.
owner_read() {
	record=
	file=$1/$2.json
	if [ ! -e "$file" ] && [ ! -L "$file" ]; then return; fi
	record=$(cat "$file" && printf x) || exit 1
	record=${record%x}
}

# owner_write DIR SITE RECORD puts a record in place, on the disk: an act must not get there before what says whose it is.
owner_write() {
	umask 077
	mkdir -p "$1" || exit 1
	temp=$1/$2.json.deploy.tmp
	rm -f "$temp" || exit 1
	set -C
	printf '%s' "$3" | cat >"$temp" || { code=$?; rm -f "$temp"; exit "$code"; }
	set +C
	sync "$temp" 2>/dev/null || sync
	mv -f "$temp" "$1/$2.json" || { rm -f "$temp"; exit 1; }
	sync "$1" 2>/dev/null || sync
}

# member NAME leaves in $value what $file has for a member of the outermost object.
member() {
	value=
	while IFS= read -r line; do
		case $line in
		"  \"$1\": "*)
			value=${line#*: }
			value=${value%,}
			value=${value#\"}
			value=${value%\"}
			return
			;;
		esac
	done <"$file"
}

# fence DIR SITE JOURNAL EPOCH RUN RECORD stops a request of a controller that is not in charge any more.
fence() {
	owner_read "$1" "$2"
	[ -n "$record" ] || superseded
	member format
	[ "$value" = 1 ] || superseded
	member journal
	[ "$value" = "$3" ] || superseded
	member epoch
	case $value in
	'' | *[!0-9]*) superseded ;;
	esac
	[ "$value" -le "$4" ] || superseded
	if [ -n "$5" ] && [ "$value" -eq "$4" ]; then
		member run
		[ "$value" = "$5" ] || superseded
	fi
	if [ -n "$6" ] && [ "$6" != "$record" ]; then ( owner_write "$1" "$2" "$6" ) || exit; fi
}

# owner_get DIR prints "SITE", a null byte, the record and a null byte for each.
owner_get() {
	if [ -d "$1" ] && { [ ! -r "$1" ] || [ ! -x "$1" ]; }; then
		printf '%s: Permission denied\n' "$1" >&2
		exit 1
	fi
	for each in "$1"/*.json; do
		if [ ! -e "$each" ] && [ ! -L "$each" ]; then continue; fi
		name=${each##*/}
		printf '%s\0' "${name%.json}"
		cat "$each" || exit 1
		printf '\0'
	done
}

# owner_set DIR SITE WAS RECORD replaces a record by another where the first still stands.
owner_set() {
	owner_read "$1" "$2"
	[ "$record" = "$3" ] || superseded
	if [ -n "$4" ]; then
		owner_write "$1" "$2" "$4"
	else
		rm -f "$1/$2.json" || exit 1
		rmdir "$1" 2>/dev/null || :
	fi
}
