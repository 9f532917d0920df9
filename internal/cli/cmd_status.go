package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"deploy/internal/engine"
	"deploy/internal/journal"
	"deploy/internal/view"
)

func (a *App) statusCmd() *cobra.Command {
	var f siteFlags
	var nodes bool
	c := &cobra.Command{
		Use:   "status SITE",
		Short: "Show the status of phases and steps from the journal",
		Long: `Reads the journal and does not connect to any node. With --nodes it also reads the owner record of
every node and says which one does not fit this journal: another controller is in charge, the
journal is an older copy, or the node was put back to an older state. A node that cannot be asked
is listed, and the exit code is 1. To compare the nodes with the site, use deploy plan.`,
		Example: `  deploy status site.yaml
  deploy status --verbose site.yaml
  deploy status --nodes --json site.yaml`,
		Args: oneArg("a site file"),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := a.place(args[0], f)
			if err != nil {
				return err
			}
			j, err := a.readJournal(c.Context(), p)
			if err != nil {
				return err
			}
			s, err := a.status(p, j.entries)
			if err != nil {
				return err
			}
			var unasked error
			if nodes {
				if s.Nodes, err = a.nodeRecords(c.Context(), args[0], f, j); err != nil {
					return err
				}
				unasked = notAsked(s.Nodes)
			}
			if f.json {
				return errors.Join(view.WriteJSON(a.Stdout, s), unasked)
			}
			view.Status(redactingWriter{a.Stdout, &a.redact}, s, view.Options{Verbose: f.verbose, Color: a.color()})
			return unasked
		},
	}
	c.Flags().BoolVar(&nodes, "nodes", false, "also read the owner record of every node")
	f.addLab(c.Flags())
	f.addState(c.Flags())
	f.addJSON(c.Flags())
	f.addVerbose(c.Flags())
	return c
}

// nodeRecords reads the owner records from here, so that it leaves nothing on a node.
func (a *App) nodeRecords(ctx context.Context, path string, f siteFlags, j frozenJournal) (_ []engine.NodeRecord,
	err error) {
	l, err := a.load(path, f)
	if err != nil {
		return nil, err
	}
	fl, err := a.fleet(ctx, l, f)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, fl.close()) }()
	o := a.options(l, fl, runFlags{siteFlags: f}, j)
	o.Dial = a.wrapped(func(ctx context.Context, name string, _ engine.Position) (engine.Executor, error) {
		s, err := fl.session(ctx, name)
		if err != nil {
			return nil, err
		}
		return engine.Direct(s, ""), nil
	})
	return engine.NodeRecords(ctx, o)
}

// notAsked is the error of the nodes that could not be asked; they are listed with their reasons.
func notAsked(list []engine.NodeRecord) error {
	var names []string
	for _, n := range list {
		if n.Error != "" {
			names = append(names, n.Node)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("cannot read the owner record of %s", strings.Join(names, ", "))
}

// status lays the journal over the playbook. One that cannot be read any more does not hide what
// was done.
func (a *App) status(p place, entries []journal.Entry) (*engine.StatusReport, error) {
	l, err := a.compile(p)
	if err == nil {
		return engine.Status(entries, l.program)
	}
	fmt.Fprintln(a.Stderr, "warning: site and playbook do not match; showing the journal only:\n  "+
		a.redact.Redact(strings.ReplaceAll(err.Error(), "\n", "\n  ")))
	return engine.JournalStatus(entries, p.site.Name)
}

func (a *App) historyCmd() *cobra.Command {
	var f siteFlags
	c := &cobra.Command{
		Use:   "history SITE",
		Short: "Print the journal, entry by entry",
		Example: `  deploy history site.yaml
  deploy history --json site.yaml`,
		Args: oneArg("a site file"),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := a.place(args[0], f)
			if err != nil {
				return err
			}
			j, err := a.readJournal(c.Context(), p)
			if err != nil {
				return err
			}
			if f.json {
				for _, e := range j.entries {
					if err := view.WriteJSONLine(redactingWriter{a.Stdout, &a.redact}, e); err != nil {
						return err
					}
				}
				return nil
			}
			st, err := journal.Fold(nil)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(redactingWriter{a.Stdout, &a.redact}, 0, 4, 2, ' ', 0)
			for _, e := range j.entries {
				if err := st.Add(e); err != nil {
					return err
				}
				fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", e.Seq, e.Time.Format(time.RFC3339), e.Kind,
					first(e.Task, e.Phase, e.Node), first(brief(e), anew(st, e)))
			}
			return w.Flush()
		},
	}
	f.addLab(c.Flags())
	f.addState(c.Flags())
	f.addJSON(c.Flags())
	return c
}

// anew tells of a begin that says that the work of before it was gone.
func anew(st *journal.State, e journal.Entry) string {
	if t := st.Task(e.Task); e.Task == "" || t.Anew.Seq != e.Seq {
		return ""
	}
	return "made anew: what was done here before is gone"
}

func first(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// brief is the one thing worth a column of an entry's data.
func brief(e journal.Entry) string {
	var d struct {
		Error   string `json:"error"`
		Note    string `json:"note"`
		By      string `json:"by"`
		How     string `json:"how"`
		Command string `json:"command"`
		Who     string `json:"who"`
		BootID  string `json:"boot_id"`
		From    string `json:"from"`
		Epoch   int64  `json:"epoch"`
	}
	if len(e.Data) == 0 || json.Unmarshal(e.Data, &d) != nil {
		return ""
	}
	switch e.Kind {
	case journal.RunStart:
		return "run " + e.Run + ": " + d.Command + " by " + d.Who
	case journal.TookOver:
		return fmt.Sprintf("from %s, epoch %d", d.From, d.Epoch)
	}
	return first(d.Error, d.Note, d.By, d.How)
}
