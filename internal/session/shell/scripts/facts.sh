[ "$(uname -s)" = Linux ] || exit 41
read -r boot </proc/sys/kernel/random/boot_id || exit 1
read -r stat </proc/1/stat || exit 1
id=
if [ -r /etc/machine-id ]; then read -r id </etc/machine-id || :; fi
systemd=no
if [ -d /run/systemd/system ]; then systemd=yes; fi
printf "%s\n" "$(id -u)" "$(uname -m)" "$(uname -n)" "$boot" "$stat" "$systemd" "$id" "${HOME:-}"
if [ -e /etc/os-release ]; then cat /etc/os-release || exit 1
elif [ -e /usr/lib/os-release ]; then cat /usr/lib/os-release || exit 1
fi
