package clus

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Addresses lists the addresses of the IP Address resources that keep accepts, sorted. An address
// that cannot be read is an error.
func Addresses(ctx context.Context, v Reader, keep func(Resource) bool) ([]string, error) {
	all, err := v.Resources(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, x := range all {
		if !strings.EqualFold(x.Type, TypeAddress) || !keep(x) {
			continue
		}
		a := x.Private.String("Address")
		if a == "" {
			row, err := v.Properties(ctx, Object{Resource: x.Name, Private: true}, []string{"Address"})
			if err != nil {
				return nil, fmt.Errorf("cannot read the address of resource %q: %w", x.Name, err)
			}
			a = row.String("Address")
		}
		if a == "" {
			return nil, fmt.Errorf("cannot read the address of resource %q", x.Name)
		}
		out = append(out, a)
	}
	slices.Sort(out)
	return out, nil
}
