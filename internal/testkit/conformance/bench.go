package conformance

import (
	"fmt"
	"testing"

	"deploy/internal/lab/directory"
	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/lab/session"
	"deploy/internal/node"
	secrets "deploy/internal/secret"
	core "deploy/internal/session"
	"deploy/inventory"
	"deploy/steps"
)

// Bench is a small lab in the test's own process: two machines with a public and a private card
// each and two shared disks, and a domain controller, all of one release and language.
type Bench struct {
	World  *model.World
	Module *machine.Module
}

// Facts of the bench that tests name.
const (
	Node1, Node2, DC       = "node1", "node2", "dc1"
	PublicMAC, PrivateMAC  = "00:15:5D:00:01:01", "00:15:5D:00:01:02"
	PublicMAC2             = "00:15:5D:00:02:01"
	DiskA, DiskB           = "600A0B80000F1A2C", "600A0B80000F1A2D"
	Domain                 = "contoso.com"
	Credential             = "admin"
	OtherCredential        = "other" // the same account by another name
	credentialUser, secret = `CONTOSO\deploy`, "correct horse"
)

// Locales are the languages in which the lab speaks.
func Locales() []string { return []string{"en", "fr", "de", "ja"} }

// NewBench delivers the machines.
func NewBench(t *testing.T, release node.Release, locale string) *Bench {
	t.Helper()
	site := &inventory.Site{
		Name: "bench",
		Nodes: []inventory.Node{
			{Name: Node1, Address: "192.0.2.11", Roles: []string{"cluster"}},
			{Name: Node2, Address: "192.0.2.12", Roles: []string{"cluster"}},
			{Name: DC, Address: "192.0.2.5", Roles: []string{"directory"}},
		},
		Lab: inventory.Lab{
			OS: string(release), Locale: locale, Domain: Domain,
			Machines: map[string]inventory.LabMachine{
				Node1: {Adapters: []inventory.LabAdapter{{MAC: PrivateMAC}, {MAC: PublicMAC, Address: "192.0.2.11/24"}}},
				Node2: {Adapters: []inventory.LabAdapter{{MAC: "00:15:5D:00:02:02"}, {MAC: PublicMAC2, Address: "192.0.2.12/24"}}},
				DC:    {DC: true, Adapters: []inventory.LabAdapter{{MAC: "00:15:5D:00:03:01", Address: "192.0.2.5/24"}}},
			},
			Disks: []inventory.LabDisk{{Serial: DiskA, SizeMB: 10240, Nodes: []string{Node1, Node2}},
				{Serial: DiskB, SizeMB: 512, Nodes: []string{Node1, Node2}}},
		},
	}
	w, err := machine.Deliver(site)
	if err != nil {
		t.Fatalf("cannot deliver the bench: %v", err)
	}
	w.Forest.Users[`contoso\deploy`] = secret
	directory.Seed(w)
	return &Bench{World: w, Module: machine.Base().Add(directory.Module())}
}

// Session opens a session to one of the machines, for a Reader with what these kinds may start. Run
// gives it that of its case's kind.
func (b *Bench) Session(t *testing.T, name string, kinds ...steps.Kind) *session.Session {
	t.Helper()
	s, err := session.New(t.Context(), session.Options{World: b.World, Machine: b.World.Machine(name), Module: b.Module,
		Network: true, Options: core.Options{ReadOnly: steps.NewRegistry(kinds).ReadOnly(),
			Credentials: map[string]node.Credential{
				Credential:      {User: credentialUser, Password: secrets.New(secret)},
				OtherCredential: {User: credentialUser, Password: secrets.New(secret)}}}})
	if err != nil {
		t.Fatalf("cannot open a session to %s: %v", name, err)
	}
	return s
}

// Restart restarts the machine behind a session; it fits Case.Restart.
func Restart(t *testing.T, s node.Session) node.Session {
	t.Helper()
	lab, ok := s.(*session.Session)
	if !ok {
		t.Fatal("only a machine of the lab can be restarted")
	}
	again, err := lab.Restart()
	if err != nil {
		t.Fatalf("cannot restart the machine: %v", err)
	}
	return again
}

// InLab runs f for every release in the list and every language, each on a bench of its own.
func InLab(t *testing.T, releases []node.Release, f func(t *testing.T, b *Bench)) {
	t.Helper()
	for _, r := range Releases(releases) {
		for _, l := range Locales() {
			t.Run(fmt.Sprintf("%s-%s", r, l), func(t *testing.T) { f(t, NewBench(t, r, l)) })
		}
	}
}
