package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"deploy/internal/agent/client"
	"deploy/internal/engine"
	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/inventory"
)

func (a *App) cleanCmd() *cobra.Command {
	var f siteFlags
	var nodes []string
	c := &cobra.Command{
		Use:   "clean SITE",
		Short: "Remove the agents and their records from the nodes",
		Long: `Removes the agents and their records from the nodes of a site. The next run copies the agents
again. The journal is kept, so status, resume and rollback still work. A node whose agent has
unreported work is skipped. A node on which nothing of the journal stands any more loses its owner
record as well.`,
		Example: `  deploy clean site.yaml
  deploy clean --node web1 site.yaml`,
		Args: oneArg("a site file"),
		RunE: func(c *cobra.Command, args []string) error { return a.clean(c.Context(), args[0], f, nodes) },
	}
	f.addLab(c.Flags())
	f.addLabStart(c.Flags())
	f.addState(c.Flags())
	f.addDebug(c.Flags())
	c.Flags().StringSliceVar(&nodes, "node", nil, "only these nodes")
	return c
}

func (a *App) clean(ctx context.Context, path string, f siteFlags, only []string) (err error) {
	l, err := a.load(path, f)
	if err != nil {
		return err
	}
	for _, name := range only {
		if _, ok := l.site.Node(name); !ok {
			return hint.Wrap(fmt.Errorf("node %s is not in the inventory", name), "use a node of "+path)
		}
	}
	// the lock of a run: nobody of this site is at work meanwhile
	j, closeJournal, err := a.openJournal(l.place, engine.NewRunID(a.Now()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeJournal()) }()
	entries, err := j.Entries(ctx)
	if err != nil {
		return err
	}
	st, err := journal.Fold(entries)
	if err != nil {
		return err
	}
	fl, err := a.fleet(ctx, l, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fl.close()) }()
	var list []inventory.Node
	for _, n := range l.site.Nodes {
		if len(only) == 0 || slices.Contains(only, n.Name) {
			list = append(list, n)
		}
	}
	errs, disowned := make([]error, len(list)), make([]bool, len(list))
	var all sync.WaitGroup
	for i, n := range list {
		all.Go(func() {
			if st.Owing[n.Name] {
				errs[i] = hint.Wrap(fmt.Errorf("cannot remove the agent from %s: it has unreported work",
					n.Name), "run deploy resume to fetch its report")
				return
			}
			if st.Standing(n.Name) == 0 {
				if disowned[i], errs[i] = fl.disown(ctx, n, j.Identity().ID); errs[i] != nil {
					return
				}
			}
			errs[i] = fl.clean(ctx, n)
		})
	}
	all.Wait()
	for i, n := range list {
		switch {
		case errs[i] != nil:
		case n.Transport == "local" && disowned[i]:
			fmt.Fprintln(a.Stdout, n.Name+": owner record removed")
		case disowned[i]:
			fmt.Fprintln(a.Stdout, n.Name+": agents, their records and the owner record removed")
		case n.Transport == "local":
			fmt.Fprintln(a.Stdout, n.Name+": nothing to remove (transport: local has no agent)")
		default:
			fmt.Fprintln(a.Stdout, n.Name+": agents and their records removed")
		}
	}
	return errors.Join(errs...)
}

// clean takes what agents left off one machine.
func (fl *fleet) clean(ctx context.Context, n inventory.Node) (err error) {
	if n.Transport == "local" {
		return nil
	}
	conn, err := fl.conn(ctx, n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if fl.isWindows(n, conn) {
		return client.RemoveFromWindows(ctx, conn, fl.launch(n, true, engine.Position{}))
	}
	return client.RemoveFromLinux(ctx, conn, fl.launch(n, false, engine.Position{}))
}
