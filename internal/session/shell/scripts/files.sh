# Files, for a shell that has package linux's functions. Programs say an errno as its text in the locale C; the last line tells.
gone() { printf '%s: %s\n' "$1" "$2" >&2; exit 1; }

# plain PATH leaves it in $path so that no program takes it for an option.
plain() {
	path=$1
	case $path in
	-*) path=./$path ;;
	esac
}

# look leaves type and mode, size, time, user and group of $path in $raw, $size, $when, $uid, $gid; a symbolic link is followed.
look() {
	# shellcheck disable=SC2046
	set -- $(stat -L -c '%f %s %Y %u %g' "$path" && echo ok)
	[ "${6:-}" = ok ] || return 1
	raw=$1 size=$2 when=$3 uid=$4 gid=$5
}

# entry DATABASE FIELD VALUE leaves in $name and $number the account whose field is VALUE: 1 is its name, 3 its number.
entry() {
	while IFS=: read -r name _ number _; do
		if { [ "$2" = 1 ] && [ "$name" = "$3" ]; } || { [ "$2" = 3 ] && [ "$number" = "$3" ]; }; then return 0; fi
	done <"/etc/$1"
	case $3 in
	-*) return 1 ;;
	esac
	find_program getent || return 1
	found=$(getent "$1" "$3") || return 1
	name=${found%%:*}
	number=${found#*:*:}
	number=${number%%:*}
}

# number_of DATABASE WHAT NAME leaves the account's number in $number.
number_of() {
	case $3 in
	*[!0-9]*) entry "$1" 1 "$3" || absent "$2 $3: no such account" ;;
	*) number=$3 ;;
	esac
}

# regular says that $path is a file with content, in the words of an errno when it is not.
regular() {
	look || exit 1
	if [ -d "$path" ]; then gone "$path" 'Is a directory'; fi
	[ -f "$path" ] || gone "$path" 'Invalid argument'
}

file_stat() {
	plain "$1"
	look || exit 1
	if ! entry passwd 3 "$uid"; then name=$uid; fi
	printf '%s %s %s\n%s\n' "$raw" "$size" "$when" "$name"
	if ! entry group 3 "$gid"; then name=$gid; fi
	printf '%s\n' "$name"
}

file_hash() {
	plain "$1"
	regular
	sum=$(sha256sum <"$path") || exit 1
	printf '%s %s\n' "${sum%% *}" "$size"
}

dir_list() {
	plain "$1"
	look || exit 1
	[ -d "$path" ] || { printf '%s\n' 'not a directory' >&2; exit 45; }
	if find / -prune -printf '' 2>/dev/null; then
		find "$path/" -mindepth 1 -maxdepth 1 -printf '%y %s %f\0' || exit 1
		return
	fi
	if [ ! -r "$path" ] || [ ! -x "$path" ]; then gone "$path" 'Permission denied'; fi
	for each in "$path"/* "$path"/.[!.]* "$path"/..?*; do
		if [ ! -e "$each" ] && [ ! -L "$each" ]; then continue; fi
		kind=f
		if [ -d "$each" ] && [ ! -L "$each" ]; then kind=d; fi
		printf '%s %s %s\0' "$kind" "$(stat -c %s "$each")" "${each##*/}"
	done
}

dir_make() {
	plain "$1"
	umask 022
	if [ -e "$path" ] && [ ! -d "$path" ]; then gone "$path" 'Not a directory'; fi
	mkdir -p "$path" || exit 1
}

file_remove() {
	plain "$1"
	if [ "$2" = tree ]; then
		rm -rf "$path" || exit 1
	elif [ -d "$path" ] && [ ! -L "$path" ]; then
		rmdir "$path" || exit 1
	else
		rm -f "$path" || exit 1
	fi
}

# own FILE UID GID sets what is given and differs from what $uid and $gid say.
own() {
	if [ -n "$2" ] && [ "$2" != "$uid" ]; then chown "$2" "$1" || return 1; fi
	if [ -n "$3" ] && [ "$3" != "$gid" ]; then chgrp "$3" "$1" || return 1; fi
}

file_mode() {
	plain "$1"
	mode=$2 user='' group=''
	if [ -n "$3" ]; then number_of passwd user "$3"; user=$number; fi
	if [ -n "$4" ]; then number_of group group "$4"; group=$number; fi
	look || exit 1
	# a change of owner takes setuid and setgid away
	[ -n "$mode" ] || mode=$(stat -L -c %a "$path") || exit 1
	own "$path" "$user" "$group" || exit 1
	set_mode "$mode" "$path" || exit 1
}

