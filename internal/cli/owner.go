package cli

import (
	"github.com/spf13/pflag"
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
