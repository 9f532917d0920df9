package nodetest

import (
	"testing"

	"deploy/internal/node"
)

// forged is a query that says that it is one, whatever its request does.
type forged struct {
	node.Query
	r node.Request
}

func (f forged) Request() node.Request { return f.r }

// Forbidden are queries that no Reader may ask, by name: one for each verb that writes, for
// programs and cmdlets that change something, and for verbs that nobody knows.
func Forbidden() map[string]node.Query {
	args := func() map[string]any {
		return map[string]any{"key": `HKLM\SOFTWARE\Forged`, "name": "forged", "type": "dword", "data": int64(1),
			"path": `C:\forged`, "temp": `C:\forged`, "sha256": "", "sddl": "D:", "id": "forged", "site": "forged", "was": "",
			"record": "forged", "reason": "forged", "dn": "CN=forged", "ns": `root\cimv2`, "class": "Win32_Service",
			"method": "Delete", "where": map[string]any{}, "args": map[string]any{}, "set": map[string]any{},
			"attrs": map[string]any{}, "offset": int64(0), "argv": []any{"cmd.exe"}, "user": "", "password": "",
			"limit": int64(1), "tree": true}
	}
	out := map[string]node.Query{}
	for verb, access := range node.Verbs() {
		if access != node.Reads {
			out[verb] = forged{r: node.Request{Verb: verb, Args: args()}}
		}
	}
	for _, verb := range []string{"", "forged", "REG.SET", "Reg.Get", "reg.get "} {
		out["unknown "+verb] = forged{r: node.Request{Verb: verb, Args: args()}}
	}
	for _, name := range []string{"Set-Forged", "Remove-Forged", "getforged", "Getx-Forged", "", "Format-Volume"} {
		out["cmdlet "+name] = node.Cmdlet{Name: name, Params: map[string]any{}}
	}
	for name, argv := range map[string][]string{"nothing": nil, "reboot": {"reboot"}, "cmd": {"cmd.exe", "/c", "hostname"},
		"cluster": {"cluster.exe", "group", "g", "/offline"}} {
		out["tool "+name] = node.Tool{Argv: argv}
	}
	return out
}

// ReaderContract holds a session's Reader to what it promises: nothing that may change the
// machine is asked by it, and what is refused is refused before it leaves. sent counts the
// requests that left.
func ReaderContract(t *testing.T, s node.Session, sent func() int64) {
	t.Helper()
	all := Forbidden()
	if len(all) < 25 {
		t.Fatalf("only %d queries are forged", len(all))
	}
	var qs []node.Query
	for what, q := range all {
		before := sent()
		if rows, err := s.Query(t.Context(), q); err == nil {
			t.Errorf("a Reader was let through: %s: %v", what, rows)
		}
		if sent() != before {
			t.Errorf("%s was refused after it had left", what)
		}
		qs = append(qs, q)
	}
	before := sent()
	if err := s.Prefetch(t.Context(), qs); err != nil {
		t.Errorf("fetching ahead what is refused: %v", err)
	}
	if sent() != before {
		t.Error("what is refused was fetched ahead")
	}
	if _, err := s.Query(t.Context(), node.Owners{}); err != nil {
		t.Errorf("a query that may be asked: %v", err)
	}
	if sent() == before {
		t.Error("nothing was counted that left")
	}
}
