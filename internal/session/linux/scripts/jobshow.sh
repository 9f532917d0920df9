printf '%s %s\n' "$phase" "${code:-0}"
if [ -e "$job/out" ]; then tail -c 65536 "$job/out"; fi
exit 0
