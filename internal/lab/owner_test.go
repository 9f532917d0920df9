package lab

import (
	"testing"

	"deploy/internal/testkit/nodetest"
)

// TestOwnerAndFence: the owner records of a machine and the fence, through the resident process.
func TestOwnerAndFence(t *testing.T) {
	l := startLab(t, testConfig(t))
	program := []string{"cmd.exe", "/c", "echo", "x"}
	for _, way := range []string{"http ntlm", "ssh"} {
		t.Run(way, func(t *testing.T) {
			s, _, err := open(t, t.Context(), l.Endpoints()["n1"], way)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			join := func(name string) string { return `C:\Windows\Temp\` + way[:3] + name }
			nodetest.OwnerContract(t, s, join, program)
		})
	}
}
