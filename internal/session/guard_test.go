package session_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	lab "deploy/internal/lab/session"
	"deploy/internal/node"
	"deploy/internal/session"
	"deploy/internal/session/local"
	"deploy/internal/session/powershell/protocol"
	"deploy/internal/session/shell"
	"deploy/internal/testkit/nodetest"
	"deploy/inventory"
	"deploy/transport"
	here "deploy/transport/local"
)

// counter counts the requests that a session says it serves.
type counter struct {
	slog.Handler
	n *atomic.Int64
}

func (c counter) Enabled(context.Context, slog.Level) bool { return true }
func (c counter) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "request" {
		c.n.Add(1)
	}
	return nil
}

// channels counts what is started over a connection.
type channels struct {
	transport.Conn
	n atomic.Int64
}

func (c *channels) Start(ctx context.Context, line string) (transport.Process, error) {
	c.n.Add(1)
	return c.Conn.Start(ctx, line)
}

// TestNoReaderChangesAnything tries every verb that writes against the Reader of every session.
// That of the resident PowerShell is in its own package.
func TestNoReaderChangesAnything(t *testing.T) {
	readOnly := func(argv []string) bool { return len(argv) == 1 && argv[0] == "hostname" }
	t.Run("local", func(t *testing.T) {
		var n atomic.Int64
		s, err := local.Open(t.Context(), local.Options{State: filepath.Join(t.TempDir(), "jobs"),
			Options: session.Options{ReadOnly: readOnly, Log: slog.New(counter{slog.DiscardHandler, &n})}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		nodetest.ReaderContract(t, s, n.Load)
	})
	t.Run("shell", func(t *testing.T) {
		if _, err := os.Stat("/bin/sh"); err != nil {
			t.Skip("needs a shell")
		}
		c := &channels{Conn: here.New("n1")}
		s, err := shell.Open(t.Context(), c, shell.Options{State: filepath.Join(t.TempDir(), "jobs"),
			Options: session.Options{Node: "n1", ReadOnly: readOnly}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		nodetest.ReaderContract(t, s, c.n.Load)
	})
	t.Run("lab", func(t *testing.T) {
		w, err := machine.Deliver(&inventory.Site{Name: "s", Nodes: []inventory.Node{{Name: "n1", Address: "192.0.2.1"}},
			Lab: inventory.Lab{OS: string(node.WS2008), Locale: "en", Machines: map[string]inventory.LabMachine{"n1": {}}}})
		if err != nil {
			t.Fatal(err)
		}
		var n atomic.Int64
		o := lab.Options{World: w, Machine: w.Machine("n1"), Module: machine.Base(),
			Options: session.Options{ReadOnly: readOnly}}
		o.Serve = serving(o, &n)
		s, err := lab.New(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		nodetest.ReaderContract(t, s, n.Load)
	})
}

// serving answers for a machine as the lab's session does itself, and counts.
func serving(o lab.Options, n *atomic.Int64) func(context.Context, string, map[string]any) ([]machine.Object, error) {
	return func(ctx context.Context, verb string, args map[string]any) ([]machine.Object, error) {
		n.Add(1)
		o.World.Lock()
		defer o.World.Unlock()
		return machine.Serve(newCtx(ctx, o.World, o), verb, args)
	}
}

func newCtx(ctx context.Context, w *model.World, o lab.Options) *machine.Ctx {
	return &machine.Ctx{Context: ctx, W: w, M: o.Machine, B: o.Module, User: `N1\Administrator`, Print: func(string) {},
		Now: time.Now, Sleep: func(time.Duration) {}}
}

// TestEveryServedVerbIsClassified: what a far end carries out is in the one list of verbs.
func TestEveryServedVerbIsClassified(t *testing.T) {
	known := node.Verbs()
	served := machine.Verbs()
	for _, m := range regexp.MustCompile(`\$verbs\['([^']+)'\] = `).FindAllStringSubmatch(protocol.Script(), -1) {
		served = append(served, m[1])
	}
	if len(served) < 50 {
		t.Fatalf("only %d verbs are served", len(served))
	}
	for _, verb := range served {
		if known[verb] == 0 {
			t.Errorf("the verb %q is served and nobody has classified it", verb)
		}
	}
}
