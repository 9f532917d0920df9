# job remove: behind job state
if [ "$phase" = running ]; then busy "the job is running"; fi
rm -rf -- "$job" || exit 1
if find_program systemctl; then systemctl reset-failed "deploy-job-$2.service" >/dev/null 2>&1; fi
exit 0
