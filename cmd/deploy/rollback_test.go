package main

import (
	"strings"
	"testing"
)

// Past the points of no return too rollback leads to bare machines. All that stays is in the
// directory: what the three preparations wrote, since nobody can take that back, and the computer
// account of the mailbox server's name, which a cluster disables and does not delete when its
// network name goes.
func TestTierLabRollbackToBare(t *testing.T) {
	tierLab(t)
	b := newBench(t, twoNodes)
	l := b.startLab()
	bare := withoutPreparation(t, machines(t, l))
	b.must(0, "apply", "--lab", "--auto-approve", b.site)
	b.must(0, "rollback", "--lab", "--all", "--auto-approve",
		"--leave", "preparation/schema,preparation/ad,preparation/domain",
		b.site)
	same(t, "after the rollback", bare, withoutPreparation(t, machines(t, l)))
	// and all of it can be done again
	b.must(0, "apply", "--lab", "--auto-approve", b.site)
	b.must(0, "plan", "--lab", b.site)
}

// withoutPreparation leaves out Exchange's objects of the forest, and the disabled account.
func withoutPreparation(t *testing.T, state any) any {
	t.Helper()
	objects := state.(map[string]any)["forest"].(map[string]any)["objects"].(map[string]any)
	const disabled = "4098" // WORKSTATION_TRUST_ACCOUNT and ACCOUNTDISABLE
	if o, ok := objects["cn=mbx01,cn=computers,dc=contoso,dc=com"].(map[string]any); ok {
		if uac := o["attrs"].(map[string]any)["useraccountcontrol"]; len(uac.([]any)) != 1 || uac.([]any)[0] != disabled {
			t.Errorf("the account of the removed server is not disabled: %v", uac)
		}
		delete(objects, "cn=mbx01,cn=computers,dc=contoso,dc=com")
	}
	for dn := range objects {
		for _, ours := range []string{"cn=ms-exch-schema-version-pt,", "cn=microsoft exchange system objects,",
			"cn=microsoft exchange,cn=services,"} {
			if strings.HasPrefix(dn, ours) || strings.Contains(dn, ","+ours) {
				delete(objects, dn)
			}
		}
	}
	return state
}
