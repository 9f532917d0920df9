package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"deploy/internal/node"
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
// there was one.
func (fl *fleet) disown(ctx context.Context, name, journal string) (removed bool, err error) {
	s, err := fl.session(ctx, name)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	rows, err := s.Query(ctx, node.Owners{})
	if err != nil {
		return false, fmt.Errorf("cannot read the owner record on %s: %w", name, err)
	}
	for _, row := range rows {
		text := row.String("record")
		o, perr := node.ParseOwner(text)
		if !strings.EqualFold(row.String("site"), fl.l.site.Name) || perr != nil || o.Journal != journal {
			continue // another controller's, or none that can be read: it is not ours to remove
		}
		if _, err := s.Do(ctx, node.OwnerSet{Site: row.String("site"), Was: text}); err != nil {
			return false, fmt.Errorf("cannot remove the owner record from %s: %w", name, err)
		}
		return true, nil
	}
	return false, nil
}
