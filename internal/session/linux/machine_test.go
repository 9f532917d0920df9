package linux

import (
	"strings"
	"testing"
)

// Only an id of machine-id(5) tells a machine from others; whatever else stands there tells
// nothing.
func TestMachineID(t *testing.T) {
	id := strings.Repeat("0a", 16)
	for text, want := range map[string]string{
		id + "\n": id, id: id, "": "", "uninitialized\n": "", id + "0\n": "", strings.Repeat("0", 32): "",
		strings.ToUpper(id): "", strings.Repeat("x", 32): "", id + "\n" + id: "",
	} {
		f, err := Raw{BootID: "b", Init: "1 (init) S" + strings.Repeat(" 1", 30), Computer: "n1", ID: text}.Facts()
		if err != nil || f.Machine != want {
			t.Errorf("%q is told as %q, %v", text, f.Machine, err)
		}
	}
}