# set_mode MODE FILE: GNU chmod keeps setuid and setgid of a directory unless the number has five digits or a leading "=".
set_mode() {
	if [ -d "$2" ]; then chmod u-s,g-s,-t "$2" || return 1; fi
	chmod "$1" "$2"
}

# target follows the symbolic links that $path ends in, also when nothing is at the end of them. It leaves the directory in $place and the
# temporary name in $temp.
target() {
	turn=0
	while [ -L "$path" ]; do
		turn=$((turn + 1))
		[ "$turn" -le 40 ] || gone "$path" 'Too many levels of symbolic links'
		link=$(readlink "$path" && printf x) || exit 1
		link=${link%?x}
		case $link in
		/*) path=$link ;;
		*)
			case $path in
			*/*) path=${path%/*}/$link ;;
			*) plain "$link" ;;
			esac
			;;
		esac
	done
	if [ -d "$path" ]; then gone "$path" 'Is a directory'; fi
	# a device or a pipe is not replaced by a file
	if [ -e "$path" ] && [ ! -f "$path" ]; then gone "$path" 'Invalid argument'; fi
	place=.
	case $path in
	/*/*) place=${path%/*} ;;
	/*) place=/ ;;
	*/*) place=${path%/*} ;;
	esac
	# the shell's own words do not tell this from a directory that is not there
	if [ -e "$place" ] && [ ! -d "$place" ]; then gone "$path" 'Not a directory'; fi
	temp=$path.deploy.tmp
}

# receive puts stdin into the temporary file. What stands there may be a link that somebody laid, so it is made anew.
receive() {
	umask 077
	rm -f "$temp" || exit 1
	set -C
	cat >"$temp" || { code=$?; drop; exit "$code"; }
	set +C
	sum=$(sha256sum <"$temp") || { drop; exit 1; }
	sum=${sum%% *}
}

drop() { rm -f "$temp" 2>/dev/null; }

# file_write PATH MODE OWNER GROUP SHA256 FROM: FROM is stdin, or temp when the content is in the temporary file already.
file_write() {
	plain "$1"
	target
	if [ "$6" = stdin ]; then
		receive
	else
		sum=$(sha256sum <"$temp") || exit 1
		sum=${sum%% *}
	fi
	if [ "$sum" != "$5" ]; then
		drop
		printf '%s\n' 'the file did not arrive whole' >&2
		exit 44
	fi
	( dress_up "$2" "$3" "$4" ) || { code=$?; drop; exit "$code"; }
	sync "$temp" 2>/dev/null || sync
	mv -f "$temp" "$path" || { drop; exit 1; }
	sync "$place" 2>/dev/null || sync
}

# dress_up MODE OWNER GROUP gives the temporary file what is asked for, or what the file has that it replaces.
dress_up() {
	mode=$1 user='' group=''
	if [ -e "$path" ]; then
		look || exit 1
		user=$uid group=$gid
		[ -n "$mode" ] || mode=$(stat -L -c %a "$path") || exit 1
	fi
	if [ -n "$2" ]; then number_of passwd user "$2"; user=$number; fi
	if [ -n "$3" ]; then number_of group group "$3"; group=$number; fi
	old=$path
	path=$temp
	look || exit 1
	own "$temp" "$user" "$group" || exit 1
	# access list, capabilities and attributes of the file that is replaced: after the owner, which takes capabilities away, and before
	# the mode, which an access list sets. Where cp knows no attributes, the access list alone.
	if [ -e "$old" ]; then
		cp --attributes-only --preserve=mode,xattr -- "$old" "$temp" 2>/dev/null ||
			cp --attributes-only --preserve=mode -- "$old" "$temp" 2>/dev/null || :
	fi
	chmod "${mode:-644}" "$temp" || exit 1
	# what SELinux says that the old file is for, the new one is for
	if [ -d /sys/fs/selinux ] && [ -e "$old" ] && find_program chcon; then chcon --reference="$old" "$temp" 2>/dev/null || :; fi
}

# file_upload PATH puts stdin into the temporary file and prints its hash.
file_upload() {
	plain "$1"
	target
	receive
	printf '%s\n' "$sum"
}

# file_drop PATH removes the temporary file.
file_drop() {
	plain "$1"
	target
	drop
}

file_read() {
	plain "$1"
	regular
	exec 4<"$path" || exit 1
	begin
	cat <&4 || exit 1
}
