package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"deploy/internal/engine"
	"deploy/internal/node"
	"deploy/inventory"
)

// ownerFlags say that a run goes on although the owner record of a node speaks against it.
type ownerFlags struct {
	takeOver bool
	wentBack []string
}

func (f *ownerFlags) addOwner(fs *pflag.FlagSet) {
	fs.BoolVar(&f.takeOver, "take-over", false, "put this journal in charge of nodes that another controller has; that "+
		"one does nothing more there")
	fs.StringSliceVar(&f.wentBack, "went-back", nil, "nodes that were put back to an older state: note that the acts "+
		"which they lack are gone")
}

// shared are the nodes on which the site says that others work too.
func (l *loaded) shared() map[string]bool {
	out := map[string]bool{}
	for _, n := range l.site.Nodes {
		if n.Shared {
			out[n.Name] = true
		}
	}
	return out
}

// disown takes the site's owner record off a node, where this journal wrote it. It says whether
// there was one. It must come before the agent is removed: a Windows node behind SSH may have no
// PowerShell, and then the agent is the only way to its registry.
func (fl *fleet) disown(ctx context.Context, n inventory.Node, journal string) (removed bool, err error) {
	o, closeOwned, err := fl.owned(ctx, n)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, closeOwned()) }()
	kept, err := o.Owners(ctx)
	if err != nil {
		return false, fmt.Errorf("cannot read the owner record on %s: %w", n.Name, err)
	}
	for _, r := range kept.Records {
		there, perr := node.ParseOwner(r.Record)
		if !strings.EqualFold(r.Site, fl.l.site.Name) || perr != nil || there.Journal != journal {
			continue // another controller's, or none that can be read: it is not ours to remove
		}
		if err := o.SetOwner(ctx, node.OwnerSet{Site: r.Site, Was: r.Record}); err != nil {
			return false, fmt.Errorf("cannot remove the owner record from %s: %w", n.Name, err)
		}
		return true, nil
	}
	return false, nil
}

// owned opens the way to a node's owner records: a session from here, which leaves nothing there,
// or on Windows behind SSH whatever dial finds.
func (fl *fleet) owned(ctx context.Context, n inventory.Node) (engine.Owned, func() error, error) {
	var ex engine.Executor
	if n.Transport == "ssh" && fl.unwanted(n) == "" {
		conn, err := fl.conn(ctx, n)
		if err != nil {
			return nil, nil, err
		}
		windows := fl.isWindows(n, conn)
		if err := conn.Close(); err != nil {
			return nil, nil, err
		}
		if windows {
			if ex, err = fl.dial(ctx, n.Name, engine.Position{}); err != nil {
				return nil, nil, err
			}
		}
	}
	if ex == nil {
		s, err := fl.session(ctx, n.Name)
		if err != nil {
			return nil, nil, err
		}
		ex = engine.Direct(s, "")
	}
	o, ok := ex.(engine.Owned)
	if !ok {
		return nil, nil, errors.Join(fmt.Errorf("cannot read the owner record on %s: this connection cannot carry it",
			n.Name),
			ex.Close())
	}
	return o, ex.Close, nil
}
