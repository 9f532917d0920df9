package main

import (
	"strings"
	"testing"
)

// An address that is in duplicate address detection when the step looks is waited for, and not for
// ever.
func TestTierLabLateAddress(t *testing.T) {
	tierLab(t)
	b := newBench(t, twoNodes)
	b.startLab("address-late:times=6")
	b.must(0, "apply", "--lab", "--auto-approve", b.site)
	b.must(0, "plan", "--lab", b.site)

	never := newBench(t, twoNodes)
	never.startLab("address-late:times=always")
	r := never.run(nil, "apply", "--lab", "--auto-approve", never.site)
	if r.code != 1 || !strings.Contains(r.out+r.errOut, "it did not hold") {
		t.Errorf("exit %d\n%s\n%s", r.code, tail(r.out), tail(r.errOut))
	}
}
