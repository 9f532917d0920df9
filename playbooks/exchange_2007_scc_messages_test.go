package playbooks_test

import (
	"strings"
	"testing"
)

// Each finding names the values, both users of one value, and what to do.
func TestSCCMessages(t *testing.T) {
	for name, c := range map[string]struct {
		edits      []string
		says, hint string
	}{
		"prefix of a card": {[]string{"192.0.2.12/24", "192.0.2.13/25"},
			"192.0.2.13/25 of mbx01-node2 has another prefix length than networks.public 192.0.2.0/24", "write 192.0.2.13/24"},
		"card elsewhere": {[]string{"192.0.2.12/24", "198.51.100.13/24"},
			"198.51.100.13/24 of mbx01-node2 is not in networks.public 192.0.2.0/24", "give the public card an address"},
		"address of the domain controller": {[]string{"address: 192.0.2.21", "address: 192.0.2.5"},
			"192.0.2.5 is used twice: mailbox server mbx01 and a directory or DNS server", "unused address"},
		"address of the gateway": {[]string{"address: 192.0.2.21", "address: 192.0.2.1"},
			"192.0.2.1 is used twice: mailbox server mbx01 and the gateway", "unused address"},
		"address of a card": {[]string{"192.0.2.20}", "192.0.2.11}"},
			"192.0.2.11 is used twice: cluster mbx01-clu and the public card of mbx01-node1", "unused address"},
		"broadcast": {[]string{"address: 192.0.2.21", "address: 192.0.2.255"},
			"192.0.2.255 of mailbox server mbx01 is the first or the last address of its network", "between the two"},
		"network": {[]string{"192.0.2.20}", "192.0.2.0}"},
			"192.0.2.0 of cluster mbx01-clu is the first or the last address of its network", "between the two"},
		"reached elsewhere": {[]string{"      address: 192.0.2.11\n", "      address: 192.0.2.99\n"},
			"node mbx01-node1 is reached at 192.0.2.99, which is the address of none of its cards", "192.0.2.11"},
		"name of a node": {[]string{"mbx01-clu", "MBX01-NODE2"},
			"MBX01-NODE2 is the name of the cluster and a node", "a name of its own"},
		"server of a disk": {[]string{"server: mbx01", "server: mbx10"},
			"39:81: error: disk LUN-DATA-01 belongs to mbx10, which is no mailbox server", "did you mean mbx01?"},
		"path on no disk": {[]string{`data_path: 'E:\mbx01'`, `data_path: 'G:\mbx01'`},
			`G:\mbx01 is on no data disk of mailbox server mbx01`, "its disks are E:, F:"},
		"letter twice": {[]string{"letter: 'F:'", "letter: 'E:'"},
			"40:37: error: LUN-DATA-01 and LUN-LOGS-01 both want E:", "give one of them a free letter"},
		"card twice": {[]string{"00:15:5D:00:02:01", "00:15:5d:00:01:01"},
			"hardware address 00:15:5D:00:01:01 is used twice: the public card of mbx01-node1 and the public card of " +
				"mbx01-node2", "ipconfig"},
	} {
		_, findings, _ := sccSite(t, "exchange-2007-scc", c.edits...)
		found := false
		for _, f := range findings {
			found = found || strings.Contains(f.String(), c.says) && strings.Contains(f.Hint, c.hint)
		}
		if !found {
			t.Errorf("%s: no finding says %q with hint %q:\n%v", name, c.says, c.hint, findings)
		}
	}
}
