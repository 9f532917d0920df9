# restart: ROOT is "" but in tests. A shutdown that is under way is what was asked for.
scheduled=$1/run/systemd/shutdown/scheduled
[ "$(id -u)" = 0 ] || refused "only root restarts the machine"
if [ -d "$1/run/systemd/system" ] && find_program systemctl; then
	if [ "$(systemctl is-system-running 2>/dev/null)" = stopping ]; then exit 0; fi
	if [ -e "$scheduled" ]; then
		mode=''
		due=''
		while IFS='=' read -r key value; do
			case $key in
			MODE) mode=$value ;;
			USEC) due=$value ;;
			esac
		done <"$scheduled"
		case $due in
		*[!0-9]*) due='' ;;
		esac
		# one that is planned for later is not under way
		if [ "$mode" = reboot ] && [ -n "$due" ] && [ $((due / 1000000 - $(date +%s))) -le 60 ]; then exit 0; fi
	fi
	command='systemctl reboot'
elif find_program shutdown; then
	command='shutdown -r now'
elif find_program reboot; then
	command=reboot
else
	unsupported "no program that restarts the machine"
fi
detach=nohup
if find_program setsid; then detach='setsid'; fi
# two seconds, so that the answer leaves before the network goes
"$detach" /bin/sh -c "sleep 2; $command" </dev/null >/dev/null 2>&1 &
exit 0
