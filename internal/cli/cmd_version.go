package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"deploy/internal/view"
)

func (a *App) versionCmd() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Long: `Prints the version: the commit and a digest of the program. A saved plan is accepted only by the
version that made it.`,
		Example: "  deploy version\n  deploy version --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := versionInfo{Version: a.Version(), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
			if asJSON {
				return view.WriteJSON(a.Stdout, v)
			}
			_, err := fmt.Fprintf(a.Stdout, "deploy version %s (%s, %s/%s)\n", v.Version, v.Go, v.OS, v.Arch)
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

// versionInfo is the output of deploy version --json.
type versionInfo struct {
	Version string `json:"version"` // commit+digest of the program
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}
