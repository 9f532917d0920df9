package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sort"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/internal/lab"
	"deploy/internal/view"
)

func (a *App) labCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "lab",
		Short: "Run a site against emulated machines with real SSH and WinRM",
		Long: `Emulates the machines of a site, Windows Server 2003 to 2025, behind real SSH and WinRM servers on
this machine. The emulation follows the documented behaviour of Windows. It is a rehearsal, not a
proof for real machines.`,
		Example: "  deploy lab up site.yaml\n  deploy apply --lab site.yaml\n  deploy lab show site.yaml",
	}
	c.AddCommand(a.labUpCmd(), a.labShowCmd(), a.labResetCmd(), a.labFaultsCmd())
	return c
}

func (a *App) labUpCmd() *cobra.Command {
	var f siteFlags
	c := &cobra.Command{
		Use:   "up SITE",
		Short: "Serve a site's emulated machines until stopped, and print their addresses",
		Long: `Serves the emulated machines of a site until Ctrl-C. Other commands use them with --lab. The
machines keep their state; deploy lab reset deletes it.`,
		Example: `  deploy lab up site.yaml
  deploy lab up --fault slow:ms=50 site.yaml`,
		Args: oneArg("a site file"),
		RunE: func(c *cobra.Command, args []string) (err error) {
			f.lab = true
			l, err := a.load(args[0], f)
			if err != nil {
				return err
			}
			creds, err := a.credentials(c.Context(), l, f)
			if err != nil {
				return err
			}
			if _, up := lab.Attach(l.labDir()); up {
				return hint.Wrap(fmt.Errorf("the lab of site %s is already running", l.site.Name), "stop the other deploy lab up")
			}
			lb, err := a.startLab(c.Context(), l, creds, f, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, lb.Close()) }()
			if err := a.printEndpoints(lb.Endpoints(), f.json); err != nil {
				return err
			}
			if !f.json {
				fmt.Fprintf(a.Stdout, "\nThe lab of site %s is running. Other commands use it with --lab. Ctrl-C stops it; "+
					"the machines keep their disks.\n", l.site.Name)
			}
			stop := make(chan struct{})
			a.interrupts.gently(func() { close(stop) }, "")
			defer a.interrupts.gently(nil, "")
			select {
			case <-stop:
			case <-c.Context().Done():
			}
			return nil
		},
	}
	f.addLabStart(c.Flags())
	f.addState(c.Flags())
	f.addJSON(c.Flags())
	return c
}

func (a *App) printEndpoints(at map[string]lab.Endpoint, asJSON bool) error {
	if asJSON {
		return view.WriteJSON(a.Stdout, map[string]any{"machines": at})
	}
	names := make([]string, 0, len(at))
	for n := range at {
		names = append(names, n)
	}
	sort.Strings(names)
	w := tabwriter.NewWriter(a.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "machine\twinrm http\twinrm https\tssh\tssh host key")
	for _, n := range names {
		e := at[n]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", n, e.HTTP, e.HTTPS, e.SSH, e.HostKey)
	}
	return w.Flush()
}

func (a *App) labShowCmd() *cobra.Command {
	var f siteFlags
	c := &cobra.Command{
		Use:     "show SITE",
		Short:   "Print the state of the emulated machines as JSON",
		Example: `  deploy lab show site.yaml`,
		Args:    oneArg("a site file"),
		RunE: func(_ *cobra.Command, args []string) error {
			f.lab = true
			p, err := a.place(args[0], f)
			if err != nil {
				return err
			}
			data, err := lab.Show(p.labDir())
			if err != nil {
				return err
			}
			return view.WriteJSON(a.Stdout, json.RawMessage(data))
		},
	}
	f.addState(c.Flags())
	c.Flags().Bool("json", true, "write JSON; it is the only form")
	return c
}

func (a *App) labResetCmd() *cobra.Command {
	var f siteFlags
	c := &cobra.Command{
		Use:     "reset SITE",
		Short:   "Reset the emulated machines to their initial state and delete the lab's journal",
		Example: `  deploy lab reset site.yaml`,
		Args:    oneArg("a site file"),
		RunE: func(_ *cobra.Command, args []string) error {
			f.lab = true
			p, err := a.place(args[0], f)
			if err != nil {
				return err
			}
			// the machines first: they are refused while somebody serves them, and then the journal must
			// stay as well
			if err := lab.Reset(p.labDir()); err != nil {
				return err
			}
			if err := journal.Remove(p.state); err != nil {
				return err
			}
			fmt.Fprintf(a.Stdout, "the machines of the lab of site %s are reset; the journal of its runs is deleted\n",
				p.site.Name)
			return nil
		},
	}
	f.addState(c.Flags())
	return c
}

func (a *App) labFaultsCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "faults",
		Short:   "List the faults that the lab can inject",
		Example: `  deploy lab faults`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			for _, k := range lab.FaultKinds() {
				fmt.Fprintf(a.Stdout, "%s\n  %s\n", k.Name, k.Doc)
				for _, n := range slices.Sorted(maps.Keys(k.Args)) {
					fmt.Fprintf(a.Stdout, "    %-8s %s\n", n, k.Args[n])
				}
			}
			return nil
		},
	}
}
