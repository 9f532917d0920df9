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
	return AddressProperties(ctx, v, "Address", keep)
}

// AddressProperties lists a private property, which is text, of the IP Address resources that keep
// accepts, sorted. One that cannot be read is an error.
func AddressProperties(ctx context.Context, v Reader, name string, keep func(Resource) bool) ([]string, error) {
	all, err := v.Resources(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, x := range all {
		if !strings.EqualFold(x.Type, TypeAddress) || !keep(x) {
			continue
		}
		a := x.Private.String(name)
		if a == "" {
			row, err := v.Properties(ctx, Object{Resource: x.Name, Private: true}, []string{name})
			if err != nil {
				return nil, fmt.Errorf("cannot read %s of resource %q: %w", name, x.Name, err)
			}
			a = row.String(name)
		}
		if a == "" {
			return nil, fmt.Errorf("cannot read %s of resource %q", name, x.Name)
		}
		out = append(out, a)
	}
	slices.Sort(out)
	return out, nil
}
